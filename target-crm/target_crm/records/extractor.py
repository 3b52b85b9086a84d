"""Reads what the mapping takes out of records: values column by column, the items of sets, and the new base.

A value that its column can't take costs its cell alone: the column counts as if nothing had come for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from target_crm.errors import CellError, RecordError
from target_crm.mapping.check import LiveTable
from target_crm.mapping.model import Column, ItemSet
from target_crm.mapping.paths import CUSTOM_FIELDS
from target_crm.normalise import Context
from target_crm.normalise.custom_fields import readable
from target_crm.normalise.emails import parse_email
from target_crm.normalise.letters import Letters
from target_crm.normalise.phones import parse_phone
from target_crm.normalise.text import BLANKS, is_blank
from target_crm.problems import Problem
from target_crm.records.bad_cells import BadCell
from target_crm.records.column_readers import Reader, compile_column
from target_crm.records.decoder import ODD, FieldIndex, FieldIndexer, Record, RecordDecoder, wanted_keys
from target_crm.records.envelope import SeenRecord, instant
from target_crm.records.item_reader import GIVEN, ItemReader
from target_crm.records.link_reader import LinkReader
from target_crm.records.reference_data import EMBEDDED_NAMES, named_items

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
    """What was read. `records`, `bases` and `created` have one entry for each record.

    `columns` holds a list for each mapped column: values, IDs for links, references for lookups. `items` holds for each
    set a list of each record's items. `bases` become `amo_values`, links and lookups left out.
    """

    records: list[SeenRecord] = field(default_factory=list)
    columns: list[list[Any]] = field(default_factory=list)
    bases: list[dict[str, Any]] = field(default_factory=list)
    items: list[list[list[Item]]] = field(default_factory=list)
    created: list[str | None] = field(default_factory=list)
    # For each join table what each record links to; None where a record says nothing of it.
    links: list[list[list[int] | None]] = field(default_factory=list)
    bad: list[BadCell] = field(default_factory=list)
    # Records that lack some of the properties a column is made of: place, number of the column, what they lack.
    partial: list[tuple[int, int, tuple[str, ...]]] = field(default_factory=list)
    # For each set the places of records of which not every item could be read.
    incomplete: list[set[int]] = field(default_factory=list)
    # Keys of records whose hash is another for their bad values.
    marked: set[tuple[int, int]] = field(default_factory=set)
    # Names that the records themselves bring, by account, kind and reference.
    names: dict[tuple[int, str, str], str] = field(default_factory=dict)
    # Takes a warning that is found only when references are resolved.
    tell: Callable[[BadCell], None] = field(default=lambda _: None)
    # Takes a record that can't be merged before another one has come.
    wait: Callable[[SeenRecord, Problem], None] = field(default=lambda _, __: None)

    def drop(self, places: Set[int]) -> None:
        """Take records out, before they are merged."""
        kept = [place for place in range(len(self.records)) if place not in places]
        self.records = [self.records[place] for place in kept]
        self.bases = [self.bases[place] for place in kept]
        self.created = [self.created[place] for place in kept]
        for values in (*self.columns, *self.items, *self.links):
            values[:] = [values[place] for place in kept]

    def leave_out(self, place: int, number: int, name: str) -> None:
        """Let a column of a record count as if nothing had come for it."""
        self.columns[number][place] = None
        self.bases[place].pop(name, None)

    def mark_bad(self, bad: Set[tuple[int, int]] | None = None) -> None:
        """Give records with bad values a separate hash: they are looked at again when they come again, since what
        their columns can take may have changed by then."""
        bad = ({(cell.account_id, cell.amo_id) for cell in self.bad} if bad is None else bad) - self.marked
        self.marked |= bad
        if bad:
            self.records = [msgspec.structs.replace(r, hash=r.hash ^ 1) if r.key in bad else r for r in self.records]


def _compile_set(
    item_set: ItemSet, live: LiveTable, context: Context
) -> Callable[[FieldIndex], tuple[list[dict[str, Any]], list[Item]]]:
    """Reads a set's items: their base, and the items themselves."""
    keys, region = wanted_keys(item_set.fields) or (GIVEN,), context.region
    phones, kinds = item_set.item == "phone", {kind.lower() for kind in item_set.kinds}
    # Remarks and kinds are cut to their columns as any text is; the key stays that of the whole.
    lengths = {role: live.columns[name].length for role, name in item_set.columns.items() if name in live.columns}
    longest_comment, longest_type = lengths.get("comment"), lengths.get("type")

    def read(index: FieldIndex) -> tuple[list[dict[str, Any]], list[Item]]:
        base: list[dict[str, Any]] = []
        items: list[Item] = []
        found = next((index[key] for key in keys if key in index), ()) or ()
        if kinds:
            found = [given for given in found if str(given.kind).lower() in kinds]
        taken: set[str] = set()
        skip = item_set.rest
        for given in found:
            text = given.value
            if text.__class__ is not str or not text or text[0] in BLANKS:
                text = readable(text)
            if text is None:
                continue
            value, comment = parse_phone(text, region) if phones else parse_email(text)
            key = value or f"?{comment}"
            if key in taken or key == "?None":
                continue
            taken.add(key)
            if skip and value:
                # The first number or address is in the row itself.
                skip = False
                continue
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
    """Reads what the mapping takes out of the records of one stream.

    Args:
        live: The table that the records go to.
        context: Region and time zone.
        letters: What the database can hold.
    """

    def __init__(self, live: LiveTable, context: Context, letters: Letters | None = None) -> None:
        self._letters = letters or Letters(None)
        table = live.mapping
        parts: list[Column | ItemSet] = [*table.columns, *table.sets]
        wanted = [key for part in parts for key in wanted_keys(part.fields)]
        linked = [path for through in table.through for path in through.path]
        linked += [path for item_set in table.sets for path in item_set.path]
        paths = [path for column in table.columns for path in column.path] + linked
        embedded = {c.lookup: EMBEDDED_NAMES[c.lookup] for c in table.columns if c.lookup in EMBEDDED_NAMES}
        several = [(number, c) for number, c in enumerate(table.columns) if len(c.path) > 1 and not c.source]
        self._live = live
        self._decoder = RecordDecoder(
            [*paths, "entity_type", table.record.updated_at, table.record.created_at, *embedded.values()],
            with_fields=bool(wanted),
            tracked=[path for _, column in several for path in column.path] + linked,
        )
        self._item_readers = [ItemReader(s.path, self._decoder) if s.path else None for s in table.sets]
        self._links = [LinkReader(through, self._decoder) for through in table.through]
        self._several = [(number, self._decoder.missing(column.path)) for number, column in several]
        self._named = [(str(kind), self._decoder.reader(path)) for kind, path in embedded.items()]
        self._indexer = FieldIndexer(wanted) if wanted else None
        self._columns = [
            (c, live.columns[c.name].family, compile_column(c, live.columns[c.name], self._decoder, context))
            for c in table.columns
        ]
        self._sets = [(s.name, wanted_keys(s.fields), _compile_set(s, live.sets[s.name], context)) for s in table.sets]
        # What custom fields fill: table, column, the fields' keys.
        self._by_fields = [(table.table, c.name, wanted_keys(c.fields)) for c in table.columns if c.fields]
        self._by_fields += [(s.table, s.columns["value"], wanted_keys(s.fields)) for s in table.sets]
        # The properties that columns are read from.
        self._sources: dict[tuple[str, str], Sequence[str]] = {
            (table.table, c.name): [CUSTOM_FIELDS] * bool(c.fields) + [re.split(r"[.\[]", p)[0] for p in c.path]
            for c in table.columns
        }
        self._sources |= {
            (s.table, s.columns["value"]): [re.split(r"[.\[]", path)[0] for path in s.path] or [CUSTOM_FIELDS]
            for s in table.sets
        }
        for role, name in (
            ("amo_created_at", table.record.created_at),
            ("amo_updated_at", table.record.updated_at),
        ):
            self._sources[table.table, table.service[role] or name] = [name]
        self._read_created = self._decoder.reader(table.record.created_at)
        self._read_updated = self._decoder.reader(table.record.updated_at)

    def came(self, record: SeenRecord, table: str, column: str) -> bool:
        """Whether a record says anything of a column, be it that it is empty."""
        given = msgspec.json.decode(record.raw, type=dict[str, msgspec.Raw])
        return any(name in given for name in self._sources.get((table, column), (column,)))

    def extract(self, records: Sequence[SeenRecord], on_error: Callable[[SeenRecord, RecordError], None]) -> Extracted:
        """Read records, some hundred at a time: what they are decoded into then stays in the processor's cache.

        Those that can't be decoded are passed to `on_error` and left out.
        """
        found = Extracted([], [[] for _ in self._columns], [], [[] for _ in self._sets])
        found.incomplete = [set() for _ in self._sets]
        found.links = [[] for _ in self._links]
        for start in range(0, len(records), _CHUNK_RECORDS):
            part, before = self._extract_some(records[start : start + _CHUNK_RECORDS], on_error), len(found.records)
            found.records += part.records
            slots: Sequence[tuple[list[Any], list[Any]]] = (
                (found.columns, part.columns),
                (found.items, part.items),
                (found.links, part.links),
            )
            for columns, more in slots:
                for values, new in zip(columns, more, strict=True):
                    values += new
            found.bases += part.bases
            found.created += part.created
            found.names |= part.names
            found.bad += part.bad
            found.partial += [(before + place, number, names) for place, number, names in part.partial]
            for places, more_places in zip(found.incomplete, part.incomplete, strict=True):
                places.update(before + place for place in more_places)
        if self._letters.are_limited:
            self._leave_out_letters(found)
        found.mark_bad()
        return found

    def _extract_some(
        self, records: Sequence[SeenRecord], on_error: Callable[[SeenRecord, RecordError], None]
    ) -> Extracted:
        decode = self._decoder.decode
        try:
            decoded = [decode(record.raw) for record in records]
        except (RecordError, *_FAULTS):
            records, decoded = _decode_each(self._decoder, records, on_error)
        indexer = self._indexer
        indexes = [indexer.index(record) for record in decoded] if indexer else []
        found = Extracted(list(records))
        found.bases = [{} for _ in records]
        for column, family, read in self._columns:
            try:
                values = read(decoded, indexes)
            except _FAULTS:
                values = self._read_each(column, read, found, decoded, indexes)
            if not column.source:
                _keep_base(found.bases, column.name, values)
            if family == "json":
                values = [value if value is None else _encode(value).decode() for value in values]
            found.columns.append(values)
        for number, find_missing in self._several:
            found.partial += [(place, number, tuple(names)) for place, names in find_missing(decoded)]
        found.links = [self._read_links(reader, found, decoded) for reader in self._links]
        self._read_times(found, decoded)
        self._take_items(found, decoded, indexes)
        self._tell_unreadable(found, indexes)
        for kind, read_named in self._named:
            for seen, given in zip(records, read_named(decoded), strict=True):
                for number, name in named_items(given):
                    found.names[seen.account_id, kind, str(number)] = name
        return found

    def _leave_out_letters(self, found: Extracted) -> None:
        """Leave out cells with letters that the database's encoding lacks; the document gets question marks instead."""
        letters, table = self._letters, self._live.mapping
        for place, record in enumerate(found.records):
            if letters.fit(record.raw.decode("utf-8", "replace")):
                continue
            found.records[place] = msgspec.structs.replace(record, raw=letters.clean_bytes(record.raw))
            for number, column in enumerate(table.columns):
                value = found.columns[number][place]
                if not letters.fit(value):
                    found.leave_out(place, number, column.name)
                    args = {"value": value, "encoding": letters.encoding}
                    self._warn(found, place, column.name, Problem("W_DATABASE_ENCODING", args))
            for index, item_set in enumerate(table.sets):
                own = found.items[index][place]
                good = [item for item in own if letters.fit(item.value) and letters.fit(item.comment)]
                if len(good) < len(own):
                    found.items[index][place] = good
                    kept = {item.key for item in good}
                    base = found.bases[place].get(item_set.name, [])
                    found.bases[place][item_set.name] = [b for b in base if b["k"] in kept]
                    found.incomplete[index].add(place)
                    bad = next(item for item in own if item.key not in kept)
                    args = {"value": bad.value or bad.comment, "encoding": letters.encoding}
                    problem = Problem("W_DATABASE_ENCODING", args)
                    self._warn(found, place, item_set.columns["value"], problem, item_set.table)

    def _read_each(
        self, column: Column, read: Reader, found: Extracted, decoded: Sequence[Record], indexes: Sequence[FieldIndex]
    ) -> list[Any]:
        """A column's values one by one, since one of them is bad; nothing for those that are."""
        values: list[Any] = []
        for place, record in enumerate(decoded):
            index = indexes[place : place + 1]
            try:
                values += read([record], index)
            except CellError as error:
                values.append(None)
                self._warn(found, place, column.name, error.problem)
            except _FAULTS as error:
                given = _given(self._decoder, column, record, index)
                values.append(None)
                self._warn(found, place, column.name, Problem("W_NOT_READABLE", {"value": given, "reason": str(error)}))
        return values

    def _read_links(self, reader: LinkReader, found: Extracted, decoded: Sequence[Record]) -> list[list[int] | None]:
        """What records link to through a join table; nothing of those whose ids are not readable."""
        links: list[list[int] | None] = []
        for place, record in enumerate(decoded):
            try:
                links.append(reader.read(record))
            except CellError as error:
                links.append(None)
                self._warn(found, place, reader.through.target, error.problem, reader.through.table)
        return links

    def _warn(self, found: Extracted, place: int, column: str, problem: Problem, table: str | None = None) -> None:
        record, mapping = found.records[place], self._live.mapping
        found.bad.append(
            BadCell(mapping.stream, record.account_id, record.amo_id, table or mapping.table, column, problem)
        )

    def _read_times(self, found: Extracted, decoded: Sequence[Record]) -> None:
        """When the records were made; and a warning for times of the record itself that are not readable."""
        service = self._live.mapping.service
        for place, value in enumerate(self._read_created(decoded)):
            try:
                moment = instant(value, "created_at") if value else None
            except RecordError:
                moment = None
                self._warn(
                    found, place, service["amo_created_at"] or "created_at", Problem("W_NOT_A_TIME", {"value": value})
                )
            found.created.append(None if moment is None else moment.isoformat())
        if any(record.updated_at is None for record in found.records):
            for place, value in enumerate(self._read_updated(decoded)):
                if found.records[place].updated_at is None and value not in (None, "", 0):
                    name = service["amo_updated_at"] or "updated_at"
                    self._warn(found, place, name, Problem("W_NOT_A_TIME", {"value": value}))

    def _take_items(self, found: Extracted, decoded: Sequence[Record], indexes: Sequence[FieldIndex]) -> None:
        """The items of the sets; a record without custom fields says nothing of them, not that they are gone.

        Nor does one whose custom fields are of a shape that is not known.
        """
        for (name, keys, read), properties in zip(self._sets, self._item_readers, strict=True):
            items: list[list[Item]] = []
            found.incomplete.append(set())
            some = properties.indexes(decoded) if properties is not None else indexes
            for record, index, base in zip(decoded, some, found.bases, strict=True):
                unreadable = ODD in index and not any(index.get(key) for key in keys)
                says_nothing = record.fields is msgspec.UNSET if properties is None else GIVEN not in index
                if says_nothing or unreadable:
                    items.append([])
                    continue
                base[name], own = read(index)
                items.append(own)
            found.items.append(items)

    def _tell_unreadable(self, found: Extracted, indexes: Sequence[FieldIndex]) -> None:
        """Warnings for custom fields of a shape that is not known: nothing is concluded from what they lack."""
        for place, index in enumerate(indexes):
            if ODD not in index:
                continue
            if index[ODD] is not None:
                args = {"property": CUSTOM_FIELDS, "value": index[ODD]}
                self._warn(found, place, CUSTOM_FIELDS, Problem("W_UNREADABLE_CONTAINER", args))
            for table, column, keys in self._by_fields:
                key = next((key for key in keys if key in index), None)
                if key is not None and index[key] is None:
                    problem = Problem("W_UNREADABLE_CONTAINER", {"property": str(key), "value": None})
                    self._warn(found, place, column, problem, table)


def _decode_each(
    decoder: RecordDecoder, records: Sequence[SeenRecord], on_error: Callable[[SeenRecord, RecordError], None]
) -> tuple[list[SeenRecord], list[Record]]:
    """Those of the records that can be decoded."""
    good: list[SeenRecord] = []
    decoded: list[Record] = []
    for record in records:
        try:
            decoded.append(decoder.decode(record.raw))
        except RecordError as error:
            on_error(record, error)
        except _FAULTS as error:
            on_error(record, RecordError("E_RECORD_NOT_READABLE", reason=str(error)))
        else:
            good.append(record)
    return good, decoded


def _given(decoder: RecordDecoder, column: Column, record: Record, index: Sequence[FieldIndex]) -> Any:
    """What came for a column, as received."""
    if column.fields:
        items = next((index[0][key] for key in wanted_keys(column.fields) if index and index[0].get(key)), ())
        return [item.value for item in items]
    given = [decoder.reader(path)([record])[0] for path in column.path]
    return given[0] if len(given) == 1 else given


def _keep_base(bases: Sequence[dict[str, Any]], name: str, values: Sequence[Any]) -> None:
    """An empty value never becomes the base (row 4 of the truth table)."""
    for base, value in zip(bases, values, strict=True):
        if value is not None and (
            value.__class__ is not str or (value and value[0] not in BLANKS) or not is_blank(value)
        ):
            base[name] = value
