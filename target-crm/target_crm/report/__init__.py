"""A run as one page: what came, what was written, what was kept and why."""
