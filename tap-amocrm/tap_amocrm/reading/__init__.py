"""The ways of reading a list completely while it changes."""
