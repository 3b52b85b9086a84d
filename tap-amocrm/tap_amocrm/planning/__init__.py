"""What is read, and by which requests."""
