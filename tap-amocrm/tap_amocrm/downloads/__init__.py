"""Downloads the account's files and the recordings of its calls into a place of the user's."""
