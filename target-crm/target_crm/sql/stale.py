"""SQL of a person's stale form: a value that amoCRM had sent before comes back over the newer one.

Somebody opens a row, amoCRM's change arrives, the form is saved with what it was opened with. That looks like an edit
by hand, and protecting it would keep amoCRM's value out for good: it is a conflict, which a person decides once.
"""

from __future__ import annotations

from psycopg import sql

from target_crm.sql.expressions import CONFLICT, EDIT, is_empty, same
from target_crm.sql.spec import MergeSpec, S, Slot, comma
from target_crm.sql.stored import STORED


def _protected(slot: Slot) -> sql.Composed:
    """Whether the plan takes the cell for an edit by hand, and amoCRM has a value for it."""
    return S("(p.{d} & {flags}) = {edit} AND NOT {empty}").format(
        d=slot.name("d"),
        flags=sql.Literal(EDIT | CONFLICT),
        edit=sql.Literal(EDIT),
        empty=is_empty(slot, S("p.{}").format(slot.name("t"))),
    )


def soft_slots(spec: MergeSpec) -> list[Slot]:
    """The columns in which there can be conflicts."""
    return [slot for slot in spec.slots if spec.policy(slot.column) == "soft"]


def count_protected(spec: MergeSpec) -> sql.Composed:
    """How many edits by hand each of the soft columns has, in one row."""
    counts = [S("count(*) FILTER (WHERE {})").format(_protected(slot)) for slot in soft_slots(spec)]
    return S("SELECT {} FROM {} AS p").format(comma(counts), spec.plan)


def _is_ours(slot: Slot, form: sql.Composable) -> sql.Composed:
    """Whether a value of the journal (jsonb) is what the row holds now. An older type of the column must do no harm."""
    ours, text = S("p.{}").format(slot.name("o")), S("({} #>> '{{}}')").format(form)
    family = slot.live.family
    if family == "text":
        return S("({} IS NOT NULL AND {})").format(text, same(slot, ours, text))
    if family == "array":
        return S("(to_jsonb({o}) @> {f} AND to_jsonb({o}) <@ {f})").format(o=ours, f=form)
    if family == "timestamp":
        return S("CASE WHEN {t} ~ '^\\d{{4}}-\\d\\d-\\d\\dT\\d' THEN {o} = {t}::{} ELSE false END").format(
            S(slot.live.type_sql), t=text, o=ours
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
        "CASE c.column_name WHEN '*' THEN {born} WHEN {raw} THEN {base} OR {stored} WHEN {name} THEN {written} "
        "AND EXISTS (SELECT FROM {runs} AS r WHERE r.id = c.run_id AND r.kind = 'load') ELSE false END"
    ).format(
        born=_is_ours(slot, S("(c.new_value->{})").format(name)),
        raw=raw,
        base=_is_ours(slot, S("(c.old_value->'amo_values'->{})").format(name)),
        stored=_is_ours(slot, S("(c.old_value->{}->{})").format(sql.Literal(STORED), name)),
        name=name,
        written=_is_ours(slot, S("c.new_value")),
        runs=spec.control("sync_runs"),
    )
    return S(
        "UPDATE {plan} AS w SET {d} = w.{d} | {conflict} FROM (SELECT p.q FROM {plan} AS p WHERE {protected} "
        "AND EXISTS (SELECT FROM {changes} AS c WHERE c.row_id = p.row_id::text AND c.table_name = {table} "
        "AND c.column_name IN ('*', {raw}, {name}) AND {former}) "
        "AND NOT EXISTS (SELECT FROM {conflicts} AS f WHERE f.table_name = {table} AND f.row_id = p.row_id::text "
        "AND f.column_name = {name} AND f.crm_value = to_jsonb(p.{o}) AND f.amo_value = to_jsonb(p.{t}))) AS x "
        "WHERE w.q = x.q"
    ).format(
        plan=spec.plan,
        d=slot.name("d"),
        conflict=sql.Literal(CONFLICT),
        protected=_protected(slot),
        changes=spec.control("sync_changes"),
        conflicts=spec.control("sync_conflicts"),
        table=spec.table_name,
        raw=raw,
        name=name,
        former=former,
        o=slot.name("o"),
        t=slot.name("t"),
    )
