"""Runs: what there was, and what one of them changed."""

from __future__ import annotations

from psycopg import sql

from target_crm.operations.session import Row, Session, UnknownError

S = sql.SQL


def find_runs(session: Session, *, before: int | None = None, limit: int = 20) -> list[Row]:
    """Runs with a number below `before`, the last first."""
    return session.rows(
        S(
            "SELECT r.*, extract(epoch FROM r.finished_at - r.started_at)::float AS seconds FROM {} AS r "
            "WHERE %s::bigint IS NULL OR r.id < %s ORDER BY r.id DESC LIMIT %s"
        ).format(session.control("sync_runs")),
        before,
        before,
        limit,
    )


def find_run(session: Session, run: int | None) -> Row:
    """One run, the last one for None.

    Raises:
        UnknownError: there is none.
    """
    found = find_runs(session, before=None if run is None else run + 1, limit=1)
    if not found or (run is not None and found[0]["id"] != run):
        msg = f"There is no run {run}." if run is not None else "There has been no run yet."
        raise UnknownError(msg)
    return found[0]


def changes_by_column(session: Session, run: int) -> list[Row]:
    """How many entries of the journal a run made, by table and column; `*` are whole rows."""
    return session.rows(
        S(
            "SELECT table_name, column_name, count(*) AS n FROM {} WHERE run_id = %s "
            "GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2"
        ).format(session.control("sync_changes")),
        run,
    )


def find_changes(
    session: Session, run: int, *, table: str | None = None, column: str | None = None, after: int = 0, limit: int = 50
) -> list[Row]:
    """Entries of a run's journal with an id above `after`."""
    return session.rows(
        S(
            "SELECT * FROM {} WHERE run_id = %s AND id > %s AND (%s::text IS NULL OR table_name = %s) "
            "AND (%s::text IS NULL OR column_name = %s) ORDER BY run_id, id LIMIT %s"
        ).format(session.control("sync_changes")),
        run,
        after,
        table,
        table,
        column,
        column,
        limit,
    )
