"""Settings of tap-amocrm: their names, where they come from, and their checks."""
