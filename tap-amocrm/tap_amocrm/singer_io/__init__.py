"""Singer messages, catalog and state."""
