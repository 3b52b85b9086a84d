"""What happened since a moment and what waits for a person, as a message for people who do not open the page."""
