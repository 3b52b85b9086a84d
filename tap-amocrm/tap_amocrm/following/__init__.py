"""Continues after the first reading: asks in turns what has changed, for as long as the process lives."""
