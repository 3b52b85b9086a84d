"""Settings of target-crm: their names, where they come from, and their checks."""
