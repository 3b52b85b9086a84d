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


def _standing_undo(runs: sql.Composable, run: sql.Composable) -> sql.Composed:
    return sql.SQL(
        """
        FROM {runs} AS undo
        WHERE undo.undoes = {run} AND undo.status = 'succeeded' AND NOT EXISTS (
            SELECT FROM {runs} AS redo WHERE redo.undoes = undo.id AND redo.status = 'succeeded'
        )
        """
    ).format(runs=runs, run=run)


def is_undone(runs: sql.Composable, run: sql.Composable) -> sql.Composed:
    """Whether a run has been undone, and its undo has not been undone itself."""
    return sql.SQL("EXISTS (SELECT {})").format(_standing_undo(runs, run))


def undone_by(runs: sql.Composable, run: sql.Composable) -> sql.Composed:
    """The number of the run that undid a run and has not been undone itself; NULL where there is none."""
    return sql.SQL("(SELECT undo.id {} LIMIT 1)").format(_standing_undo(runs, run))
