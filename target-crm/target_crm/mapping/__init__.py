"""The mapping: which stream goes to which table, which property or custom field to which column, by which policy."""
