"""SQL that brings conflicts, rejects and warnings in step with the undoing of a run.

What the run changed in them is in sync_issue_changes, before and after; what it opened is known by its number.
"""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable
from target_crm.sql.spec import I, S
from target_crm.sql.typed import as_key
from target_crm.sql.undo_entries import ENTRIES
from target_crm.sql.undo_restore import UndoSpec

CONFLICTS, REJECTS, WARNINGS = "sync_conflicts", "sync_rejects", "sync_warnings"
PROPOSALS = "sync_proposals"
OF_RECORDS = (REJECTS, WARNINGS, PROPOSALS)
# Columns by which an issue that may be open only once is known.
_IDENTITY = {
    CONFLICTS: ("table_name", "row_id", "column_name"),
    REJECTS: ("stream", "account_id", "amo_id"),
    WARNINGS: ("account_id", "table_name", "amo_id", "column_name"),
    PROPOSALS: ("stream", "account_id", "amo_id"),
}
# What a run may change in them.
_COLUMNS = {
    CONFLICTS: ("run_id", "resolved_at", "resolution"),
    REJECTS: ("run_id", "record", "error", "resolved_at", "resolution", "code", "args", "updated_at"),
    WARNINGS: ("run_id", "row_id", "value", "code", "args", "resolved_at"),
    PROPOSALS: (
        "run_id",
        "record",
        "zone",
        "candidates",
        "refused",
        "rule",
        "amo_updated_at",
        "updated_at",
        "resolved_at",
        "resolution",
    ),
}


def _changed(undo: UndoSpec, issues: str) -> sql.Composed:
    """Issues that the run changed: before the first change and after the last."""
    return S(
        "(SELECT row_id, (array_agg(old_row ORDER BY id))[1] AS old_row, "
        "(array_agg(new_row ORDER BY id DESC))[1] AS new_row FROM {} "
        "WHERE run_id = {} AND table_name = {} GROUP BY row_id)"
    ).format(undo.control("sync_issue_changes"), sql.Literal(undo.run), sql.Literal(issues))


def _put_back(undo: UndoSpec, live: LiveTable, row: str) -> sql.Composed:
    """Whether the undoing put back the cell of a conflict, or the row's base, or removed the row."""
    return S(
        "EXISTS (SELECT FROM {} AS e WHERE e.run_id = {} AND e.table_name = {row}.table_name "
        "AND e.row_id = {row}.row_id AND e.column_name IN ({row}.column_name, {}, '*'))"
    ).format(undo.control("sync_changes"), sql.Literal(undo.new_run), sql.Literal(live.mapping.raw_fields), row=I(row))


def _not_rewritten(undo: UndoSpec, row: str) -> sql.Composed:
    """Whether no later run wrote the row of a reject's or a warning's record, as far as it has one."""
    return S(
        "NOT EXISTS (SELECT FROM {} AS k JOIN {} AS e ON e.table_name = k.table_name "
        "AND e.row_id = k.row_id WHERE k.account_id = {row}.account_id AND k.amo_id = {row}.amo_id AND e.rewritten)"
    ).format(undo.control("sync_keys"), ENTRIES, row=I(row))


def close_opened_conflicts(undo: UndoSpec, live: LiveTable) -> sql.Composed:
    """Closes a table's conflicts that the run recorded, where the base is back or the row is gone."""
    gone = S("NOT EXISTS (SELECT FROM {} AS t WHERE t.{} = {})").format(
        live.identifier, I(live.mapping.id), as_key(live, S("c.row_id"))
    )
    return S(
        "UPDATE {} AS c SET resolved_at = now(), resolution = 'undone' WHERE c.run_id = {} AND c.table_name = {} "
        "AND c.resolved_at IS NULL AND ({} OR {})"
    ).format(
        undo.control(CONFLICTS),
        sql.Literal(undo.run),
        sql.Literal(live.mapping.table),
        _put_back(undo, live, "c"),
        gone,
    )


def close_opened(undo: UndoSpec, issues: str) -> sql.Composed:
    """Closes the rejects or warnings that the run opened, unless a later run wrote their rows."""
    closed = S("resolved_at = now(), resolution = 'undone'") if issues != WARNINGS else S("resolved_at = now()")
    return S(
        "UPDATE {table} AS c SET {closed} WHERE c.run_id = {run} AND c.resolved_at IS NULL AND {free} "
        "AND NOT EXISTS (SELECT FROM {changed} AS x WHERE x.row_id = c.id "
        "AND (x.old_row->>'run_id')::bigint <> {run})"
    ).format(
        table=undo.control(issues),
        closed=closed,
        run=sql.Literal(undo.run),
        free=_not_rewritten(undo, "c"),
        changed=_changed(undo, issues),
    )


def restore_issues(undo: UndoSpec, issues: str, allowed: sql.Composable, *, opening: bool) -> sql.Composed:
    """Puts issues back as they were before the run, where nobody changed them since.

    Those that were closed then come first (`opening` false): an issue is open only where no other one of its kind is.
    """
    free: sql.Composable = S("true")
    if opening:
        same = S(" AND ").join(S("o.{c} IS NOT DISTINCT FROM c.{c}").format(c=I(c)) for c in _IDENTITY[issues])
        text = S(" AND (c.amo_id IS NOT NULL OR o.record = c.record)") if issues == REJECTS else S("")
        free = S("NOT EXISTS (SELECT FROM {} AS o WHERE o.id <> c.id AND o.resolved_at IS NULL AND {}{})").format(
            undo.control(issues), same, text
        )
    return S(
        "UPDATE {table} AS c SET {columns} FROM (SELECT c.id AS issue, {old} FROM {table} AS c "
        "JOIN {changed} AS x ON c.id = x.row_id, LATERAL jsonb_populate_record(NULL::{table}, x.old_row) AS old "
        "WHERE to_jsonb(c) = x.new_row AND (x.old_row->>'run_id')::bigint <> {run} "
        "AND (x.old_row->>'resolved_at' IS NULL) = {opening} AND {free} AND {allowed} OFFSET 0) AS r "
        "WHERE c.id = r.issue"
    ).format(
        old=S(", ").join(S("old.{}").format(I(c)) for c in _COLUMNS[issues]),
        table=undo.control(issues),
        columns=S(", ").join(S("{c} = r.{c}").format(c=I(c)) for c in _COLUMNS[issues]),
        changed=_changed(undo, issues),
        run=sql.Literal(undo.run),
        opening=sql.Literal(opening),
        free=free,
        allowed=allowed,
    )


def conflict_may_return(undo: UndoSpec, live: LiveTable) -> sql.Composed:
    """Whether a conflict of that table may be as it was: its cell is, or its row's base."""
    return S("c.table_name = {} AND {}").format(sql.Literal(live.mapping.table), _put_back(undo, live, "c"))


def record_may_return(undo: UndoSpec) -> sql.Composed:
    """Whether a reject or a warning may be as it was: no later run wrote its record's row."""
    return _not_rewritten(undo, "c")


def reopen_settled(undo: UndoSpec, live: LiveTable) -> sql.Composed:
    """Opens conflicts again that a decision of version 0.1 settled (it kept no image of them)."""
    return S(
        "UPDATE {c} AS c SET resolved_at = NULL, resolution = NULL FROM {} AS r WHERE r.id = {run} "
        "AND r.kind = 'resolve' AND c.resolved_at = r.started_at AND c.table_name = {name} AND {put_back} "
        "AND NOT EXISTS (SELECT FROM {c} AS o WHERE o.id > c.id AND o.table_name = c.table_name "
        "AND o.row_id = c.row_id AND o.column_name = c.column_name AND o.resolved_at IS NULL)"
    ).format(
        undo.control("sync_runs"),
        run=sql.Literal(undo.run),
        name=sql.Literal(live.mapping.table),
        put_back=_put_back(undo, live, "c"),
        c=undo.control(CONFLICTS),
    )


def reopen_superseded(undo: UndoSpec) -> sql.Composed:
    """Opens conflicts again that a load of version 0.1 superseded: the last one before that which is void now."""
    cell = "{a}.table_name = c.table_name AND {a}.row_id = c.row_id AND {a}.column_name = c.column_name"
    n, m, o = (S(cell.replace("{a}", alias)) for alias in "nmo")
    return S(
        "UPDATE {c} AS c SET resolved_at = NULL, resolution = NULL FROM {c} AS n WHERE n.run_id = {run} "
        "AND n.resolution = 'undone' AND n.id > c.id AND {n} AND c.run_id <> {run} AND c.resolution = 'superseded' "
        "AND NOT EXISTS (SELECT FROM {c} AS m WHERE m.id > c.id AND m.id < n.id AND {m}) "
        "AND NOT EXISTS (SELECT FROM {c} AS o WHERE o.resolved_at IS NULL AND {o})"
    ).format(c=undo.control(CONFLICTS), run=sql.Literal(undo.run), n=n, m=m, o=o)
