"""Reads the items of a set from properties: texts, lists of texts, or lists of objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from target_crm.errors import CellError
from target_crm.normalise.custom_fields import flat
from target_crm.records.decoder import FieldIndex, FieldValue, Record, RecordDecoder

# Where the items are in an index; no custom field has such a key.
GIVEN = " given"
_VALUES = ("value", "number", "phone", "email", "address")
_KINDS = ("type", "kind", "label", "enum_code")


class ItemReader:
    """Reads one set's items.

    Args:
        paths: The properties that hold them, in their order.
        decoder: Decodes the records; it tracks these properties.
    """

    def __init__(self, paths: Sequence[str], decoder: RecordDecoder) -> None:
        self._readers = [(decoder.missing([path]), decoder.reader(path)) for path in paths]

    def indexes(self, records: Sequence[Record]) -> list[FieldIndex]:
        """For each record an index that holds its items, empty where it has none of the properties."""
        return [self._index(record) for record in records]

    def _index(self, record: Record) -> FieldIndex:
        found: list[FieldValue] = []
        says_something = False
        for find_missing, read in self._readers:
            if find_missing([record]):
                continue
            try:
                (value,) = read([record])
            except CellError:
                # Nothing is concluded from what is not readable.
                return {}
            says_something = True
            found += map(_item, flat(value if isinstance(value, list) else [value]))
        return {GIVEN: found} if says_something else {}


def _item(value: Any) -> FieldValue:
    if not isinstance(value, Mapping):
        return FieldValue(value)
    return FieldValue(_first(value, _VALUES), _first(value, _KINDS))


def _first(value: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((value[name] for name in names if value.get(name) not in (None, "")), None)
