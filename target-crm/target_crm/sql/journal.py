"""Compiles the journal and the conflicts of a merge from its plan."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from target_crm.sql.expressions import CONFLICT, EDIT, TAKE
from target_crm.sql.merge import bit
from target_crm.sql.spec import I, MergeSpec, S, Slot
from target_crm.sql.staging import limited
from target_crm.sql.stored import STORED


def journal_changes(spec: MergeSpec, rows: int, written: Iterable[Slot], *, marks: bool) -> sql.Composed:
    """One entry for each column that the plan writes, and one for the document that the row has now.

    `written` are the columns that are written at all, `marks` tells whether any mark of deletion changes.

    Runs before the rows are written. One scan of the plan for each column is cheaper than taking all columns of each
    row apart.
    """
    table = spec.live.mapping
    entry = S("SELECT {}::bigint, {}, p.row_id::text, {}, {}, {} FROM {} AS p {}")
    plan = spec.plan
    branches = [
        entry.format(
            spec.run,
            spec.table_name,
            sql.Literal(slot.column.name),
            S("to_jsonb(p.{})").format(slot.name("o")),
            S("coalesce(p.doc->{}->{}, to_jsonb(p.{}))").format(
                sql.Literal(STORED), sql.Literal(slot.column.name), slot.name("t")
            ),
            plan,
            S("WHERE p.changed AND {}").format(bit(slot, TAKE)),
        )
        for slot in written
    ]
    branches.append(
        entry.format(
            spec.run,
            spec.table_name,
            sql.Literal(table.raw_fields),
            S("t.{}").format(I(table.raw_fields)),
            S("NULL::jsonb"),
            limited(spec.plan, rows),
            S("JOIN {} AS t ON t.{} = p.a AND t.{} = p.row_id WHERE p.changed").format(
                spec.live.identifier, I(table.account or ""), I(table.id)
            ),
        )
    )
    mark = spec.service("amo_deleted_at")
    if mark and marks and spec.only is None:
        branches.append(
            entry.format(
                spec.run,
                spec.table_name,
                sql.Literal(table.service["amo_deleted_at"]),
                S("to_jsonb(p.old_mark)"),
                S("to_jsonb(p.new_mark)"),
                plan,
                S("WHERE p.new_mark IS DISTINCT FROM p.old_mark"),
            )
        )
    return S("INSERT INTO {} (run_id, table_name, row_id, column_name, old_value, new_value) {}").format(
        spec.control("sync_changes"), S(" UNION ALL ").join(branches)
    )


def kept_cells(spec: MergeSpec) -> sql.Composed:
    """Edits that stay, conflicts left out: table, row, column, base, ours, theirs."""
    branches = [
        S("SELECT {}, p.row_id::text, {}, to_jsonb(p.{}), to_jsonb(p.{}), to_jsonb(p.{}) FROM {} AS p WHERE {}").format(
            spec.table_name,
            sql.Literal(slot.column.name),
            slot.name("b"),
            slot.name("o"),
            slot.name("t"),
            spec.plan,
            S("(p.{} & {}) = {}").format(slot.name("d"), sql.Literal(EDIT | CONFLICT), sql.Literal(EDIT)),
        )
        for slot in spec.slots
    ]
    return S(" UNION ALL ").join(branches)


def record_conflicts(spec: MergeSpec) -> sql.Composed | None:
    """A row for each conflict; the base moves with it, so the same pair of values is recorded once.

    They are numbered in the order of the records.
    An older open conflict of the same cell is closed as superseded. None when no column can be in conflict.
    """
    branches = [
        S(
            "SELECT p.q, {} AS place, p.row_id::text AS row_id, {} AS column_name, to_jsonb(p.{}) AS base_value, "
            "to_jsonb(p.{}) AS crm_value, to_jsonb(p.{}) AS amo_value FROM {} AS p WHERE {}"
        ).format(
            sql.Literal(slot.index),
            sql.Literal(slot.column.name),
            slot.name("b"),
            slot.name("o"),
            slot.name("t"),
            spec.plan,
            bit(slot, CONFLICT),
        )
        for slot in spec.slots
        if "soft" in (spec.policy(slot.column), spec.first_policy(slot.column))
    ]
    if not branches:
        return None
    return S(
        "WITH x AS ({entries}), old AS (UPDATE {conflicts} AS c SET resolved_at = now(), resolution = 'superseded' "
        "FROM x WHERE c.table_name = {name} AND c.row_id = x.row_id AND c.column_name = x.column_name "
        "AND c.resolved_at IS NULL) "
        "INSERT INTO {conflicts} (run_id, table_name, row_id, column_name, base_value, crm_value, amo_value) "
        "SELECT {run}, {name}, x.row_id, x.column_name, x.base_value, x.crm_value, x.amo_value FROM x "
        "ORDER BY x.q, x.place"
    ).format(
        entries=S(" UNION ALL ").join(branches),
        conflicts=spec.control("sync_conflicts"),
        name=spec.table_name,
        run=spec.run,
    )
