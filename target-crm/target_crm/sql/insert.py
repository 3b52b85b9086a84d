"""Compiles what happens to staged records that have no row yet, where they can't be copied into the table directly."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.mapping.model import Expression, ItemSet
from target_crm.sql.document_keys import new_documents
from target_crm.sql.journal import write_entries
from target_crm.sql.marks import mark_of_new
from target_crm.sql.rules import lasting_tombstone
from target_crm.sql.spec import I, MergeSpec, S, comma, trusted
from target_crm.sql.staging_table import on_citus
from target_crm.sql.stored import default, with_defaults
from target_crm.sql.untouched import ITEM_COLUMNS, OWN, SOURCE, left_columns, left_document


def insert_rows(spec: MergeSpec) -> sql.Composed:
    """Inserts the new records in the order in which they came; `inserted` remembers row, version and base."""
    table = spec.live.mapping
    written = _written(spec)
    names = comma(name for name, _ in written)
    rows = S(
        """
        SELECT {values}
        FROM {stage} AS staged
        LEFT JOIN {keys} AS known
            ON known.account_id = staged.account_id AND known.table_name = {name} AND known.amo_id = staged.amo_id
        WHERE staged.is_new
        ORDER BY staged.seq
        """
    ).format(
        values=comma(value for _, value in written),
        stage=spec.temp("stage"),
        keys=spec.control("sync_keys"),
        name=spec.table_name,
    )
    # As in `insert_from`.
    first = S("missing ({}) AS MATERIALIZED ({}), ").format(names, rows)
    return S(
        """
        WITH {missing}written AS (
            INSERT INTO {table} AS crm ({names})
            {rows}
            RETURNING crm.{account} AS account_id, crm.{amo_id} AS amo_id, crm.{id} AS row_id, {version} AS version,
                (crm.{raw}->'amo_values') || coalesce(crm.{raw}->'amo_stored', '{{}}') AS base
        )
        INSERT INTO {inserted} (seq, account_id, amo_id, row_id, version, base)
        SELECT staged.seq, written.account_id, written.amo_id, written.row_id, written.version, written.base
        FROM written
        JOIN {stage} AS staged ON staged.account_id = written.account_id AND staged.amo_id = written.amo_id
        """
    ).format(
        missing=on_citus(S(""), first),
        rows=on_citus(rows, S("SELECT missing.* FROM missing")),
        table=spec.live.identifier,
        names=names,
        stage=spec.temp("stage"),
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        id=I(table.id),
        version=spec.version,
        raw=I(table.raw_fields),
        inserted=spec.temp("inserted"),
    )


def _written(spec: MergeSpec) -> list[tuple[sql.Composable, sql.Composable]]:
    """The columns of a new row and their values: mapped ones, defaults, keys, the document, times."""
    table = spec.live.mapping
    written: list[tuple[sql.Composable, sql.Composable]] = []
    for slot in spec.slots:
        if slot.live.host is not None:
            continue
        value: sql.Composable = S("staged.{}").format(slot.staged)
        if slot.column.name in table.defaults:
            value = S("coalesce({}, {})").format(value, default(spec, slot))
        written.append((I(slot.column.name), value))
    keys = [slot for slot in spec.slots if slot.live.host is not None]
    written += new_documents(spec.live, ((k.column.name, S("staged.{}").format(k.staged)) for k in keys))
    mapped = {slot.live.host or slot.column.name for slot in spec.slots}
    written += [(I(n), _fixed(spec, n, v)) for n, v in table.defaults.items() if n not in mapped]
    written += [
        (I(table.account or ""), S("staged.account_id")),
        (I(table.amo_id or ""), S("staged.amo_id")),
        (I(table.raw_fields), with_defaults(spec, S("staged.document"))),
    ]
    stamps = {
        "created_at": S("now()"),
        "updated_at": S("now()"),
        "amo_created_at": S("staged.created_at"),
        "amo_updated_at": S("staged.updated_at"),
        "amo_deleted_at": mark_of_new(spec.live, lasting_tombstone(S("staged.updated_at"), S("known.amo_deleted_at"))),
    }
    return written + [(name, stamp) for role, stamp in stamps.items() if (name := spec.service(role)) is not None]


def _fixed(spec: MergeSpec, name: str, value: Any) -> sql.Composable:
    if isinstance(value, Expression):
        return S("({})").format(trusted(value.text))
    return typed(spec.live, name, value)


def remember_keys(spec: MergeSpec) -> sql.Composed:
    """Remembers which record became which row."""
    return S(
        """
        INSERT INTO {keys} AS known (account_id, table_name, amo_id, row_id, record_hash, row_version, amo_updated_at)
        SELECT inserted.account_id, {name}, inserted.amo_id, inserted.row_id::text, staged.record_hash,
            inserted.version, staged.updated_at
        FROM {inserted} AS inserted
        JOIN {stage} AS staged ON staged.seq = inserted.seq
        ORDER BY inserted.seq
        ON CONFLICT (account_id, table_name, amo_id) DO UPDATE SET
            row_id = excluded.row_id, record_hash = excluded.record_hash, row_version = excluded.row_version,
            is_edited = false, amo_updated_at = excluded.amo_updated_at, amo_deleted_at = {tombstone}
        """
    ).format(
        keys=spec.control("sync_keys"),
        name=spec.table_name,
        inserted=spec.temp("inserted"),
        stage=spec.temp("stage"),
        tombstone=lasting_tombstone(S("excluded.amo_updated_at"), S("known.amo_deleted_at")),
    )


def journal_inserted(spec: MergeSpec) -> sql.Composed:
    """One entry for each inserted row: column `*` with the new base, the items of its sets included; beside the base
    what else the row holds that nobody could tell later (`untouched.left_columns`)."""
    base, joined = S("inserted.base").format(), S("").format()
    if left_columns(spec.live):
        base = S("inserted.base || jsonb_build_object({}, {})").format(
            sql.Literal(OWN), left_document(spec.live, "crm")
        )
        joined = S("JOIN {} AS crm ON crm.{} = inserted.row_id").format(spec.live.identifier, I(spec.live.mapping.id))
    entries = S(
        """
        SELECT inserted.row_id::text, '*', NULL::jsonb, {base}
        FROM {inserted} AS inserted {joined} ORDER BY inserted.seq
        """
    ).format(base=base, inserted=spec.temp("inserted"), joined=joined)
    return write_entries(spec.schema, spec.run_id, spec.live.mapping.table, entries)


def typed(live: LiveTable, name: str, value: Any) -> sql.Composable:
    """A constant of a column's type; a text is left to be assigned, which refuses what a cast would cut."""
    column = live.columns[name]
    return (
        sql.Literal(value)
        if column.family == "text"
        else S("{}::{}").format(sql.Literal(value), trusted(column.type_sql))
    )


def item_value(item_set: ItemSet, role: str, value: sql.Composable) -> sql.Composable:
    """An item's value as its column takes it: '' for nothing where the column is NOT NULL."""
    return S("coalesce({}, '')").format(value) if role in item_set.blank else value


def item_columns(item_set: ItemSet, live: LiveTable, owner: sql.Composable) -> tuple[sql.Composed, sql.Composed]:
    """Names and values, of their columns' types, of a set's row that is made of the staged item `item`."""
    written: list[tuple[str, sql.Composable]] = [(item_set.parent, owner)]
    written += [
        (item_set.columns[role], item_value(item_set, role, S("item.{}").format(I(role))))
        for role in ITEM_COLUMNS
        if role in item_set.columns
    ]
    written.append((item_set.raw_fields, S("item.document")))
    if "source" in item_set.columns:
        written.append((item_set.columns["source"], typed(live, item_set.columns["source"], SOURCE)))
    written += [(stamp, S("now()")) for stamp in (item_set.created_at, item_set.updated_at) if stamp]
    written += [(name, typed(live, name, value)) for name, value in item_set.defaults.items()]
    return comma(I(name) for name, _ in written), comma(value for _, value in written)


def insert_items_of_new(spec: MergeSpec, index: int) -> sql.Composed:
    """The items of new rows: nothing can be there yet, so nothing is compared."""
    item_set = spec.live.mapping.sets[index]
    live = spec.live.sets[item_set.name]
    names, values = item_columns(item_set, live, S("inserted.row_id"))
    return S(
        """
        WITH missing ({names}) AS MATERIALIZED (
            SELECT {values}
            FROM {items} AS item
            JOIN {inserted} AS inserted ON inserted.seq = item.seq
            WHERE item.set_number = {index} ORDER BY item.seq, item.position
        )
        INSERT INTO {table} ({names}) SELECT missing.* FROM missing
        """
    ).format(
        table=live.identifier,
        names=names,
        values=values,
        items=spec.temp("items"),
        inserted=spec.temp("inserted"),
        index=sql.Literal(index),
    )


def count_items_of_new(spec: MergeSpec, index: int) -> sql.Composed:
    """How many items new rows have in one set."""
    return S(
        """
        SELECT count(*)
        FROM {} AS item
        JOIN {} AS inserted ON inserted.seq = item.seq
        WHERE item.set_number = {} AND item.position >= 0
        """
    ).format(spec.temp("items"), spec.temp("inserted"), sql.Literal(index))
