"""SQL of values that the database stores in another spelling: triggers that write capitals or tidy phones.

What the loader left in a row is not an edit. Where it is not what was written, it is remembered in the row's document
beside the base, by column, under `amo_stored`; so are defaults that were written instead of nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from target_crm.sql.expressions import EDIT, MOVE, TAKE
from target_crm.sql.spec import I, MergeSpec, S, Slot

STORED = "amo_stored"


def object_of(rows: sql.Composable) -> sql.Composed:
    """An object of pairs (name, form), those left out whose form is NULL; NULL for nothing."""
    return S(
        """
        (SELECT jsonb_object_agg(cell.name, cell.form)
        FROM (VALUES {}) AS cell(name, form) WHERE cell.form IS NOT NULL)
        """
    ).format(rows)


def _forms(values: Sequence[tuple[Slot, sql.Composable]]) -> sql.Composed:
    """An object of those that are not NULL, by column; NULL when there are none."""
    return object_of(S(", ").join(S("({}, {})").format(sql.Literal(slot.column.name), value) for slot, value in values))


def _other(spec: MergeSpec, slot: Slot, written: sql.Composable) -> sql.Composed:
    """The row's value where it is not what was written."""
    now = spec.live.cell("crm", slot.column.name)
    return S("CASE WHEN {now} IS DISTINCT FROM {} THEN to_jsonb({now}) END").format(written, now=now)


def other_forms(spec: MergeSpec) -> sql.Composed:
    """Of the rows of the plan that have been written: sequence and the values that are not as they were written.

    A column that holds a person's edit is left out: it stays one, however a trigger spells it.
    """
    values: list[tuple[Slot, sql.Composable]] = []
    for slot in spec.slots:
        decided = S("plan.{}").format(slot.decision)
        written = S("CASE WHEN ({} & {}) <> 0 THEN plan.{} ELSE plan.{} END").format(
            decided, sql.Literal(TAKE), slot.theirs, slot.ours
        )
        form = S("CASE WHEN ({} & {}) = {} THEN NULL ELSE {} END").format(
            decided, sql.Literal(TAKE | EDIT), sql.Literal(EDIT), _other(spec, slot, written)
        )
        values.append((slot, form))
    return S(
        """
        SELECT written.seq, written.forms
        FROM (
            SELECT plan.seq, {forms} AS forms
            FROM {plan} AS plan
            JOIN {table} AS crm ON crm.{account} = plan.account_id AND crm.{id} = plan.row_id
            WHERE plan.changed
        ) AS written
        WHERE written.forms IS NOT NULL
        """
    ).format(
        forms=_forms(values),
        plan=spec.plan,
        table=spec.live.identifier,
        account=I(spec.live.mapping.account or ""),
        id=I(spec.live.mapping.id),
    )


def other_forms_of_new(spec: MergeSpec) -> sql.Composed:
    """The same of rows that have been inserted."""
    defaults = spec.live.mapping.defaults
    values: list[tuple[Slot, sql.Composable]] = []
    for slot in spec.slots:
        written: sql.Composable = S("staged.{}").format(slot.staged)
        if slot.column.name in defaults:
            written = S("coalesce({}, {})").format(written, default(spec, slot))
        values.append((slot, _other(spec, slot, written)))
    return S(
        """
        SELECT written.seq, written.forms
        FROM (
            SELECT staged.seq, {forms} AS forms
            FROM {inserted} AS inserted
            JOIN {stage} AS staged ON staged.seq = inserted.seq
            JOIN {table} AS crm ON crm.{account} = inserted.account_id AND crm.{id} = inserted.row_id
        ) AS written
        WHERE written.forms IS NOT NULL
        """
    ).format(
        forms=_forms(values),
        inserted=spec.temp("inserted"),
        stage=spec.temp("stage"),
        table=spec.live.identifier,
        account=I(spec.live.mapping.account or ""),
        id=I(spec.live.mapping.id),
    )


def remember(spec: MergeSpec, forms: Sequence[tuple[int, Any]], *, new: bool) -> sql.Composed:
    """Puts them into the documents that will be written, of the plan or of staged new records."""
    return S(
        """
        UPDATE {} AS target SET document = target.document || jsonb_build_object(
            {name}, coalesce(target.document->{name}, '{{}}') || written.forms
        )
        FROM unnest({}::integer[], {}::text[]::jsonb[]) AS written(seq, forms)
        WHERE target.seq = written.seq
        """
    ).format(
        spec.temp("stage") if new else spec.plan,
        sql.Literal([seq for seq, _ in forms]),
        sql.Literal([text for _, text in forms]),
        name=sql.Literal(STORED),
    )


def default(spec: MergeSpec, slot: Slot) -> sql.Composed:
    """The value that the mapping gives a column instead of nothing."""
    return S("{}::{}").format(sql.Literal(spec.live.mapping.defaults[slot.column.name]), S(slot.live.type_sql))


def with_defaults(spec: MergeSpec, document: sql.Composable) -> sql.Composable:
    """The document of a new record with the defaults that are written with it."""
    values = [
        (slot, S("CASE WHEN staged.{} IS NULL THEN to_jsonb({}) END").format(slot.staged, default(spec, slot)))
        for slot in spec.slots
        if slot.column.name in spec.live.mapping.defaults
    ]
    if not values:
        return document
    return S(
        """
        {} || coalesce((
            SELECT jsonb_build_object({}, given.forms) FROM (SELECT {} AS forms) AS given WHERE given.forms IS NOT NULL
        ), '{{}}')
        """
    ).format(document, sql.Literal(STORED), _forms(values))


def kept_forms(spec: MergeSpec, row: str) -> sql.Composed:
    """What stays remembered of a row whose document is written: nothing of columns that take a value or whose base
    moves. `row` is the alias of the decisions and of what was remembered."""
    moved = S(", ").join(
        S("CASE WHEN ({}.{} & {}) <> 0 THEN {} END").format(
            I(row), slot.decision, sql.Literal(TAKE | MOVE), sql.Literal(slot.column.name)
        )
        for slot in spec.slots
    )
    return S(
        """
        (SELECT jsonb_object_agg(form.key, form.value) FROM jsonb_each({}.old_stored) AS form
        WHERE form.key <> ALL(array_remove(ARRAY[{}]::text[], NULL)))
        """
    ).format(I(row), moved)
