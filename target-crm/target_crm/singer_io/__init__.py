"""What arrives and what leaves: Singer messages and STATE."""
