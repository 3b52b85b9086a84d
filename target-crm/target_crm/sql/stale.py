"""SQL of a person's stale form: a value that amoCRM had sent before comes back over the newer one.

Somebody opens a row, amoCRM's change arrives, the form is saved with what it was opened with. That looks like a manual
edit, and protecting it would keep amoCRM's value out permanently: it is a conflict, which a person decides once.
"""

from __future__ import annotations

from psycopg import sql

from target_crm.sql.expressions import CONFLICT, EDIT, is_empty, same
from target_crm.sql.spec import MergeSpec, S, Slot, comma
from target_crm.sql.stored import STORED


def _protected(slot: Slot) -> sql.Composed:
    """Whether the plan takes the cell for a manual edit, and amoCRM has a value for it."""
    return S("(plan.{decision} & {flags}) = {edit} AND NOT {empty}").format(
        decision=slot.decision,
        flags=sql.Literal(EDIT | CONFLICT),
        edit=sql.Literal(EDIT),
        empty=is_empty(slot, S("plan.{}").format(slot.theirs)),
    )


def soft_slots(spec: MergeSpec) -> list[Slot]:
    """The columns in which there can be conflicts."""
    return [slot for slot in spec.slots if spec.policy(slot.column) == "soft"]


def count_protected(spec: MergeSpec) -> sql.Composed:
    """How many manual edits each of the soft columns has, in one row."""
    counts = [S("count(*) FILTER (WHERE {})").format(_protected(slot)) for slot in soft_slots(spec)]
    return S("SELECT {} FROM {} AS plan").format(comma(counts), spec.plan)


def _is_ours(slot: Slot, form: sql.Composable) -> sql.Composed:
    """Whether a value of the journal (jsonb) is what the row holds now. An older type of the column must do no harm."""
    ours, text = S("plan.{}").format(slot.ours), S("({} #>> '{{}}')").format(form)
    family = slot.live.family
    if family == "text":
        return S("({} IS NOT NULL AND {})").format(text, same(slot, ours, text))
    if family == "array":
        return S("(to_jsonb({ours}) @> {form} AND to_jsonb({ours}) <@ {form})").format(ours=ours, form=form)
    if family == "timestamp":
        return S("CASE WHEN {text} ~ '^\\d{{4}}-\\d\\d-\\d\\dT\\d' THEN {ours} = {text}::{} ELSE false END").format(
            S(slot.live.type_sql), text=text, ours=ours
        )
    return S("to_jsonb({}) = {}").format(ours, form)


def mark_conflicts(spec: MergeSpec, slot: Slot) -> sql.Composed:
    """Turns protected edits of the column that are former values of amoCRM into conflicts, each pair of values once.

    The journal knows them: as the base of documents that were replaced and of rows that were inserted, and as what
    loads wrote in the database's spelling.
    """
    table, name = spec.live.mapping, sql.Literal(slot.column.name)
    raw = sql.Literal(table.raw_fields)
    former = S(
        """
        CASE
            WHEN change.column_name = '*' THEN {inserted}
            WHEN change.column_name = {raw} THEN {base} OR {stored}
            WHEN change.column_name = {name} THEN {written}
                AND EXISTS (SELECT FROM {runs} AS run WHERE run.id = change.run_id AND run.kind = 'load')
            ELSE false
        END
        """
    ).format(
        inserted=_is_ours(slot, S("(change.new_value->{})").format(name)),
        raw=raw,
        base=_is_ours(slot, S("(change.old_value->'amo_values'->{})").format(name)),
        stored=_is_ours(slot, S("(change.old_value->{}->{})").format(sql.Literal(STORED), name)),
        name=name,
        written=_is_ours(slot, S("change.new_value")),
        runs=spec.control("sync_runs"),
    )
    return S(
        """
        UPDATE {plan} AS cell SET {decision} = cell.{decision} | {conflict}
        FROM (
            SELECT plan.seq FROM {plan} AS plan
            WHERE {protected} AND EXISTS (
                SELECT FROM {changes} AS change
                WHERE change.row_id = plan.row_id::text AND change.table_name = {table}
                    AND change.column_name IN ('*', {raw}, {name}) AND {former}
            ) AND NOT EXISTS (
                SELECT FROM {conflicts} AS earlier
                WHERE earlier.table_name = {table} AND earlier.row_id = plan.row_id::text
                    AND earlier.column_name = {name} AND earlier.crm_value = to_jsonb(plan.{ours})
                    AND earlier.amo_value = to_jsonb(plan.{theirs})
            )
        ) AS stale
        WHERE cell.seq = stale.seq
        """
    ).format(
        plan=spec.plan,
        decision=slot.decision,
        conflict=sql.Literal(CONFLICT),
        protected=_protected(slot),
        changes=spec.control("sync_changes"),
        conflicts=spec.control("sync_conflicts"),
        table=spec.table_name,
        raw=raw,
        name=name,
        former=former,
        ours=slot.ours,
        theirs=slot.theirs,
    )
