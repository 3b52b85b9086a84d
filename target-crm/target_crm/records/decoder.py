"""A record decoded as far as the mapping asks for: the first steps of its paths, and its custom fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec

from target_crm.errors import CellError, RecordError
from target_crm.mapping.paths import CUSTOM_FIELDS, STEP, split_path
from target_crm.normalise.numbers import number_text
from target_crm.normalise.text import same_key

_decode_any = msgspec.json.Decoder(float_hook=Decimal).decode
# More digits than Python reads as a number.
_MOST_DIGITS = 4300


def decode_value(raw: bytes) -> Any:
    """The value that a JSON text holds: fractions with all their digits, whole numbers too long to be any as text.

    Raises:
        msgspec.DecodeError, ValueError, RecursionError: it is not JSON.
    """
    try:
        return _decode_any(raw)
    except msgspec.ValidationError:
        return json.loads(raw, parse_float=Decimal, parse_int=_whole_number)


def _whole_number(digits: str) -> int | str:
    return digits if len(digits) > _MOST_DIGITS else int(digits)


class FieldValue(msgspec.Struct, gc=False):
    """One value of a custom field. Old records have `enum` for `enum_code`; elements of chained lists have no value."""

    value: Any = None
    enum_code: Any = None
    enum: Any = None
    catalog_id: Any = None
    catalog_element_id: Any = None

    @property
    def kind(self) -> Any:
        """The code of the kind or part that the value is: WORK, city."""
        code = self.enum_code
        return self.enum if code is None and isinstance(self.enum, str) else code


_PARTS = ("value", "enum_code", "enum", "catalog_id", "catalog_element_id")


class CustomField(msgspec.Struct, gc=False):
    """One custom field of a record."""

    field_id: int | str | None = None
    field_code: int | str | None = None
    field_name: int | str | None = None
    values: list[FieldValue] | None = None


# A field's values under each of its keys; None for values of a shape that is not known.
FieldIndex = dict[Any, Any]
# In an index: the shape of the custom fields is not as documented; the value is that shape, None where one field's is.
ODD = object()
# A decoded record: its wanted properties by place, then the custom fields (msgspec.UNSET where it names none).
Record = Any


def _taker(step: str) -> Callable[[list[Any]], Any]:
    """What a step takes of a list: one item, or a list of items."""
    found = STEP.fullmatch(step)
    if found is None:
        return lambda _: None
    if found["place"] is not None:
        place = 0 if found["place"] == "first" else int(found["place"])
        return lambda items: items[place] if place < len(items) else None
    if found["key"] is not None:
        key, wanted = found["key"], found["value"]
        return lambda items: [i for i in items if isinstance(i, dict) and _said(i.get(key)) == wanted]
    return _same


def _same(value: Any) -> Any:
    return value


def _inside(value: Any, name: str) -> Any:
    """A property of an object; PHP writes an empty object as an empty list.

    Raises:
        CellError: it is something else, in which the property can't be looked for.
    """
    if isinstance(value, dict):
        return value.get(name)
    if value is None or value == []:
        return None
    raise CellError("W_UNREADABLE_CONTAINER", property=name, value=value)


def _as_list(value: Any, name: str) -> Any:
    """A list, also where PHP wrote one with holes as an object of numbers.

    Raises:
        CellError: it is something else.
    """
    if value is None or isinstance(value, list):
        return value
    items = _numbered(value)
    if items is None:
        raise CellError("W_UNREADABLE_CONTAINER", property=name, value=value)
    return items


def _numbered(value: Any) -> list[Any] | None:
    """The items of an object whose keys are numbers; None for anything else."""
    if isinstance(value, dict) and value and all(str(key).isdecimal() for key in value):
        return list(value.values())
    return None


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else number_text(value)


def _rest(steps: Sequence[str]) -> Callable[[Any], Any] | None:
    """Reads what is behind a path's first step; a list in the way gives the list of what its elements hold."""
    if not steps:
        return None

    step, behind = steps[0], _rest(steps[1:])
    if step.endswith("]"):
        return _list_reader(step.partition("[")[0], _taker(step), behind or _same)

    def read(value: Any) -> Any:
        inner = value.get(step) if value.__class__ is dict else _inside(value, step)
        return inner if behind is None else behind(inner)

    return read


def _list_reader(name: str, take: Callable[[list[Any]], Any], behind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        items = _as_list(_inside(value, name), name)
        if items is None:
            return behind(None)
        taken = take(items)
        return [behind(item) for item in taken] if taken.__class__ is list else behind(taken)

    return read


class RecordDecoder:
    """Decodes records of one stream: only the properties that paths begin with, and custom fields where wanted.

    Args:
        paths: All paths of the mapping (`_embedded.tags[].name`).
        with_fields: Whether custom fields are wanted.
        tracked: Those of the paths of which `missing` can tell whether the record has them.
    """

    def __init__(self, paths: Iterable[str], *, with_fields: bool, tracked: Iterable[str] = ()) -> None:
        wanted = {self._first(path) for path in paths}
        # The custom fields themselves, as JSON, beside what is read of them.
        self._keeps_whole = CUSTOM_FIELDS in wanted
        firsts = sorted((wanted | {"created_at"}) - {CUSTOM_FIELDS})
        self._places = {name: f"p{number}" for number, name in enumerate(firsts)}
        self._tracked = {self._first(path) for path in tracked}
        fields: list[Any] = [
            (place, Any, msgspec.UNSET if name in self._tracked else None) for name, place in self._places.items()
        ]
        rename = {place: name for name, place in self._places.items()}
        self._with_fields = with_fields
        typed = with_fields and not self._keeps_whole
        fields.append(("fields", list[CustomField] | None if typed else Any, msgspec.UNSET))
        rename["fields"] = CUSTOM_FIELDS
        # What was given instead of custom fields that could not be read; no property has such a name.
        fields.append(("odd", Any, msgspec.UNSET))
        rename["odd"] = " odd"
        if self._keeps_whole:
            fields.append(("whole", Any, None))
            rename["whole"] = " whole"
            self._places[CUSTOM_FIELDS] = "whole"
        self._type = msgspec.defstruct("DecodedRecord", fields, rename=rename, gc=False)
        # Fractions keep their digits.
        self._decode = msgspec.json.Decoder(self._type, float_hook=Decimal).decode

    @staticmethod
    def _first(path: str) -> str:
        steps = split_path(path)
        return steps[0].partition("[")[0] if steps else path

    def decode(self, raw: bytes) -> Record:
        """The record.

        Raises:
            RecordError: it is not a JSON object.
        """
        try:
            record: Record = self._decode(raw)
        except msgspec.ValidationError:
            return self._decode_leniently(raw)
        if self._keeps_whole and record.fields is not msgspec.UNSET:
            record.whole = record.fields
            if self._with_fields:
                self._read_fields(record, record.fields)
        return record

    @staticmethod
    def _read_fields(record: Record, given: Any) -> None:
        fields, is_whole = _custom_fields(given)
        record.fields = None if given is None else fields
        record.odd = msgspec.UNSET if is_whole else given

    def _decode_leniently(self, raw: bytes) -> Record:
        """What can be understood of a record whose custom fields are not as documented, or with an endless number."""
        record = decode_value(raw)
        if not isinstance(record, dict):
            raise RecordError("E_RECORD_NOT_OBJECT")
        given = {place: record[name] for name, place in self._places.items() if name in record}
        decoded = self._type(**given)
        if CUSTOM_FIELDS in record:
            self._read_fields(decoded, record[CUSTOM_FIELDS])
        return decoded

    def reader(self, path: str) -> Callable[[Sequence[Record]], list[Any]]:
        """Reads a path from many records."""
        steps = split_path(path)
        place = self._places[self._first(path)]
        # A first step that is a list (`tags[].name`) is read as the rest of its own property.
        rest = _rest(steps[1:])
        if steps[0].endswith("]"):
            inner = _rest(steps)
            name = steps[0].partition("[")[0]

            def read_list(records: Sequence[Record]) -> list[Any]:
                assert inner is not None
                return [inner({name: getattr(record, place)}) for record in records]

            return read_list
        if self._first(path) in self._tracked:
            unset, inside = msgspec.UNSET, rest or _same
            return lambda records: [
                None if (value := getattr(record, place)) is unset else inside(value) for record in records
            ]
        take = attrgetter(place)
        if rest is None:
            return lambda records: list(map(take, records))
        return lambda records: [rest(value) for value in map(take, records)]

    def missing(self, paths: Sequence[str]) -> Callable[[Sequence[Record]], list[tuple[int, list[str]]]]:
        """Finds the records that lack some of the tracked properties, with the names of what they lack."""
        takers = {self._first(path): attrgetter(self._places[self._first(path)]) for path in paths}
        unset = msgspec.UNSET

        def find(records: Sequence[Record]) -> list[tuple[int, list[str]]]:
            found: dict[int, list[str]] = {}
            for name, take in takers.items():
                for number, value in enumerate(map(take, records)):
                    if value is unset:
                        found.setdefault(number, []).append(name)
            return list(found.items())

        return find


def _custom_fields(given: Any) -> tuple[list[CustomField], bool]:
    """What can be understood of custom fields, and whether all of them could be."""
    items = given if isinstance(given, list) else _numbered(given)
    if items is None:
        return [], given is None
    found = []
    for field in items:
        if not isinstance(field, dict):
            continue
        values = field.get("values")
        values = values if isinstance(values, list) else _numbered(values)
        found.append(
            CustomField(
                _plain(field.get("field_id")),
                _plain(field.get("field_code")),
                _plain(field.get("field_name")),
                None if values is None else [_field_value(value) for value in values],
            )
        )
    # From an object nothing is concluded that is not in it.
    return found, items is given and len(found) == len(items)


def _field_value(value: Any) -> FieldValue:
    if isinstance(value, dict):
        return FieldValue(*(value.get(name) for name in FieldValue.__struct_fields__))
    return FieldValue(value)


def _plain(name: Any) -> int | str | None:
    return name if isinstance(name, (int, str)) and not isinstance(name, bool) else None


def wanted_keys(wanted: Sequence[str | int]) -> tuple[str | int, ...]:
    """The keys under which a column's fields may be in an index, in the order in which they count."""
    keys: list[str | int] = []
    for key in wanted:
        keys.append(key)
        if isinstance(key, str) and field_name(key) != key:
            keys.append(field_name(key))
    return tuple(keys)


def field_name(name: str) -> str:
    """A custom field's name as it is looked for: in lower case, without what a person does not see."""
    return same_key(name).lower()


class FieldIndexer:
    """Finds the wanted custom fields of records by id, code or name (names in lower case)."""

    def __init__(self, wanted: Iterable[str | int]) -> None:
        self._wanted = frozenset(wanted)
        self._known: dict[Any, tuple[Any, ...]] = {}

    def index(self, record: Record) -> FieldIndex:
        """The values of the record's wanted fields; of two fields of one name the first counts."""
        index: FieldIndex = {}
        if record.odd is not msgspec.UNSET:
            index[ODD] = record.odd
        fields = record.fields
        if not fields:
            return index
        known = self._known
        unreadable: list[Any] = []
        for field in fields:
            values = field.values
            if not values:
                if values is None:
                    unreadable += self._keys(field.field_id, field.field_code, field.field_name)
                continue
            identity = (field.field_id, field.field_code, field.field_name)
            keys = known.get(identity)
            if keys is None:
                keys = known[identity] = self._keys(*identity)
            for key in keys:
                index.setdefault(key, values)
        for key in unreadable:
            index.setdefault(ODD, None)
            index.setdefault(key, None)
        return index

    def _keys(self, identity: Any, code: Any, name: Any) -> tuple[Any, ...]:
        keys = [key for key in (identity, code) if key is not None]
        if isinstance(name, str):
            keys.append(field_name(name))
        return tuple(key for key in keys if key in self._wanted)
