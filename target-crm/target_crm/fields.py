"""A record decoded as far as the mapping asks for: the first steps of its paths, and its custom fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from target_crm.errors import RecordError

CUSTOM_FIELDS = "custom_fields_values"


class FieldValue(msgspec.Struct, gc=False):
    """One value of a custom field."""

    value: Any = None
    enum_code: Any = None


class CustomField(msgspec.Struct, gc=False):
    """One custom field of a record."""

    field_id: int | str | None = None
    field_code: int | str | None = None
    field_name: int | str | None = None
    values: list[FieldValue] | None = None


FieldIndex = dict[Any, list[FieldValue]]
# A decoded record: its wanted properties by place, then the custom fields (msgspec.UNSET where it names none).
Record = Any


def _split(path: str) -> list[str]:
    return [step for step in path.split(".") if step]


def _rest(steps: Sequence[str]) -> Callable[[Any], Any] | None:
    """Reads what lies behind a path's first step; a list in the way gives the list of what its elements hold."""
    if not steps:
        return None

    def read(value: Any, rest: Sequence[str] = tuple(steps)) -> Any:
        for index, step in enumerate(rest):
            if step.endswith("[]"):
                items = value.get(step[:-2]) if isinstance(value, dict) else None
                if not isinstance(items, list):
                    return None
                return [read(item, rest[index + 1 :]) for item in items]
            value = value.get(step) if isinstance(value, dict) else None
        return value

    return read


class RecordDecoder:
    """Decodes records of one stream: only the properties that paths begin with, and custom fields where wanted.

    Args:
        paths: All paths of the mapping (`_embedded.tags[].name`).
        with_fields: Whether custom fields are wanted.
    """

    def __init__(self, paths: Iterable[str], *, with_fields: bool) -> None:
        firsts = sorted({self._first(path) for path in paths} | {"created_at"})
        self._places = {name: f"p{number}" for number, name in enumerate(firsts)}
        fields: list[Any] = [(place, Any, None) for place in self._places.values()]
        rename = {place: name for name, place in self._places.items()}
        self._with_fields = with_fields
        fields.append(("fields", list[CustomField] | None if with_fields else Any, msgspec.UNSET))
        rename["fields"] = CUSTOM_FIELDS
        self._type = msgspec.defstruct("DecodedRecord", fields, rename=rename, gc=False)
        self._decode = msgspec.json.Decoder(self._type).decode

    @staticmethod
    def _first(path: str) -> str:
        steps = _split(path)
        return re.sub(r"\[\]$", "", steps[0]) if steps else path

    def decode(self, raw: bytes) -> Record:
        """The record.

        Raises:
            RecordError: it is no JSON object.
        """
        try:
            return self._decode(raw)
        except msgspec.ValidationError:
            return self._decode_leniently(raw)

    def _decode_leniently(self, raw: bytes) -> Record:
        """A record whose custom fields are not as documented: what can be understood of them."""
        record = msgspec.json.decode(raw)
        if not isinstance(record, dict):
            raise RecordError("E_RECORD_NOT_OBJECT")
        given = {place: record.get(name) for name, place in self._places.items()}
        if CUSTOM_FIELDS in record:
            given["fields"] = _custom_fields(record[CUSTOM_FIELDS])
        return self._type(**given)

    def reader(self, path: str) -> Callable[[Sequence[Record]], list[Any]]:
        """Reads a path from many records."""
        steps = _split(path)
        place = self._places[self._first(path)]
        # A first step that is a list (`tags[].name`) is read as the rest of its own property.
        rest = _rest(steps[1:])
        if steps[0].endswith("[]"):
            inner = _rest(steps)
            name = steps[0][:-2]

            def read_list(records: Sequence[Record]) -> list[Any]:
                assert inner is not None
                return [inner({name: getattr(record, place)}) for record in records]

            return read_list
        if rest is None:
            return lambda records: [getattr(record, place) for record in records]
        return lambda records: [rest(getattr(record, place)) for record in records]


def _custom_fields(given: Any) -> list[CustomField]:
    found = []
    for field in given if isinstance(given, list) else ():
        values = field.get("values") if isinstance(field, dict) else None
        if not isinstance(values, list):
            continue
        found.append(
            CustomField(
                _plain(field.get("field_id")),
                _plain(field.get("field_code")),
                _plain(field.get("field_name")),
                [
                    FieldValue(v.get("value"), v.get("enum_code")) if isinstance(v, dict) else FieldValue(v)
                    for v in values
                ],
            )
        )
    return found


def _plain(name: Any) -> int | str | None:
    return name if isinstance(name, (int, str)) and not isinstance(name, bool) else None


def wanted_keys(wanted: Sequence[str | int]) -> tuple[str | int, ...]:
    """The keys under which a column's fields may stand in an index, in the order in which they count."""
    keys: list[str | int] = []
    for key in wanted:
        keys.append(key)
        if isinstance(key, str) and key.lower() != key:
            keys.append(key.lower())
    return tuple(keys)


class FieldIndexer:
    """Finds the wanted custom fields of records by id, code or name (names in lower case)."""

    def __init__(self, wanted: Iterable[str | int]) -> None:
        self._wanted = frozenset(wanted)
        self._known: dict[Any, tuple[Any, ...]] = {}

    def index(self, record: Record) -> FieldIndex:
        """The values of the record's wanted fields; of two fields of one name the first counts."""
        index: FieldIndex = {}
        fields = record.fields
        if not fields:
            return index
        known = self._known
        for field in fields:
            values = field.values
            if not values:
                continue
            identity = (field.field_id, field.field_code, field.field_name)
            keys = known.get(identity)
            if keys is None:
                keys = known[identity] = self._keys(*identity)
            for key in keys:
                index.setdefault(key, values)
        return index

    def _keys(self, identity: Any, code: Any, name: Any) -> tuple[Any, ...]:
        keys = [key for key in (identity, code) if key is not None]
        if isinstance(name, str):
            keys.append(name.strip().lower())
        return tuple(key for key in keys if key in self._wanted)
