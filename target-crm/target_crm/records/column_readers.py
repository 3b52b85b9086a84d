"""Compiles the mapping's columns into readers that take a column's values out of many records at once.

One call for each column and batch instead of one for each value: what is left per record is mostly C. A value that a
column can't take raises `ValueError` here, before the database sees it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from target_crm.errors import CellError
from target_crm.mapping.check import LiveColumn
from target_crm.mapping.model import Column
from target_crm.normalise import LONGEST, TRANSFORMS, Context
from target_crm.normalise.addresses import PARTS
from target_crm.normalise.custom_fields import flat, is_empty, readable
from target_crm.normalise.numbers import as_integer, number_text, source_number
from target_crm.normalise.text import BLANKS, same_key
from target_crm.normalise.times import as_local
from target_crm.records.decoder import FieldIndex, FieldValue, Record, RecordDecoder, wanted_keys
from target_crm.records.value_words import chooser, joiner, multiplied, of_kinds, template_reader

Reader = Callable[[Sequence[Record], Sequence[FieldIndex]], list[Any]]
Values = Callable[[Record, FieldIndex], list[Any]]
_INTEGER_LIMITS = {"smallint": 15, "integer": 31, "bigint": 63}
_INTEGER_ARRAYS = frozenset(f"{name}[]" for name in _INTEGER_LIMITS)
_BIGINT = 1 << 63
_ADDRESS_PARTS = frozenset(PARTS)
_ELEMENT_LIMIT = re.compile(r"\((\d+)\)\[\]$")
_DEFAULT_TRANSFORM = {
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "timestamp": "timestamp",
    "date": "date",
    "array": "list",
    "json": "json",
}


def plain_values(items: Sequence[FieldValue]) -> list[Any]:
    """A custom field's values: parts of an address as one object, elements of a chained list as objects."""
    values: list[Any] = []
    for item in items:
        # As `item.kind`, of which this loop has no need for nearly all items.
        code = item.enum if item.enum_code is None else item.enum_code
        if code.__class__ is str and code in _ADDRESS_PARTS:
            return [{str(item.kind): item.value for item in items if item.kind is not None}]
        value = item.value
        if value is None and item.catalog_element_id is not None:
            value = {"catalog_id": item.catalog_id, "catalog_element_id": item.catalog_element_id}
        values.append(value)
    return values


def _field_values(column: Column) -> Callable[[FieldIndex], list[Any]]:
    """Reads a custom field's values.

    With `part` they are the part of the first value that is there, so that the parts of one whole (a firm's name and
    its numbers) never come from two; a plain text counts as it is.
    """
    keys, part, kinds = wanted_keys(column.fields), column.part, column.kinds

    def read(index: FieldIndex) -> list[Any]:
        for key in keys:
            found = index.get(key)
            if found is None:
                continue
            values = plain_values(of_kinds(found, kinds) if kinds else found)
            if kinds and not values:
                continue
            if part is None:
                return values
            whole = next((value for value in values if not is_empty(value)), None)
            if whole is not None:
                return [whole.get(part) if isinstance(whole, dict) else whole]
        return []

    return read


def _limiter(column: LiveColumn, transform: str | None) -> Callable[[Any], Any] | None:
    """Holds a value against what the column can take; text is cut to the column's length, but for what would be
    another number or address then."""
    if column.zone is not None:
        zone = column.zone
        return lambda value: as_local(value, zone)
    if column.family == "integer":
        bits = _INTEGER_LIMITS.get(column.type_sql, 63)
        low, high = -(1 << bits), (1 << bits) - 1

        def check_range(value: Any) -> Any:
            if not low <= value <= high:
                raise CellError("W_OUT_OF_RANGE", value=value, type=column.type_sql)
            return value

        return check_range
    if column.family == "text":
        length, is_whole = column.length, transform in LONGEST

        def as_text(value: Any) -> Any:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            if length and is_whole and len(text) > length:
                raise CellError("W_OUT_OF_RANGE", value=value, type=column.type_sql)
            return text[:length] if length else text

        return as_text
    if column.family == "enum":
        labels = frozenset(column.labels)

        def check_label(value: Any) -> Any:
            if value not in labels:
                raise CellError("W_UNKNOWN_CHOICE", value=value)
            return value

        return check_label
    if column.family == "array" and column.type_sql in _INTEGER_ARRAYS:
        return lambda value: sorted(map(as_integer, value))
    limit = _ELEMENT_LIMIT.search(column.type_sql) if column.family == "array" else None
    if limit is not None:
        longest = int(limit[1])

        def check_elements(value: Any) -> Any:
            if any(len(item) > longest for item in value):
                raise CellError("W_OUT_OF_RANGE", value=value, type=column.type_sql)
            return value

        return check_elements
    if column.family == "number":
        # A JSON number in the base, with all its digits.
        return Decimal
    if column.family == "date":

        def check_date(value: Any) -> Any:
            return date.fromisoformat(value[:10]).isoformat()

        return check_date
    return None


def translator(column: Column) -> Callable[[Sequence[Any]], list[Any]] | None:
    """What the mapping's `values` make of what amoCRM says; `*` stands for all that is not listed."""
    if column.values is None:
        return None
    known = {same_key(said): meant for said, meant in column.values.items()}

    def translate(values: Sequence[Any]) -> list[Any]:
        translated: list[Any] = []
        for value in values:
            if is_empty(value):
                continue
            if isinstance(value, list):
                translated += translate(value)
                continue
            said = ("true" if value else "false") if isinstance(value, bool) else str(readable(value))
            meant = same_key(said)
            if meant not in known and "*" not in known:
                raise CellError("W_UNKNOWN_CHOICE", value=said)
            translated.append(known.get(meant, known.get("*")))
        return translated

    return translate


def _only(values: Sequence[Any], *, first: bool) -> Any:
    """The value of a list that has one; several only where the mapping says `first`."""
    found = [value for value in values if not is_empty(value)]
    if len(found) > 1 and not first:
        raise CellError("W_SEVERAL_VALUES", value=found)
    return found[0] if found else None


def _compile_link(column: Column, decoder: RecordDecoder) -> Reader:
    read = decoder.reader(column.path[0])
    named = column.when_entity is not None or column.links
    read_entity = decoder.reader("entity_type") if named else None
    streams = {stream for stream, _ in column.links}

    def as_id(value: Any) -> int | None:
        if value.__class__ is not int:
            if isinstance(value, list):
                value = _only(value, first=column.first)
            if is_empty(value):
                return None
            if column.numbers_text:
                return source_number(value)
            try:
                value = as_integer(value)
            except ValueError:
                raise CellError("W_NOT_AN_ID", value=value) from None
        return value if 0 < value < _BIGINT else None

    def link(records: Sequence[Record], _: Sequence[FieldIndex]) -> list[Any]:
        values = read(records)
        if read_entity is None:
            return [as_id(value) for value in values]
        entities = read_entity(records)
        if streams:
            return [
                (entity, found) if isinstance(entity, str) and entity in streams and (found := as_id(value)) else None
                for value, entity in zip(values, entities, strict=True)
            ]
        return [
            as_id(value) if entity == column.when_entity else None
            for value, entity in zip(values, entities, strict=True)
        ]

    return link


def _compile_lookup(column: Column, decoder: RecordDecoder) -> Reader:
    readers = [decoder.reader(path) for path in column.path]

    def reference(records: Sequence[Record], _: Sequence[FieldIndex]) -> list[Any]:
        columns = [read(records) for read in readers]
        return [
            None if any(is_empty(value) or value == 0 for value in values) else ":".join(map(number_text, values))
            for values in zip(*columns, strict=True)
        ]

    return reference


def compile_column(column: Column, live: LiveColumn, decoder: RecordDecoder, context: Context) -> Reader:
    """The reader of one column: a link's IDs, a lookup's references, or values as the column takes them.

    The reader raises `ValueError`, `TypeError` or `OverflowError` when one of the records holds what the column can't
    take.
    """
    if column.link or column.links:
        return _compile_link(column, decoder)
    if column.via:
        return lambda records, _: [None] * len(records)
    if column.lookup:
        return _compile_lookup(column, decoder)
    translate, limit = translator(column), _limiter(live, column.transform)
    if live.host is not None and column.transform in ("integer", "number"):
        # A number in the document, with all its digits.
        limit = Decimal
    transform = TRANSFORMS[column.transform or _DEFAULT_TRANSFORM.get(live.family, "text")]

    first, choose, join, factor = column.first, chooser(column, context), joiner(column, live.family), column.factor

    def convert(values: Sequence[Any]) -> Any:
        if first:
            values = _first(values)
        elif choose:
            values = choose(values)
        if factor is not None:
            values = [multiplied(value, factor) for value in flat(values)]
        if translate:
            values = translate(values)
        value = join(values) if join else transform(values, context)
        return value if value is None or limit is None else limit(value)

    if column.template is not None:
        read_text = template_reader(column, decoder, plain_values)
        return lambda records, indexes: [
            None if text is None else convert([text]) for text in read_text(records, indexes)
        ]
    # Text that goes as it is into a column without a limit: nearly all columns of nearly all records.
    plain = column.transform in (None, "text") and live.family == "text" and not live.length and translate is None
    plain = plain and not (choose or join or column.kinds or factor is not None)
    if column.fields:
        return _compile_field(column, convert, plain=plain)
    return _compile_paths(column, decoder, convert, plain=plain)


def _first(values: Sequence[Any]) -> Sequence[Any]:
    """The first value that is there, also of a list of values."""
    for value in values:
        if isinstance(value, list):
            value = next(iter(_first(value)), None)
        if not is_empty(value):
            return [value]
    return []


def _compile_field(column: Column, convert: Callable[[Sequence[Any]], Any], *, plain: bool) -> Reader:
    read_values = _field_values(column)
    if not plain or column.part is not None:
        return lambda _, indexes: [convert(values) if (values := read_values(ix)) else None for ix in indexes]
    keys = wanted_keys(column.fields)

    def text(_: Sequence[Record], indexes: Sequence[FieldIndex]) -> list[Any]:
        found: list[Any] = [None] * len(indexes)
        for place, index in enumerate(indexes):
            for key in keys:
                values = index.get(key)
                if values is not None:
                    value = values[0].value
                    as_it_is = value.__class__ is str and value and value[0] not in BLANKS and len(values) == 1
                    if as_it_is and values[0].enum_code is None:
                        found[place] = value
                    else:
                        found[place] = convert(plain_values(values))
                    break
        return found

    return text


def _compile_paths(
    column: Column, decoder: RecordDecoder, convert: Callable[[Sequence[Any]], Any], *, plain: bool
) -> Reader:
    readers = [decoder.reader(path) for path in column.path]
    if len(readers) > 1:
        return lambda records, _: [convert(values) for values in zip(*(read(records) for read in readers), strict=True)]
    (read,) = readers
    if plain:
        return lambda records, _: [
            value
            if value is None or (value.__class__ is str and value and value[0] not in BLANKS)
            else convert([value])
            for value in read(records)
        ]
    return lambda records, _: [convert([value]) for value in read(records)]
