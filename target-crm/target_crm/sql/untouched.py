"""SQL that tells whether somebody edited a row: whether it holds anything that the loader did not leave there.

What the mapping knows is compared with the base or the journal. A column of the application's own counts as untouched
while it holds what a row gets by itself; where that is not a constant (a time, a number of a sequence, what a trigger
makes), the journal's entry of an inserted row keeps it under `OWN` (`left_columns`). The loader's own stamps never
count.
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from target_crm.mapping.catalogue import LiveColumn, LiveTable
from target_crm.mapping.model import ItemSet
from target_crm.sql.document_keys import hosts_of, other_keys
from target_crm.sql.expressions import is_empty
from target_crm.sql.marks import is_as_loaded
from target_crm.sql.spec import I, S, Slot, trusted
from target_crm.sql.typed import as_value

# The value in the column of an item's source.
SOURCE = "amocrm"
# The columns of an item.
ITEM_COLUMNS = ("value", "comment", "type", "position")
# In the journal's entry of an inserted row: what the row held that the mapping does not tell.
OWN = "*"
# Before the names of such columns in an item's `amo_stored`, where roles have their plain names.
OWN_PREFIX = "own."
# Keys of raw_fields that are the loader's.
DOCUMENT_KEYS = ["amo", "amo_values", "amo_stored"]
_STAMPS = ("created_at", "updated_at", "amo_created_at", "amo_updated_at", "amo_deleted_at")


def stamps_of(live: LiveTable) -> set[str]:
    """Columns in which the loader keeps its own times."""
    return {name for role in _STAMPS if (name := live.mapping.service.get(role))}


def own_columns(live: LiveTable) -> list[LiveColumn]:
    """Columns that the mapping does not know, and that are not worked out from others."""
    table = live.mapping
    known = {table.id, table.account, table.amo_id, table.raw_fields, *stamps_of(live)}
    known |= {column.name for column in table.columns} | hosts_of(live).keys()
    return [column for name, column in live.columns.items() if name not in known and not column.computed]


def left_columns(live: LiveTable) -> list[str]:
    """Columns whose values right after the insertion only the database knows, or the mapping's defaults."""
    table, own = live.mapping, own_columns(live)
    if live.rewrites:
        mapped = [c.name for c in table.columns if c.name in live.columns]
        return [*(c.name for c in own), *mapped, *hosts_of(live), table.raw_fields]
    by_itself = [c.name for c in own if c.is_filled and c.default is None and c.name not in table.defaults]
    return [
        *by_itself,
        *hosts_of(live),
        *(name for name in table.defaults if name in live.columns and name not in hosts_of(live)),
    ]


def left_document(live: LiveTable, row: str) -> sql.Composed:
    """Those columns of a row as a document; of `raw_fields` what is not the loader's."""
    raw = live.mapping.raw_fields
    values = [
        S("({}.{} - {}::text[]) AS {}").format(I(row), I(raw), sql.Literal(DOCUMENT_KEYS), I(raw))
        if name == raw
        else S("{}.{}").format(I(row), I(name))
        for name in left_columns(live)
    ]
    return S("(SELECT to_jsonb(held) FROM (SELECT {}) AS held)").format(S(", ").join(values))


def as_made(column: LiveColumn, value: sql.Composable) -> sql.Composed:
    """Whether a column holds what rows get there by themselves, as far as the catalogue tells."""
    kind, text = trusted(column.type_sql), S("({})::text").format(value)
    fills: list[sql.Composable] = []
    if column.missing is not None:
        fills.append(S("{}::{}").format(sql.Literal(column.missing), kind))
    if column.default is not None:
        fills.append(S("({})::{}").format(trusted(column.default), kind))
    same: list[sql.Composable] = [S("{} IS NOT DISTINCT FROM ({})::text").format(text, fill) for fill in fills]
    if column.missing is None:
        same.append(S("{} IS NULL").format(value))
    return S("({})").format(S(" OR ").join(same))


def as_documented(column: LiveColumn, row: str, document: sql.Composable) -> sql.Composed:
    """Whether a column holds what a row's document says; of a column that is not in it, what rows get there."""
    value, name = S("{}.{}").format(I(row), I(column.name)), sql.Literal(column.name)
    return S(
        "CASE WHEN {doc} ? {name} THEN coalesce(to_jsonb({value}), 'null') = coalesce({doc}->{name}, 'null') "
        "ELSE {made} END"
    ).format(doc=document, name=name, value=value, made=as_made(column, value))


def row_untouched(live: LiveTable, row: str, lasting: sql.Composable, own: sql.Composable) -> sql.Composed:
    """Whether an inserted row still holds what its run left.

    Args:
        live: The row's table.
        row: The row's alias.
        lasting: The mapped columns as the run left them, a document without empty ones.
        own: Of the columns that the mapping does not know, those that the journal keeps.
    """
    conditions: list[sql.Composable] = []
    for column in live.mapping.columns:
        slot = Slot(0, column, live.columns[column.name])
        now = live.cell(row, column.name)
        left = as_value(live, column.name, S("({}->{})").format(lasting, sql.Literal(column.name)))
        conditions.append(
            S("({now} IS NOT DISTINCT FROM {left} OR ({} AND {}))").format(
                is_empty(slot, now), is_empty(slot, left), now=now, left=left
            )
        )
    conditions += [as_documented(column, row, own) for column in own_columns(live)]
    conditions.append(is_as_loaded(live, row))
    conditions += [
        S("{} = {}").format(
            other_keys(live, host, live.cell(row, host)),
            other_keys(live, host, S("({}->{})").format(own, sql.Literal(host))),
        )
        for host in hosts_of(live)
    ]
    raw, keys = I(live.mapping.raw_fields), sql.Literal(DOCUMENT_KEYS)
    conditions.append(
        S(
            "coalesce({row}.{raw} - {keys}::text[], '{{}}') "
            "= coalesce(nullif({own}->{name}, 'null') - {keys}::text[], '{{}}')"
        ).format(row=I(row), raw=raw, keys=keys, own=own, name=sql.Literal(live.mapping.raw_fields))
    )
    return S("({})").format(S(" AND ").join(conditions))


def item_roles_untouched(item_set: ItemSet, row: str) -> sql.Composed:
    """Whether what amoCRM sent for an item is still in its row, as it was written or as the database spelt it."""
    base = item_base(item_set, row)
    stored = S("({}.{}->'amo_stored')").format(I(row), I(item_set.raw_fields))
    return _all(
        S(
            "({now} IS NOT DISTINCT FROM nullif({base}->>{role}, '') OR coalesce({now} = {stored}->>{role}, false))"
        ).format(
            now=S("nullif({}.{}::text, '')").format(I(row), I(item_set.columns[role])),
            base=base,
            stored=stored,
            role=sql.Literal(role),
        )
        for role in ITEM_COLUMNS
        if role in item_set.columns
    )


def item_base(item_set: ItemSet, row: str) -> sql.Composed:
    """The item's own base."""
    return S("({}.{}->'amo_values')").format(I(row), I(item_set.raw_fields))


def item_untouched(item_set: ItemSet, live: LiveTable, row: str) -> sql.Composed:
    """Whether a row of a set came from amoCRM and nobody edited anything in it."""
    conditions: list[sql.Composable] = [
        S("{}->>'key' IS NOT NULL").format(item_base(item_set, row)),
        item_roles_untouched(item_set, row),
        S("coalesce({}.{} - {}::text[], '{{}}') = '{{}}'").format(
            I(row), I(item_set.raw_fields), sql.Literal(DOCUMENT_KEYS)
        ),
    ]
    if "source" in item_set.columns:
        source = S("{}.{}::text").format(I(row), I(item_set.columns["source"]))
        conditions.append(S("coalesce({}, {ours}) = {ours}").format(source, ours=sql.Literal(SOURCE)))
    for name, value in item_set.defaults.items():
        kind = trusted(live.columns[name].type_sql)
        conditions.append(
            S("coalesce({row}.{c}::text = {}::{}::text, true)").format(sql.Literal(value), kind, row=I(row), c=I(name))
        )
    stored = S("({}.{}->'amo_stored')").format(I(row), I(item_set.raw_fields))
    conditions += [
        S("({made} OR coalesce({now}::text = {stored}->>{name}, false))").format(
            made=as_made(column, now), now=now, stored=stored, name=sql.Literal(OWN_PREFIX + column.name)
        )
        for column in item_own_columns(item_set, live)
        for now in [S("{}.{}").format(I(row), I(column.name))]
    ]
    return _all(conditions)


def item_filled_columns(item_set: ItemSet, live: LiveTable) -> list[str]:
    """Those of a set's own columns that rows get something of which only the database knows: a time, a number, what a
    trigger makes. It is kept in the item's document, so that it is not taken for an edit."""
    own = item_own_columns(item_set, live)
    return [c.name for c in own if live.rewrites or (c.is_filled and c.default is None)]


def item_own_columns(item_set: ItemSet, live: LiveTable) -> list[LiveColumn]:
    """Columns of a set's table that the mapping does not know."""
    known = {item_set.id, item_set.parent, item_set.raw_fields, item_set.created_at, item_set.updated_at}
    known |= {*item_set.columns.values(), *item_set.defaults}
    return [column for name, column in live.columns.items() if name not in known and not column.computed]


def item_as_left(item_set: ItemSet, live: LiveTable, row: str, document: sql.Composable) -> sql.Composed:
    """Whether a row of a set is as its journalled document says, but for the loader's own times."""
    stamps = {item_set.created_at, item_set.updated_at}
    return _all(
        as_documented(column, row, document)
        for name, column in live.columns.items()
        if name not in stamps and not column.computed
    )


def _all(conditions: Iterable[sql.Composable]) -> sql.Composed:
    return S("({})").format(S(" AND ").join(list(conditions) or [S("true")]))
