"""Takes records apart: the mapped values column by column, the items of sets, and what becomes the new base."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from target_crm.columns import compile_column
from target_crm.errors import RecordError
from target_crm.fields import FieldIndex, FieldIndexer, Record, RecordDecoder, wanted_keys
from target_crm.lookups import EMBEDDED_NAMES, named_items
from target_crm.mapping.check import LiveTable
from target_crm.mapping.model import Column, ItemSet
from target_crm.normalise import Context
from target_crm.normalise.custom_fields import readable
from target_crm.normalise.emails import parse_email
from target_crm.normalise.phones import parse_phone
from target_crm.normalise.text import is_blank
from target_crm.seen import SeenRecord, instant

_encode = msgspec.json.Encoder(decimal_format="number").encode
_CHUNK_RECORDS = 250
_FAULTS = (ValueError, OverflowError, TypeError, msgspec.MsgspecError)


class Item(NamedTuple):
    """A phone or an e-mail of a record; `document` is its row's own base, as JSON."""

    key: str
    value: str | None
    comment: str | None
    type: str | None
    position: int
    document: bytes


@dataclass
class Extracted:
    """Records taken apart. `records`, `bases` and `created` have one entry for each record.

    `columns` holds a list for each mapped column: values, IDs for links, references for lookups. `items` holds for each
    set a list of each record's items. `bases` become `amo_values`, links and lookups left out.
    """

    records: list[SeenRecord] = field(default_factory=list)
    columns: list[list[Any]] = field(default_factory=list)
    bases: list[dict[str, Any]] = field(default_factory=list)
    items: list[list[list[Item]]] = field(default_factory=list)
    created: list[str | None] = field(default_factory=list)
    # Names that the records themselves bring, by account, kind and reference.
    names: dict[tuple[int, str, str], str] = field(default_factory=dict)


def _compile_set(
    item_set: ItemSet, live: LiveTable, context: Context
) -> Callable[[FieldIndex], tuple[list[dict[str, Any]], list[Item]]]:
    """Reads a set's items: their base, and the items themselves."""
    keys, region = wanted_keys(item_set.fields), context.region
    phones = item_set.item == "phone"
    # Remarks and kinds are cut to their columns as any text is; the key stays that of the whole.
    lengths = {role: live.columns[name].length for role, name in item_set.columns.items() if name in live.columns}
    longest_comment, longest_type = lengths.get("comment"), lengths.get("type")

    def read(index: FieldIndex) -> tuple[list[dict[str, Any]], list[Item]]:
        base: list[dict[str, Any]] = []
        items: list[Item] = []
        found = next((index[key] for key in keys if key in index), ())
        taken: set[str] = set()
        for given in found:
            text = readable(given.value)
            if text is None:
                continue
            value, comment = parse_phone(text, region) if phones else parse_email(text)
            key = value or f"?{comment}"
            if key in taken or key == "?None":
                continue
            taken.add(key)
            kind = given.kind
            kind = None if kind is None else str(kind)[:longest_type]
            comment = comment and comment[:longest_comment]
            place = len(items)
            own = {"key": key, "value": value, "comment": comment, "type": kind, "position": place}
            items.append(Item(key, value, comment, kind, place, _encode({"amo_values": own})))
            # The items are their own base, which holds no nulls.
            short: dict[str, Any] = {"k": key, "n": place}
            if value is not None:
                short["v"] = value
            if comment is not None:
                short["c"] = comment
            if kind is not None:
                short["t"] = kind
            base.append(short)
        return base, items

    return read


class Extractor:
    """Takes the records of one stream apart.

    Args:
        live: The table that the records go to.
        context: Region and time zone.
    """

    def __init__(self, live: LiveTable, context: Context) -> None:
        table = live.mapping
        parts: list[Column | ItemSet] = [*table.columns, *table.sets]
        wanted = [key for part in parts for key in wanted_keys(part.fields)]
        paths = [path for column in table.columns for path in column.path]
        embedded = {c.lookup: EMBEDDED_NAMES[c.lookup] for c in table.columns if c.lookup in EMBEDDED_NAMES}
        self._decoder = RecordDecoder([*paths, "entity_type", *embedded.values()], with_fields=bool(wanted))
        self._named = [(str(kind), self._decoder.reader(path)) for kind, path in embedded.items()]
        self._indexer = FieldIndexer(wanted) if wanted else None
        self._columns = [
            (c, live.columns[c.name].family, compile_column(c, live.columns[c.name], self._decoder, context))
            for c in table.columns
        ]
        self._sets = [(s.name, _compile_set(s, live.sets[s.name], context)) for s in table.sets]
        self._read_created = self._decoder.reader("created_at")

    def take_apart(
        self, records: Sequence[SeenRecord], on_error: Callable[[SeenRecord, RecordError], None]
    ) -> Extracted:
        """Take records apart; those that hold what a column can't take are told to `on_error` and left out."""
        try:
            return self._take_apart(records)
        except (RecordError, *_FAULTS):
            # One of them is bad; which one is only worth finding out now.
            good = []
            for record in records:
                try:
                    self._take_apart([record])
                except RecordError as error:
                    on_error(record, error)
                except _FAULTS as error:
                    on_error(record, RecordError("E_RECORD_NOT_READABLE", reason=str(error)))
                else:
                    good.append(record)
            return self._take_apart(good)

    def _take_apart(self, records: Sequence[SeenRecord]) -> Extracted:
        """All records, some hundred at a time: what they are decoded into then stays in the processor's cache."""
        found = Extracted([], [[] for _ in self._columns], [], [[] for _ in self._sets], [])
        for start in range(0, len(records), _CHUNK_RECORDS):
            part = self._take_some(records[start : start + _CHUNK_RECORDS])
            found.records += part.records
            for columns, more in ((found.columns, part.columns), (found.items, part.items)):
                for values, new in zip(columns, more, strict=True):
                    values += new
            found.bases += part.bases
            found.created += part.created
            found.names |= part.names
        return found

    def _take_some(self, records: Sequence[SeenRecord]) -> Extracted:
        decode = self._decoder.decode
        decoded = [decode(record.raw) for record in records]
        indexer = self._indexer
        indexes = [indexer.index(record) for record in decoded] if indexer else []
        found = Extracted(list(records))
        found.bases = [{} for _ in records]
        for column, family, read in self._columns:
            try:
                values = read(decoded, indexes)
            except _FAULTS as error:
                raise RecordError("E_RECORD_NOT_READABLE", reason=f"column {column.name}: {error}") from None
            if not column.source:
                _keep_base(found.bases, column.name, values)
            if family == "json":
                values = [value if value is None else _encode(value).decode() for value in values]
            found.columns.append(values)
        found.created = [_created(value) for value in self._read_created(decoded)]
        self._take_items(found, decoded, indexes)
        for kind, read_named in self._named:
            for seen, given in zip(records, read_named(decoded), strict=True):
                for number, name in named_items(given):
                    found.names[seen.account_id, kind, str(number)] = name
        return found

    def _take_items(self, found: Extracted, decoded: Sequence[Record], indexes: Sequence[FieldIndex]) -> None:
        """The items of the sets; a record without custom fields says nothing of them, not that they are gone."""
        for name, read in self._sets:
            items: list[list[Item]] = []
            for record, index, base in zip(decoded, indexes, found.bases, strict=True):
                if record.fields is msgspec.UNSET:
                    items.append([])
                    continue
                base[name], own = read(index)
                items.append(own)
            found.items.append(items)


def _keep_base(bases: Sequence[dict[str, Any]], name: str, values: Sequence[Any]) -> None:
    """An empty value never becomes the base (row 4 of the truth table)."""
    for base, value in zip(bases, values, strict=True):
        if value is not None and (value.__class__ is not str or not is_blank(value)):
            base[name] = value


def _created(value: Any) -> str | None:
    moment = instant(value, "created_at") if value else None
    return None if moment is None else moment.isoformat()
