"""SQL of values that the database stores in a spelling of its own: triggers that write capitals or tidy phones.

What the loader left in a row is not an edit. Where it is not what was written, it is remembered in the row's document
beside the base, by column, under `amo_stored`; so are defaults that were written in the place of nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from target_crm.sql.expressions import EDIT, TAKE
from target_crm.sql.spec import I, MergeSpec, S, Slot

STORED = "amo_stored"


def _forms(values: Sequence[tuple[Slot, sql.Composable]]) -> sql.Composed:
    """An object of those that are not NULL, by column; NULL when there are none."""
    rows = S(", ").join(S("({}, {})").format(sql.Literal(slot.column.name), value) for slot, value in values)
    return S(
        "(SELECT jsonb_object_agg(v.name, v.form) FROM (VALUES {}) AS v(name, form) WHERE v.form IS NOT NULL)"
    ).format(rows)


def _other(slot: Slot, written: sql.Composable) -> sql.Composed:
    """The row's value where it is not what was written."""
    now = S("t.{}").format(I(slot.column.name))
    return S("CASE WHEN {now} IS DISTINCT FROM {} THEN to_jsonb({now}) END").format(written, now=now)


def other_forms(spec: MergeSpec) -> sql.Composed:
    """Of the rows of the plan that have been written: q and the values that are not as they were written.

    A column that holds a person's edit is left out: it stays one, however a trigger spells it.
    """
    values: list[tuple[Slot, sql.Composable]] = []
    for slot in spec.slots:
        decided = S("p.{}").format(slot.name("d"))
        written = S("CASE WHEN ({} & {}) <> 0 THEN p.{} ELSE p.{} END").format(
            decided, sql.Literal(TAKE), slot.name("t"), slot.name("o")
        )
        form = S("CASE WHEN ({} & {}) = {} THEN NULL ELSE {} END").format(
            decided, sql.Literal(TAKE | EDIT), sql.Literal(EDIT), _other(slot, written)
        )
        values.append((slot, form))
    return S(
        "SELECT x.q, x.forms FROM (SELECT p.q, {forms} AS forms FROM {plan} AS p JOIN {table} AS t "
        "ON t.{account} = p.a AND t.{id} = p.row_id WHERE p.changed) AS x WHERE x.forms IS NOT NULL"
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
        written: sql.Composable = S("s.{}").format(slot.name("c"))
        if slot.column.name in defaults:
            written = S("coalesce({}, {})").format(written, default(spec, slot))
        values.append((slot, _other(slot, written)))
    return S(
        "SELECT x.q, x.forms FROM (SELECT s.q, {forms} AS forms FROM {born} AS b JOIN {stage} AS s ON s.q = b.q "
        "JOIN {table} AS t ON t.{account} = b.a AND t.{id} = b.row_id) AS x WHERE x.forms IS NOT NULL"
    ).format(
        forms=_forms(values),
        born=spec.temp("born"),
        stage=spec.temp("stage"),
        table=spec.live.identifier,
        account=I(spec.live.mapping.account or ""),
        id=I(spec.live.mapping.id),
    )


def remember(spec: MergeSpec, forms: Sequence[tuple[int, Any]], *, new: bool) -> sql.Composed:
    """Puts them into the documents that will be written, of the plan or of staged new records."""
    return S(
        "UPDATE {} AS p SET doc = p.doc || jsonb_build_object({name}, coalesce(p.doc->{name}, '{{}}') || x.forms) "
        "FROM unnest({}::integer[], {}::text[]::jsonb[]) AS x(q, forms) WHERE p.q = x.q"
    ).format(
        spec.temp("stage") if new else spec.plan,
        sql.Literal([q for q, _ in forms]),
        sql.Literal([text for _, text in forms]),
        name=sql.Literal(STORED),
    )


def default(spec: MergeSpec, slot: Slot) -> sql.Composed:
    """The value that the mapping gives a column in the place of nothing."""
    return S("{}::{}").format(sql.Literal(spec.live.mapping.defaults[slot.column.name]), S(slot.live.type_sql))


def with_defaults(spec: MergeSpec, document: sql.Composable) -> sql.Composable:
    """The document of a new record with the defaults that are written with it."""
    values = [
        (slot, S("CASE WHEN s.{} IS NULL THEN to_jsonb({}) END").format(slot.name("c"), default(spec, slot)))
        for slot in spec.slots
        if slot.column.name in spec.live.mapping.defaults
    ]
    if not values:
        return document
    return S(
        "{} || coalesce((SELECT jsonb_build_object({}, d.forms) FROM (SELECT {} AS forms) AS d "
        "WHERE d.forms IS NOT NULL), '{{}}')"
    ).format(document, sql.Literal(STORED), _forms(values))


def kept_forms(spec: MergeSpec) -> sql.Composed:
    """What stays remembered of a row whose document is written: nothing of columns that take a value or whose base
    moves."""
    moved = S(", ").join(
        S("CASE WHEN (z.{} & 3) <> 0 THEN {} END").format(slot.name("d"), sql.Literal(slot.column.name))
        for slot in spec.slots
    )
    return S(
        "(SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(z.old_stored) AS e "
        "WHERE e.key <> ALL(array_remove(ARRAY[{}]::text[], NULL)))"
    ).format(moved)
