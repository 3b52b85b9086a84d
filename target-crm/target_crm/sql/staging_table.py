"""Staging tables: temporary ones, or unlogged ones in the CRM's schema (setting `staging`).

A statement names one by `StagingTable("lines")`; the connection that runs the statement knows what that is. On Citus
temporary tables are on another node than the account's rows, and a join with them sends the account's tables over the
network: there the staging tables are in the account's schema, and Citus puts them onto the account's node.
"""

from __future__ import annotations

from typing import Any

from psycopg import sql
from psycopg.abc import AdaptContext

from target_crm.database.staging_tables import PREFIX, Staging


def staging_of(context: AdaptContext | None) -> Staging | None:
    """The place of the staging tables of a connection (or of a cursor's); None for temporary ones."""
    connection: Any = context.connection if context is not None else None
    return getattr(connection, "staging", None)


class StagingTable(sql.Composable):
    """A staging table by its own name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:
        """Its name as SQL."""
        place = staging_of(context)
        found = sql.Identifier(f"crm_{self._obj}") if place is None else place.table(self._obj)
        return found.as_bytes(context)


class _StagingIndex(StagingTable):
    """An index of a staging table: a name without a schema."""

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:
        """Its name as SQL."""
        place = staging_of(context)
        prefix = "crm_" if place is None else f"{PREFIX}{place.token}_"
        return sql.Identifier(prefix + self._obj).as_bytes(context)


class _Either(sql.Composable):
    """SQL that is one thing for temporary tables, another for tables in the schema, and may be a third on Citus."""

    def __init__(self, temporary: sql.Composable, in_schema: sql.Composable, on_citus: sql.Composable) -> None:
        super().__init__((temporary, in_schema, on_citus))

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:
        """The one that holds."""
        place = staging_of(context)
        temporary, in_schema, on_citus = self._obj
        chosen = temporary if place is None else on_citus if place.on_citus else in_schema
        return bytes(chosen.as_bytes(context))


def on_citus(usual: sql.Composable, on_citus: sql.Composable) -> sql.Composable:
    """SQL that Citus takes in another form only."""
    return _Either(usual, usual, on_citus)


def _by_place(temporary: str, in_schema: str) -> sql.Composable:
    return _Either(sql.SQL(temporary), sql.SQL(in_schema), sql.SQL(in_schema))


_KIND = _by_place("TEMP", "UNLOGGED")
_EMPTIED = _by_place("ON COMMIT DELETE ROWS", "")
_DROPPED = _by_place("ON COMMIT DROP", "")
_OWN_SCHEMA = _by_place("pg_temp.", "")


def create(
    name: str, columns: sql.Composable, options: sql.Composable | None = None, *, stays: bool = False
) -> sql.Composed:
    """Creates a staging table unless it is there. Its rows may be gone at the commit, unless they stay; who needs it
    empty empties it first."""
    return sql.SQL("CREATE {} TABLE IF NOT EXISTS {} ({}) {} {}").format(
        _KIND, StagingTable(name), columns, options or sql.SQL(""), sql.SQL("") if stays else _EMPTIED
    )


def index(name: str, column: str) -> sql.Composed:
    """Creates an index of a staging table unless it is there."""
    return sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({})").format(
        _StagingIndex(f"{name}_{column}"), StagingTable(name), sql.Identifier(column)
    )


def make(name: str, query: sql.Composable, *, stays: bool = False) -> sql.Composed:
    """Creates a staging table out of a query; who makes it drops it first. It may be gone at the commit, unless it
    stays."""
    return sql.SQL("CREATE {} TABLE {} {} AS {}").format(
        _KIND, StagingTable(name), sql.SQL("") if stays else _DROPPED, query
    )


def drop(*names: str) -> sql.Composed:
    """Drops staging tables that are there."""
    listed = sql.SQL(", ").join(sql.SQL("{}{}").format(_OWN_SCHEMA, StagingTable(name)) for name in names)
    return sql.SQL("DROP TABLE IF EXISTS {}").format(listed)


def insert_from(
    target: sql.Composable, columns: sql.Composable | None, query: sql.Composable, parts: sql.Composable | None = None
) -> sql.Composed:
    """`INSERT INTO target (columns) query`, after the parts of a WITH; without columns into all of them in their order.

    Citus 13.2.2 sends an INSERT ... SELECT between tables of one schema to their node with a broken condition (`syntax
    error at or near "NOT"`) once the query calls now() or another stable function; a WITH before it keeps it from that.
    """
    into = sql.SQL("INSERT INTO {}{}").format(target, sql.SQL(" ({})").format(columns) if columns else sql.SQL(""))
    before = sql.SQL("WITH {} ").format(parts) if parts else sql.SQL("")
    also = sql.SQL("{}, ").format(parts) if parts else sql.SQL("")
    return sql.Composed(
        [
            on_citus(
                sql.SQL("{}{} {}").format(before, into, query),
                sql.SQL("WITH {}chosen AS MATERIALIZED ({}) {} SELECT chosen.* FROM chosen").format(also, query, into),
            )
        ]
    )
