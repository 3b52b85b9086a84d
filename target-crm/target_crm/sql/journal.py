"""The journal of changes: its one writer, and what a merge writes into it and into the conflicts from its plan."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from target_crm.sql.expressions import CONFLICT, EDIT, TAKE
from target_crm.sql.marks import written_mark
from target_crm.sql.merge import bit
from target_crm.sql.spec import I, MergeSpec, S, Slot
from target_crm.sql.staging import limited
from target_crm.sql.staging_table import insert_from
from target_crm.sql.stored import STORED


def write_entries(
    schema: str, run_id: int, table: str, entries: sql.Composable, changes: sql.Composable | None = None
) -> sql.Composed:
    """Writes entries of one table: rows of row_id, column_name, old_value, new_value.

    Column `*` stands for a whole row, the column of raw records for the raw record and base that were replaced.
    `changes` are parts of a WITH (`name AS (...), ...`) that write what is journalled.
    """
    query = S(
        """
        SELECT {run}::bigint AS run_id, {table}::text AS table_name, entry.row_id, entry.column_name, entry.old_value,
            entry.new_value
        FROM ({entries}) AS entry(row_id, column_name, old_value, new_value)
        """
    ).format(run=sql.Literal(run_id), table=sql.Literal(table), entries=entries)
    columns = S("run_id, table_name, row_id, column_name, old_value, new_value")
    return insert_from(I(schema, "sync_changes"), columns, query, changes)


def copy_inserted(spec: MergeSpec) -> sql.Composed:
    """COPY of entries for inserted rows: column `*` with the new base, the items of the sets included."""
    return S("COPY {} (run_id, table_name, row_id, column_name, new_value) FROM STDIN").format(
        spec.control("sync_changes")
    )


def journal_changes(spec: MergeSpec, rows: int, written: Iterable[Slot], *, marks: bool) -> sql.Composed:
    """One entry for each column that the plan writes, and one for the document that the row has now.

    `written` are the columns that are written at all, `marks` tells whether any mark of deletion changes.

    Runs before the rows are written. One scan of the plan for each column is cheaper than taking all columns of each
    row apart.
    """
    table = spec.live.mapping
    branches = [
        S(
            """
            SELECT plan.row_id::text, {name}, to_jsonb(plan.{ours}),
                coalesce(plan.document->{stored}->{name}, to_jsonb(plan.{theirs}))
            FROM {plan} AS plan WHERE plan.changed AND {take}
            """
        ).format(
            name=sql.Literal(slot.column.name),
            ours=slot.ours,
            stored=sql.Literal(STORED),
            theirs=slot.theirs,
            plan=spec.plan,
            take=bit(slot, TAKE),
        )
        for slot in written
    ]
    branches.append(
        S(
            """
            SELECT plan.row_id::text, {name}, crm.{raw}, NULL::jsonb
            FROM {plan} AS plan
            JOIN {table} AS crm ON crm.{account} = plan.account_id AND crm.{id} = plan.row_id
            WHERE plan.changed
            """
        ).format(
            name=sql.Literal(table.raw_fields),
            raw=I(table.raw_fields),
            plan=limited(spec.plan, rows),
            table=spec.live.identifier,
            account=I(table.account or ""),
            id=I(table.id),
        )
    )
    mark = table.service["amo_deleted_at"]
    if mark and marks and spec.only is None:
        branches.append(_mark_entries(spec, mark))
    return write_entries(spec.schema, spec.run_id, table.table, S(" UNION ALL ").join(branches))


def _mark_entries(spec: MergeSpec, mark: str) -> sql.Composed:
    """One entry for each mark of deletion that the plan changes."""
    if spec.live.mapping.flag is None:
        return S(
            """
            SELECT plan.row_id::text, {}, to_jsonb(plan.old_mark), to_jsonb(plan.new_mark)
            FROM {} AS plan WHERE plan.new_mark IS DISTINCT FROM plan.old_mark
            """
        ).format(sql.Literal(mark), spec.plan)
    return S(
        """
        SELECT plan.row_id::text, {name}, to_jsonb(crm.{column}), to_jsonb({new})
        FROM {plan} AS plan
        JOIN {table} AS crm ON crm.{account} = plan.account_id AND crm.{id} = plan.row_id
        WHERE plan.new_mark IS DISTINCT FROM plan.old_mark
        """
    ).format(
        name=sql.Literal(mark),
        column=I(mark),
        new=written_mark(spec.live, spec.schema, "crm", S("plan.old_mark"), S("plan.new_mark")),
        plan=spec.plan,
        table=spec.live.identifier,
        account=I(spec.live.mapping.account or ""),
        id=I(spec.live.mapping.id),
    )


def kept_cells(spec: MergeSpec) -> sql.Composed:
    """Edits that stay, conflicts left out: table, row, column, base, ours, theirs."""
    branches = [
        S(
            """
            SELECT {table}, plan.row_id::text, {name}, to_jsonb(plan.{base}), to_jsonb(plan.{ours}),
                to_jsonb(plan.{theirs})
            FROM {plan} AS plan WHERE (plan.{decision} & {flags}) = {edit}
            """
        ).format(
            table=spec.table_name,
            name=sql.Literal(slot.column.name),
            base=slot.base,
            ours=slot.ours,
            theirs=slot.theirs,
            plan=spec.plan,
            decision=slot.decision,
            flags=sql.Literal(EDIT | CONFLICT),
            edit=sql.Literal(EDIT),
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
            """
            SELECT plan.seq, {place} AS place, plan.row_id::text AS row_id, {name} AS column_name,
                to_jsonb(plan.{base}) AS base_value, to_jsonb(plan.{ours}) AS crm_value,
                to_jsonb(plan.{theirs}) AS amo_value
            FROM {plan} AS plan WHERE {conflict}
            """
        ).format(
            place=sql.Literal(slot.index),
            name=sql.Literal(slot.column.name),
            base=slot.base,
            ours=slot.ours,
            theirs=slot.theirs,
            plan=spec.plan,
            conflict=bit(slot, CONFLICT),
        )
        for slot in spec.slots
        if "soft" in (spec.policy(slot.column), spec.first_policy(slot.column))
    ]
    if not branches:
        return None
    return S(
        """
        WITH found AS ({entries}),
        superseded AS (
            UPDATE {conflicts} AS conflict SET resolved_at = now(), resolution = 'superseded'
            FROM found
            WHERE conflict.table_name = {table} AND conflict.row_id = found.row_id
                AND conflict.column_name = found.column_name AND conflict.resolved_at IS NULL
        )
        INSERT INTO {conflicts} (run_id, table_name, row_id, column_name, base_value, crm_value, amo_value)
        SELECT {run}, {table}, found.row_id, found.column_name, found.base_value, found.crm_value, found.amo_value
        FROM found ORDER BY found.seq, found.place
        """
    ).format(
        entries=S(" UNION ALL ").join(branches),
        conflicts=spec.control("sync_conflicts"),
        table=spec.table_name,
        run=spec.run,
    )
