"""The database: which one, its sessions, its errors, its schema version."""
