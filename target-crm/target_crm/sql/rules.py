"""Rules that several statements share, each written once."""

from __future__ import annotations

from psycopg import sql


def lasting_tombstone(updated_at: sql.Composable, deleted_at: sql.Composable) -> sql.Composed:
    """The time of a tombstone that still holds: a record that changed at its time or later is alive again.

    NULL without a tombstone; one without a time of change stays deleted.
    """
    return sql.SQL("CASE WHEN ({updated} >= {deleted}) IS NOT TRUE THEN {deleted} END").format(
        updated=updated_at, deleted=deleted_at
    )
