"""Citus: which of its nodes a session is on, and what the other nodes have to know of each transaction.

Locks of sessions and numbers of runs are one node's own. Loads, commands and the review page therefore work over one
and the same node, the coordinator; a connection to another one is refused.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from target_crm.errors import DatabaseError

Connection = psycopg.Connection[Any]
_COORDINATOR = 0
# What a statement means on the node that runs it, too: how values are written there, and how long it may wait. A
# worker's session belongs to Citus, which passes on what is set within the transaction.
EVERYWHERE = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "transform_null_equals": "off",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "jit": "off",
    "work_mem": "64MB",
}


def is_there(connection: Connection) -> bool:
    """Whether the database has Citus."""
    row = connection.execute("SELECT pg_catalog.to_regclass('pg_catalog.pg_dist_local_group') IS NOT NULL").fetchone()
    return bool(row and row[0])


def require_coordinator(connection: Connection) -> None:
    """Make sure that the session is on the node that all of them have to be on.

    Raises:
        DatabaseError: it is on another one.
    """
    row = connection.execute("SELECT groupid FROM pg_catalog.pg_dist_local_group").fetchone()
    if row is not None and row[0] != _COORDINATOR:
        raise DatabaseError.of("E_CITUS_NODE", host=connection.info.host, port=connection.info.port)


def has_schema(connection: Connection, schema: str) -> bool:
    """Whether Citus keeps the tables of a schema on one of its nodes (sharding by schema)."""
    if connection.execute("SELECT pg_catalog.to_regclass('pg_catalog.pg_dist_schema') IS NOT NULL").fetchone() != (
        True,
    ):
        return False
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_dist_schema AS d JOIN pg_catalog.pg_namespace AS n "
        "ON n.oid = d.schemaid WHERE n.nspname = %s)",
        (schema,),
    ).fetchone()
    return bool(row and row[0])


def as_local(settings: dict[str, str]) -> bytes:
    """Settings of this transaction as one string."""
    parts = [sql.SQL("SET LOCAL {} = {}").format(sql.SQL(n), sql.Literal(v)) for n, v in settings.items()]
    return sql.SQL("; ").join(parts).as_bytes()
