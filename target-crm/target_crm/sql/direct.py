"""SQL that copies new records straight into their tables: rows, items of sets, keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.mapping.model import ItemSet
from target_crm.records.envelope import SeenRecord
from target_crm.sql.document_keys import hosts_of
from target_crm.sql.rules import lasting_tombstone
from target_crm.sql.spec import I, MergeSpec, S, comma
from target_crm.sql.untouched import ITEM_COLUMNS, left_document

# Of a new row, by role, in this order.
STAMPS = ("created_at", "updated_at", "amo_created_at", "amo_updated_at", "amo_deleted_at")


def copy_rows(spec: MergeSpec) -> sql.Composed:
    """COPY of rows: key, account, amo id, document, stamps, mapped columns, other defaults."""
    table = spec.live.mapping
    mapped = [slot.column.name for slot in spec.slots if slot.live.host is None] + list(hosts_of(spec.live))
    names = [table.id, table.account or "", table.amo_id or "", table.raw_fields]
    names += [name for role in STAMPS if (name := table.service[role])]
    names += [*mapped, *(name for name in table.defaults if name not in mapped)]
    return S("COPY {} ({}) FROM STDIN").format(spec.live.identifier, comma(map(I, names)))


def has_own_keys(live: LiveTable, key: str) -> bool:
    """Whether the loader makes the keys of a set's new rows: UUIDs; a sequence fills in its numbers by itself."""
    column = live.columns.get(key)
    return column is not None and column.family == "uuid"


def _item_names(item_set: ItemSet, *, with_key: bool) -> list[str]:
    """The columns of a set's table in the order of COPY: key (where it is made here), parent, document, roles of an
    item, source, stamps, defaults."""
    names = [item_set.id] if with_key else []
    names += [item_set.parent, item_set.raw_fields]
    names += [item_set.columns[role] for role in ITEM_COLUMNS if role in item_set.columns]
    if "source" in item_set.columns:
        names.append(item_set.columns["source"])
    names += [stamp for stamp in (item_set.created_at, item_set.updated_at) if stamp]
    return [*names, *item_set.defaults]


def copy_set(item_set: ItemSet, live: LiveTable) -> sql.Composed:
    """COPY of a set's rows."""
    names = _item_names(item_set, with_key=has_own_keys(live, item_set.id))
    return S("COPY {} ({}) FROM STDIN").format(live.identifier, comma(map(I, names)))


def copy_keys(spec: MergeSpec) -> sql.Composed:
    """COPY of which record became which row."""
    return S(
        "COPY {} (account_id, table_name, amo_id, row_id, record_hash, row_version, amo_updated_at) FROM STDIN"
    ).format(spec.control("sync_keys"))


def update_keys(spec: MergeSpec, version: int | None, known: Sequence[tuple[SeenRecord, Any]]) -> sql.Composed:
    """The same for existing keys (tombstones, rows that a person deleted): records with row keys."""
    columns = (
        [r.account_id for r, _ in known],
        [r.amo_id for r, _ in known],
        [str(key) for _, key in known],
        [r.hash for r, _ in known],
        [r.updated_at for r, _ in known],
    )
    arrays = [
        S("{}::{}[]").format(sql.Literal(values), S(kind))
        for values, kind in zip(columns, ("bigint", "bigint", "text", "bigint", "timestamptz"), strict=True)
    ]
    return S(
        """
        UPDATE {} AS known SET row_id = record.row_id, record_hash = record.record_hash, row_version = {},
            is_edited = false, amo_updated_at = record.updated_at, amo_deleted_at = {}
        FROM unnest({}) AS record(account_id, amo_id, row_id, record_hash, updated_at)
        WHERE known.account_id = record.account_id AND known.table_name = {} AND known.amo_id = record.amo_id
        """
    ).format(
        spec.control("sync_keys"),
        sql.Literal(version),
        lasting_tombstone(S("record.updated_at"), S("known.amo_deleted_at")),
        comma(arrays),
        spec.table_name,
    )


def read_left(spec: MergeSpec) -> sql.Composed:
    """Of rows with the keys %s: key, and what the journal keeps beside the base (`untouched.left_columns`) as text."""
    return S(
        "SELECT crm.{id}::text, {left}::text FROM {table} AS crm WHERE crm.{id} = ANY(%s::text[]::{type}[])"
    ).format(
        id=I(spec.live.mapping.id),
        left=left_document(spec.live, "crm"),
        table=spec.live.identifier,
        type=spec.key_type,
    )


def read_version(spec: MergeSpec, key: object) -> sql.Composed:
    """The version of the row with that key."""
    return S("SELECT {} FROM {} AS crm WHERE crm.{} = {}::{}").format(
        spec.version, spec.live.identifier, I(spec.live.mapping.id), sql.Literal(str(key)), spec.key_type
    )
