"""What the words `kind`, `nth`, `rest`, `join`, `factor` and `template` of the mapping make of a column's values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Context as Precision
from decimal import Decimal
from typing import Any

from target_crm.mapping.column_reader import FIELD_PREFIX, PLACEHOLDER
from target_crm.mapping.model import Column
from target_crm.normalise import Context
from target_crm.normalise.custom_fields import flat, is_empty, readable
from target_crm.normalise.emails import parse_email
from target_crm.normalise.numbers import as_number
from target_crm.normalise.phones import parse_phone
from target_crm.records.decoder import FieldIndex, FieldValue, Record, RecordDecoder, wanted_keys

# Every digit of a product counts.
_EXACT = Precision(prec=400)


def of_kinds(items: Sequence[FieldValue], kinds: Sequence[str]) -> Sequence[FieldValue]:
    """The values of the first of these kinds that is there."""
    for kind in kinds:
        found = [item for item in items if item.kind is not None and str(item.kind).lower() == kind.lower()]
        if found:
            return found
    return items if not kinds else ()


def chooser(column: Column, context: Context) -> Callable[[Sequence[Any]], list[Any]] | None:
    """Takes from a column's values those that `nth` and `rest` choose; None where it has neither.

    Of phones and addresses only valid ones count, each once.
    """
    if column.nth is None and not column.rest:
        return None

    def valid(values: Sequence[Any]) -> list[Any]:
        found = flat(values)
        if column.transform == "phone":
            found = [parse_phone(str(value), context.region).value for value in found]
        elif column.transform == "email":
            found = [parse_email(str(value)).value for value in found]
        else:
            return found
        return list(dict.fromkeys(value for value in found if value))

    def choose(values: Sequence[Any]) -> list[Any]:
        found = valid(values)
        return found[1:] if column.nth is None else found[column.nth - 1 : column.nth]

    return choose


def joiner(column: Column, family: str) -> Callable[[Sequence[Any]], str | None] | None:
    """Makes one text of several values: with `join`, and of the `rest` of phones or addresses. None otherwise."""
    if family != "text" or (column.join is None and not (column.rest and column.transform in ("phone", "email"))):
        return None
    between = ", " if column.join is None else column.join

    def join(values: Sequence[Any]) -> str | None:
        return between.join(text for value in flat(values) if (text := readable(value))) or None

    return join


def multiplied(value: Any, factor: Decimal) -> str:
    """A number times the factor, as plain decimal text.

    Raises:
        CellError: the value is not a number.
    """
    product = _EXACT.multiply(Decimal(as_number(value)), factor)
    return f"{_EXACT.normalize(product):f}"


def filled(template: str, value_of: Callable[[str], Any]) -> str | None:
    """A template with its values. An empty one is left out together with the text before it; None without any."""
    made: list[str] = []
    end = 0
    for place in PLACEHOLDER.finditer(template):
        text = readable(value_of(place[1]))
        if text is not None:
            # Text between two values belongs to the second one, and only where there is a first.
            before = template[end : place.start()]
            made += [before, text] if made or not end else [text]
        end = place.end()
    return "".join(made) + template[end:] if made else None


def template_reader(
    column: Column, decoder: RecordDecoder, values_of: Callable[[Sequence[FieldValue]], list[Any]]
) -> Callable[[Sequence[Record], Sequence[FieldIndex]], list[str | None]]:
    """Reads the texts that a column's template makes of records."""
    template = column.template or ""
    if column.fields and not any(name.startswith(FIELD_PREFIX) for name in PLACEHOLDER.findall(template)):
        return _parts_reader(template, wanted_keys(column.fields), values_of)
    readers = {path: decoder.reader(path) for path in column.path}
    keys = {FIELD_PREFIX + str(name): wanted_keys([name]) for name in column.fields}

    def read(records: Sequence[Record], indexes: Sequence[FieldIndex]) -> list[str | None]:
        columns = {path: reader(records) for path, reader in readers.items()}

        def value(place: int, name: str) -> Any:
            if name in columns:
                return columns[name][place]
            found = next((indexes[place][key] for key in keys[name] if indexes[place].get(key)), ())
            return values_of(found)

        return [filled(template, lambda name, p=place: value(p, name)) for place in range(len(records))]  # type: ignore[misc]

    return read


def _parts_reader(
    template: str, keys: Sequence[str | int], values_of: Callable[[Sequence[FieldValue]], list[Any]]
) -> Callable[[Sequence[Record], Sequence[FieldIndex]], list[str | None]]:
    def made(index: FieldIndex) -> str | None:
        for key in keys:
            values = [value for value in values_of(index.get(key) or ()) if not is_empty(value)]
            if values:
                whole = values[0]
                return filled(template, whole.get) if isinstance(whole, Mapping) else readable(whole)
        return None

    return lambda _, indexes: [made(index) for index in indexes]
