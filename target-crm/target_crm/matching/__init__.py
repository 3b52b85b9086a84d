"""Records that are like rows a table has already: found, adopted, or put before a person."""
