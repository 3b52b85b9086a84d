"""Values that their columns could not take, grouped as people look at them: by table, column and code."""

from __future__ import annotations

from psycopg import sql

from target_crm.operations.session import Row, Session

S = sql.SQL


def grouped_warnings(session: Session, run: int | None = None, limit: int = 500) -> list[Row]:
    """Warnings by table, column and code: the open ones, or those of a run; how many, and one of them as an example.

    Each has table_name, column_name, code, cells, first_at, value and args of the example.
    """
    which = S("resolved_at IS NULL") if run is None else S("run_id = {}").format(sql.Literal(run))
    return session.rows(
        S(
            "SELECT table_name, column_name, code, count(*) AS cells, min(created_at) AS first_at, "
            "(array_agg(value ORDER BY id DESC))[1] AS value, (array_agg(args ORDER BY id DESC))[1] AS args "
            "FROM {} WHERE {} GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT %s"
        ).format(session.control("sync_warnings"), which),
        limit,
    )
