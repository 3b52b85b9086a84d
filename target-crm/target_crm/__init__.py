"""target-crm: Singer messages from amoCRM into a CRM's own PostgreSQL, by a three-way soft update."""

__version__ = "0.2.0"
