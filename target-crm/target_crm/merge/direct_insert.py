"""Inserts new records by copying them directly into the tables: keys are generated in advance, nothing is staged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import psycopg

from target_crm.mapping.model import ItemSet
from target_crm.merge.classify import Arrival
from target_crm.merge.copy_format import Column, dump_column, dump_documents
from target_crm.merge.copying import copy_in
from target_crm.merge.row_keys import RowKeys, make_item_keys
from target_crm.normalise.times import as_local
from target_crm.records.envelope import SeenRecord
from target_crm.records.extractor import Extracted, Item
from target_crm.sql import direct
from target_crm.sql.document_keys import hosts_of, made_documents
from target_crm.sql.spec import MergeSpec
from target_crm.sql.statements import Statements
from target_crm.sql.untouched import ITEM_COLUMNS, OWN, SOURCE, left_columns

Connection = psycopg.Connection[Any]
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Documents:
    """The values of `raw_fields`: each record with its base, and defaults that were written for empty values (`left`).

    A column of COPY that is generated while it is sent, because it has most of a batch's bytes.
    """

    def __init__(
        self, records: Sequence[SeenRecord], bases: Sequence[bytes], left: Mapping[int, dict[str, Any]] | None = None
    ) -> None:
        self._records, self._bases, self._left = records, bases, left or {}

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, part: slice) -> list[bytes]:
        pairs = zip(self._records[part], self._bases[part], strict=True)
        made = [b'{"amo":%b,"amo_values":%b}' % (record.raw, base) for record, base in pairs]
        for place in range(part.start or 0, min(part.stop, len(self))) if self._left else ():
            if place in self._left:
                at = place - (part.start or 0)
                made[at] = b'%b,"amo_stored":%b}' % (made[at][:-1], _encode(self._left[place]))
        return dump_documents(made)


def encode_bases(found: Extracted) -> list[bytes]:
    """The bases as JSON."""
    return [_encode(base) for base in found.bases]


def insert_new(
    connection: Connection, statements: Statements, keys: RowKeys, found: Extracted, arrival: Arrival
) -> int:
    """Insert records, the items of their sets, their keys and the journal; returns the number of rows.

    Args:
        connection: In the caller's transaction.
        statements: Of the records' stream.
        keys: The source of the rows' keys.
        found: The records, their references resolved.
        arrival: Facts from the database about them.

    Raises:
        psycopg.Error: the database refused a value, or one of the rows was inserted by another session.
    """
    spec, number = statements.spec, len(found.records)
    if not number:
        return 0
    row_keys = keys.make(connection, number)
    bases, left = encode_bases(found), _defaults_left(spec, found, arrival)
    dumped_keys = dump_column(row_keys)
    docs = Documents(found.records, bases, left)
    made = connection.execute(made_documents(spec.live)).fetchone() if hosts_of(spec.live) else ()
    rows = _rows(spec, found, arrival, dumped_keys, docs, made or ())
    copy_in(connection, statements.copy_rows, rows)
    for index in range(len(spec.live.mapping.sets)):
        _insert_items(connection, statements, index, dumped_keys, found.items[index], arrival.now)
    _remember(connection, statements, row_keys, found, arrival)
    journalled = _with_left(bases, left)
    if left_columns(spec.live):
        journalled = _with_own(connection, spec, row_keys, journalled)
    journal = [
        [b"%d" % spec.run_id] * number,
        dump_column([spec.live.mapping.table] * number),
        dumped_keys,
        [b"*"] * number,
        dump_documents(journalled),
    ]
    copy_in(connection, statements.copy_journal, journal)
    return number


def _with_own(connection: Connection, spec: MergeSpec, row_keys: Sequence[Any], bases: Sequence[bytes]) -> list[bytes]:
    """The bases together with other values of the rows (`untouched.left_columns`), under a separate key."""
    keys = [str(key) for key in row_keys]
    left = dict(connection.execute(direct.read_left(spec), (keys,)).fetchall())
    return [
        b"%b%b%b:%b}" % (base[:-1], b"," if len(base) > 2 else b"", _encode(OWN), left.get(key, "{}").encode())
        for key, base in zip(keys, bases, strict=True)
    ]


def _rows(
    spec: MergeSpec,
    found: Extracted,
    arrival: Arrival,
    keys: list[bytes],
    docs: Documents,
    made: Sequence[str | None],
) -> list[Column]:
    """The columns of `copy_rows`; `made` are the values of jsonb columns apart from keys that the mapping fills."""
    table, records = spec.live.mapping, found.records
    stamps: dict[str, list[Any]] = {
        "amo_created_at": found.created,
        "amo_updated_at": [r.updated_at and r.updated_at.isoformat() for r in records],
        "amo_deleted_at": [arrival.marks.get(r.seq) for r in records],
    }
    for role, values in stamps.items():
        zone = spec.live.columns[name].zone if (name := table.service[role]) else None
        if zone is not None:
            stamps[role] = [value and as_local(value, zone) for value in values]
    flag = table.flag
    if flag is not None:
        stamps["amo_deleted_at"] = [flag.deleted if mark else flag.live for mark in stamps["amo_deleted_at"]]
    columns: list[Column] = [
        keys,
        dump_column([r.account_id for r in records]),
        dump_column([r.amo_id for r in records]),
        docs,
    ]
    now = dump_column([arrival.now]) * len(records)
    columns += [
        now if role in ("created_at", "updated_at") else dump_column(stamps[role])
        for role in direct.STAMPS
        if table.service[role]
    ]
    for slot, values in zip(spec.slots, found.columns, strict=True):
        if slot.live.host is not None:
            continue
        default = table.defaults.get(slot.column.name)
        if default == "now" and slot.live.family == "timestamp":
            default = arrival.now
        columns.append(dump_column(values if default is None else [default if v is None else v for v in values]))
    columns += _documents(spec, found, made)
    mapped = {slot.live.host or slot.column.name for slot in spec.slots}
    return columns + [
        dump_column([value]) * len(records) for name, value in table.defaults.items() if name not in mapped
    ]


def _documents(spec: MergeSpec, found: Extracted, made: Sequence[str | None]) -> list[Column]:
    """The jsonb columns with mapped keys; `made` are their other values."""
    columns: list[Column] = []
    for host, text in zip(hosts_of(spec.live), made, strict=True):
        beside = json.loads(text) if text else {}
        keys = [
            (slot.live.key, values)
            for slot, values in zip(spec.slots, found.columns, strict=True)
            if slot.live.host == host
        ]
        documents: list[str | None] = []
        for place in range(len(found.records)):
            pairs = {key: msgspec.Raw(values[place].encode()) for key, values in keys if values[place] is not None}
            whole = {**(beside if isinstance(beside, dict) else {}), **pairs}
            documents.append(_encode(whole).decode() if pairs else text)
        columns.append(dump_column(documents))
    return columns


def _defaults_left(spec: MergeSpec, found: Extracted, arrival: Arrival) -> dict[int, dict[str, Any]]:
    """The defaults for records without a value, by position and column."""
    left: dict[int, dict[str, Any]] = {}
    defaults = spec.live.mapping.defaults
    for slot, values in zip(spec.slots, found.columns, strict=True):
        default = defaults.get(slot.column.name)
        if default is None or default == "":
            continue
        form = json.loads(default) if slot.live.family == "json" else default
        if form == "now" and slot.live.family == "timestamp":
            form = arrival.now
        for place, value in enumerate(values):
            if value is None:
                left.setdefault(place, {})[slot.column.name] = form
    return left


def _with_left(bases: Sequence[bytes], left: Mapping[int, dict[str, Any]]) -> Sequence[bytes]:
    """The bases together with defaults that were written for empty values: the contents of a new row."""
    if not left:
        return bases
    return [
        _encode(msgspec.json.decode(base) | left[place]) if place in left else base for place, base in enumerate(bases)
    ]


def _insert_items(
    connection: Connection,
    statements: Statements,
    index: int,
    owners: Sequence[bytes],
    items: Sequence[Sequence[Item]],
    now: str,
) -> None:
    item_set, statement = statements.spec.live.mapping.sets[index], statements.copy_item_rows[index]
    live = statements.spec.live.sets[item_set.name]
    flat: list[Item] = []
    parents: list[bytes] = []
    for owner, own in zip(owners, items, strict=True):
        flat.extend(own)
        parents.extend([owner] * len(own))
    if not flat:
        return
    keys = make_item_keys(live, item_set.id, len(flat))
    columns = _item_columns(item_set, flat, parents, now)
    if keys is not None:
        columns.insert(0, dump_column(keys))
    copy_in(connection, statement, columns)


def _item_columns(item_set: ItemSet, items: Sequence[Item], parents: Sequence[bytes], now: str) -> list[Column]:
    """The columns of `copy_set` without the key."""
    columns: list[Column] = [parents, dump_documents([item.document for item in items])]
    for role in ITEM_COLUMNS:
        if role in item_set.columns:
            values = [getattr(item, role) for item in items]
            columns.append(dump_column([v or "" for v in values] if role in item_set.blank else values))
    same: list[Any] = [SOURCE] if "source" in item_set.columns else []
    same += [now for stamp in (item_set.created_at, item_set.updated_at) if stamp]
    return columns + [dump_column([value]) * len(items) for value in (*same, *item_set.defaults.values())]


def _remember(
    connection: Connection, statements: Statements, row_keys: Sequence[Any], found: Extracted, arrival: Arrival
) -> None:
    """Store which record became which row."""
    spec = statements.spec
    row = connection.execute(direct.read_version(spec, row_keys[0])).fetchone()
    # All rows of one COPY have the same version: that of the transaction.
    version = row[0] if row else None
    pairs = list(zip(found.records, row_keys, strict=True))
    fresh = [pair for pair in pairs if pair[0].seq not in arrival.known]
    known = [pair for pair in pairs if pair[0].seq in arrival.known]
    if fresh:
        table = dump_column([spec.live.mapping.table])
        columns: list[Column] = [
            dump_column([r.account_id for r, _ in fresh]),
            table * len(fresh),
            dump_column([r.amo_id for r, _ in fresh]),
            dump_column([key for _, key in fresh]),
            dump_column([r.hash for r, _ in fresh]),
            dump_column([version]) * len(fresh),
            dump_column([r.updated_at and r.updated_at.isoformat() for r, _ in fresh]),
        ]
        copy_in(connection, statements.copy_keys, columns)
    if known:
        connection.execute(direct.update_keys(spec, version, known))
