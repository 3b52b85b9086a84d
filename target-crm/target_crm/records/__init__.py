"""Records on their way from bytes to column values."""
