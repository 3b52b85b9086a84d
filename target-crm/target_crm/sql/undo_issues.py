"""SQL that brings conflicts, rejects and warnings in step with the undo of a run.

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
    """Whether the undo put back the cell of a conflict, or the row's base, or removed the row."""
    return S(
        "EXISTS (SELECT FROM {} AS entry WHERE entry.run_id = {} AND entry.table_name = {row}.table_name "
        "AND entry.row_id = {row}.row_id AND entry.column_name IN ({row}.column_name, {}, '*'))"
    ).format(undo.control("sync_changes"), sql.Literal(undo.new_run), sql.Literal(live.mapping.raw_fields), row=I(row))


def _not_rewritten(undo: UndoSpec, row: str) -> sql.Composed:
    """Whether no later run wrote the row of a reject's or a warning's record, as far as it has one."""
    return S(
        "NOT EXISTS (SELECT FROM {} AS known JOIN {} AS entry ON entry.table_name = known.table_name "
        "AND entry.row_id = known.row_id WHERE known.account_id = {row}.account_id AND known.amo_id = "
        "{row}.amo_id AND entry.rewritten)"
    ).format(undo.control("sync_keys"), ENTRIES, row=I(row))


def close_opened_conflicts(undo: UndoSpec, live: LiveTable) -> sql.Composed:
    """Closes a table's conflicts that the run recorded, where the base is back or the row is gone."""
    gone = S("NOT EXISTS (SELECT FROM {} AS crm WHERE crm.{} = {})").format(
        live.identifier, I(live.mapping.id), as_key(live, S("issue.row_id"))
    )
    return S(
        "UPDATE {} AS issue SET resolved_at = now(), resolution = 'undone' WHERE issue.run_id = {} AND "
        "issue.table_name = {} "
        "AND issue.resolved_at IS NULL AND ({} OR {})"
    ).format(
        undo.control(CONFLICTS),
        sql.Literal(undo.run),
        sql.Literal(live.mapping.table),
        _put_back(undo, live, "issue"),
        gone,
    )


def close_opened(undo: UndoSpec, issues: str) -> sql.Composed:
    """Closes the rejects or warnings that the run opened, unless a later run wrote their rows."""
    closed = S("resolved_at = now(), resolution = 'undone'") if issues != WARNINGS else S("resolved_at = now()")
    return S(
        "UPDATE {table} AS issue SET {closed} WHERE issue.run_id = {run} AND issue.resolved_at IS NULL AND {free} "
        "AND NOT EXISTS (SELECT FROM {changed} AS change WHERE change.row_id = issue.id "
        "AND (change.old_row->>'run_id')::bigint <> {run})"
    ).format(
        table=undo.control(issues),
        closed=closed,
        run=sql.Literal(undo.run),
        free=_not_rewritten(undo, "issue"),
        changed=_changed(undo, issues),
    )


def restore_issues(undo: UndoSpec, issues: str, allowed: sql.Composable, *, opening: bool) -> sql.Composed:
    """Puts issues back as they were before the run, where nobody changed them since.

    Those that were closed then come first (`opening` false): an issue is open only where no other one of its kind is.
    """
    free: sql.Composable = S("true")
    if opening:
        same = S(" AND ").join(S("other.{c} IS NOT DISTINCT FROM issue.{c}").format(c=I(c)) for c in _IDENTITY[issues])
        text = S(" AND (issue.amo_id IS NOT NULL OR other.record = issue.record)") if issues == REJECTS else S("")
        free = S(
            "NOT EXISTS (SELECT FROM {} AS other WHERE other.id <> issue.id AND other.resolved_at IS NULL AND {}{})"
        ).format(undo.control(issues), same, text)
    return S(
        "UPDATE {table} AS issue SET {columns} FROM (SELECT issue.id AS issue, {old} FROM {table} AS issue "
        "JOIN {changed} AS change ON issue.id = change.row_id, LATERAL jsonb_populate_record(NULL::{table}, "
        "change.old_row) AS old "
        "WHERE to_jsonb(issue.*) = change.new_row AND (change.old_row->>'run_id')::bigint <> {run} "
        "AND (change.old_row->>'resolved_at' IS NULL) = {opening} AND {free} AND {allowed} OFFSET 0) AS restored "
        "WHERE issue.id = restored.issue"
    ).format(
        old=S(", ").join(S("old.{}").format(I(c)) for c in _COLUMNS[issues]),
        table=undo.control(issues),
        columns=S(", ").join(S("{c} = restored.{c}").format(c=I(c)) for c in _COLUMNS[issues]),
        changed=_changed(undo, issues),
        run=sql.Literal(undo.run),
        opening=sql.Literal(opening),
        free=free,
        allowed=allowed,
    )


def conflict_may_return(undo: UndoSpec, live: LiveTable) -> sql.Composed:
    """Whether a conflict of that table may be as it was: its cell is, or its row's base."""
    return S("issue.table_name = {} AND {}").format(sql.Literal(live.mapping.table), _put_back(undo, live, "issue"))


def record_may_return(undo: UndoSpec) -> sql.Composed:
    """Whether a reject or a warning may be as it was: no later run wrote its record's row."""
    return _not_rewritten(undo, "issue")


def reopen_settled(undo: UndoSpec, live: LiveTable) -> sql.Composed:
    """Opens conflicts again that a decision of version 0.1 resolved (it kept no image of them)."""
    return S(
        "UPDATE {c} AS issue SET resolved_at = NULL, resolution = NULL FROM {} AS decision WHERE decision.id = {run} "
        "AND decision.kind = 'resolve' AND issue.resolved_at = decision.started_at AND issue.table_name = "
        "{name} AND {put_back} "
        "AND NOT EXISTS (SELECT FROM {c} AS other WHERE other.id > issue.id AND other.table_name = issue.table_name "
        "AND other.row_id = issue.row_id AND other.column_name = issue.column_name AND other.resolved_at IS NULL)"
    ).format(
        undo.control("sync_runs"),
        run=sql.Literal(undo.run),
        name=sql.Literal(live.mapping.table),
        put_back=_put_back(undo, live, "issue"),
        c=undo.control(CONFLICTS),
    )


def reopen_superseded(undo: UndoSpec) -> sql.Composed:
    """Opens conflicts again that a load of version 0.1 superseded: the last one before that which is void now."""
    cell = "{a}.table_name = issue.table_name AND {a}.row_id = issue.row_id AND {a}.column_name = issue.column_name"
    newer, between, other = (S(cell.replace("{a}", alias)) for alias in ("newer", "between_them", "other"))
    return S(
        "UPDATE {conflicts} AS issue SET resolved_at = NULL, resolution = NULL FROM {conflicts} AS newer "
        "WHERE newer.run_id = {run} AND newer.resolution = 'undone' AND newer.id > issue.id AND {newer} "
        "AND issue.run_id <> {run} AND issue.resolution = 'superseded' "
        "AND NOT EXISTS (SELECT FROM {conflicts} AS between_them "
        "WHERE between_them.id > issue.id AND between_them.id < newer.id AND {between}) "
        "AND NOT EXISTS (SELECT FROM {conflicts} AS other WHERE other.resolved_at IS NULL AND {other})"
    ).format(conflicts=undo.control(CONFLICTS), run=sql.Literal(undo.run), newer=newer, between=between, other=other)
