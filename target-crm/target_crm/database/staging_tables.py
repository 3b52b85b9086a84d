"""Staging tables in a schema (setting `staging`): who uses them, and the end of those that nobody uses any more.

Their names hold the token of their session, which holds an advisory lock for it as long as it lives. So no two
sessions share one, and what a killed load leaves is known.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]
# Before the names of all staging tables in a schema; then come the session's token and the table's own name.
PREFIX = "sync_stage_"


@dataclass(frozen=True)
class Staging:
    """The place of one session's staging tables in a schema; `token` tells them from those of other sessions.

    `on_citus`: Citus takes some statements in another form.
    """

    schema: str
    token: str
    on_citus: bool = False

    def table(self, name: str) -> sql.Identifier:
        """One of the tables."""
        return sql.Identifier(self.schema, f"{PREFIX}{self.token}_{name}")


_LOCK = "hashtextextended('target-crm:staging:' || %s, 0)"


def hold(connection: Connection, token: str) -> None:
    """Take the lock of a session's staging tables; it goes with the session."""
    connection.execute(f"SELECT pg_catalog.pg_advisory_lock({_LOCK})", (token,))


def drop_of(connection: Connection, schema: str, token: str) -> None:
    """Drop the staging tables of a session. The caller commits."""
    _drop(connection, schema, _found(connection, schema).get(token, []))


def sweep(connection: Connection, schema: str) -> int:
    """Drop staging tables whose session is gone (a killed load's); how many. Commits."""
    dropped = 0
    for token, names in _found(connection, schema).items():
        free = connection.execute(f"SELECT pg_catalog.pg_try_advisory_lock({_LOCK})", (token,)).fetchone()
        if free == (True,):
            try:
                # Somebody without the right to drop them loads all the same.
                with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
                    _drop(connection, schema, names)
                    dropped += len(names)
            finally:
                connection.execute(f"SELECT pg_catalog.pg_advisory_unlock({_LOCK})", (token,))
    connection.commit()
    return dropped


def _found(connection: Connection, schema: str) -> dict[str, list[str]]:
    rows = connection.execute(
        "SELECT c.relname::text FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n "
        "ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind = 'r' AND pg_catalog.starts_with(c.relname, %s) "
        "ORDER BY 1",
        (schema, PREFIX),
    ).fetchall()
    by_token: defaultdict[str, list[str]] = defaultdict(list)
    for (name,) in rows:
        token, _, rest = name.removeprefix(PREFIX).partition("_")
        if rest:
            by_token[token].append(name)
    return by_token


def _drop(connection: Connection, schema: str, names: list[str]) -> None:
    if names:
        listed = sql.SQL(", ").join(sql.Identifier(schema, name) for name in names)
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(listed))
