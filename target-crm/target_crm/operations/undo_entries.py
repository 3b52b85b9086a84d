"""What an undoing starts from: the run's entries in the journal, one for each cell or row."""

from __future__ import annotations

from psycopg import sql

from target_crm.operations.session import Session
from target_crm.sql.spec import S


def undone(session: Session, run: sql.Composable) -> sql.Composed:
    """Whether a run has been undone by another that stands."""
    return S(
        "EXISTS (SELECT FROM {runs} AS u WHERE u.undoes = {run} AND u.status = 'succeeded' "
        "AND NOT EXISTS (SELECT FROM {runs} AS w WHERE w.undoes = u.id AND w.status = 'succeeded'))"
    ).format(runs=session.control("sync_runs"), run=run)


def collect_entries(session: Session, run: int) -> dict[str, int]:
    """What the run changed, one entry for each cell or row, and whether a later run that stands wrote the row, too.

    A run may write a cell several times: what counts is what was there before the first and after the last. They lie in
    the temporary tables undo_entries and undo_born until the transaction ends. Returned is how many rows of each table
    a later run wrote.
    """
    control = session.control
    session.execute(S("DROP TABLE IF EXISTS pg_temp.undo_entries, pg_temp.undo_born"))
    # A run that moved no base (a decision) can be taken back cell by cell, whatever else was written in the row.
    same_cell = S("AND later.column_name IN (e.column_name, '*')") if _moved_no_base(session, run) else S("")
    session.execute(
        S(
            "CREATE TEMP TABLE undo_entries ON COMMIT DROP AS "
            "SELECT e.*, EXISTS (SELECT FROM {changes} AS later WHERE later.row_id = e.row_id "
            "AND later.table_name = e.table_name AND later.run_id > {run} {same_cell} "
            "AND NOT {later_undone} AND NOT EXISTS (SELECT FROM {runs} AS r WHERE r.id = later.run_id "
            "AND r.undoes IS NOT NULL AND NOT {undo_undone})) AS rewritten "
            "FROM (SELECT table_name, row_id, column_name, (array_agg(old_value ORDER BY id))[1] AS old_value, "
            "(array_agg(new_value ORDER BY id DESC))[1] AS new_value FROM {changes} WHERE run_id = {run} "
            "GROUP BY table_name, row_id, column_name) AS e "
            "WHERE NOT (e.column_name = '*' AND e.old_value IS NULL AND e.new_value IS NULL)"
        ).format(
            changes=control("sync_changes"),
            runs=control("sync_runs"),
            same_cell=same_cell,
            run=sql.Literal(run),
            later_undone=undone(session, S("later.run_id")),
            undo_undone=undone(session, S("later.run_id")),
        )
    )
    session.execute(S("CREATE INDEX ON undo_entries (table_name, column_name, row_id)"))
    session.execute(S("ANALYZE undo_entries"))
    _collect_born(session)
    rewritten = session.rows(
        S("SELECT table_name, count(DISTINCT row_id) AS n FROM undo_entries WHERE rewritten GROUP BY 1")
    )
    return {row["table_name"]: row["n"] for row in rewritten}


def _moved_no_base(session: Session, run: int) -> bool:
    """Whether the run wrote cells alone: neither whole rows nor documents."""
    whole = ["*", *{live.mapping.raw_fields for live in session.tables.values()}]
    found = session.rows(
        S("SELECT 1 FROM {} WHERE run_id = %s AND column_name = ANY(%s) LIMIT 1").format(
            session.control("sync_changes")
        ),
        run,
        whole,
    )
    return not found


def _collect_born(session: Session) -> None:
    """Rows that the run inserted, each with what the run left in its columns; they go or stay as they are."""
    tables = list(session.tables)
    session.execute(
        S(
            "CREATE TEMP TABLE undo_born ON COMMIT DROP AS SELECT b.table_name, b.row_id, "
            "b.new_value || coalesce((SELECT jsonb_object_agg(e.column_name, e.new_value) FROM undo_entries AS e "
            "WHERE e.table_name = b.table_name AND e.row_id = b.row_id AND e.column_name <> '*'), '{{}}') AS lasting "
            "FROM undo_entries AS b WHERE b.column_name = '*' AND b.old_value IS NULL AND b.table_name = ANY({})"
        ).format(sql.Literal(tables))
    )
    session.execute(S("CREATE INDEX ON undo_born (table_name, row_id)"))
    session.execute(S("ANALYZE undo_born"))
    session.execute(
        S(
            "DELETE FROM undo_entries AS e USING undo_born AS b "
            "WHERE e.table_name = b.table_name AND e.row_id = b.row_id AND e.column_name <> '*'"
        )
    )
    for item_set in session.sets.values():
        session.execute(
            S(
                "DELETE FROM undo_entries AS e USING undo_born AS b WHERE e.table_name = {} AND b.table_name = {} "
                "AND b.row_id = coalesce(e.new_value, e.old_value)->>{}"
            ).format(
                sql.Literal(item_set.item_set.table),
                sql.Literal(item_set.parent.mapping.table),
                sql.Literal(item_set.item_set.parent),
            )
        )
