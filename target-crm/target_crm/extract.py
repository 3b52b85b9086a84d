"""From a record as amoCRM sends it to one staging line: the mapped values, the sets' items, the record itself.

The extractors are compiled once per stream; what runs for every record is a loop over closures. Values that a column
can't take raise `RecordError` here, before the database sees them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

import msgspec

from target_crm.errors import RecordError
from target_crm.mapping.check import LiveColumn, LiveTable
from target_crm.mapping.model import Column, ItemSet
from target_crm.normalise import TRANSFORMS, Context, as_instant
from target_crm.normalise.emails import parse_email
from target_crm.normalise.phones import parse_phone

Record = dict[str, Any]
Getter = Callable[[Record, "dict[Any, Any]"], Any]
_INTEGER_LIMITS = {"smallint": 15, "integer": 31, "bigint": 63}
_BIGINT = 1 << 63
_DEFAULT_TRANSFORM = {
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "timestamp": "timestamp",
    "date": "date",
    "array": "list",
    "json": "json",
}
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True)
class StagedRecord:
    """One record, ready for staging. `line` is a JSON object; `seq` its place in the stream of messages."""

    account_id: int
    amo_id: int
    updated_at: datetime | None
    line: bytes
    raw: bytes


def _path(path: str) -> Callable[[Any], Any]:
    """Reads `a.b[].c` from a record; a list in the way gives the list of what its elements hold."""
    steps = [step for step in re.split(r"\.", path) if step]
    if len(steps) == 1 and not steps[0].endswith("[]"):
        key = steps[0]
        return lambda value: value.get(key)

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


def index_custom_fields(record: Record) -> dict[Any, Any]:
    """The record's custom fields by id, code and lower-case name, each with its list of values."""
    index: dict[Any, Any] = {}
    for field in record.get("custom_fields_values") or ():
        if not isinstance(field, dict):
            continue
        values = field.get("values")
        if not isinstance(values, list) or not values:
            continue
        for key in (field.get("field_id"), field.get("field_code")):
            if key is not None:
                index.setdefault(key, field)
        name = field.get("field_name")
        if isinstance(name, str):
            index.setdefault(name.strip().lower(), field)
    return index


def find_field(index: Mapping[Any, Any], wanted: Sequence[str | int]) -> list[dict[str, Any]]:
    """The values of the first of the wanted fields that the record has."""
    for key in wanted:
        field = index.get(key)
        if field is None and isinstance(key, str):
            field = index.get(key.lower())
        if field is not None:
            return [v if isinstance(v, dict) else {"value": v} for v in field["values"]]
    return []


def _field_getter(column: Column) -> Callable[[dict[Any, Any]], list[Any]]:
    """Reads a custom field's values; with `part`, only an object's part or a plain text counts."""
    wanted, part = column.fields, column.part

    def read(index: dict[Any, Any]) -> list[Any]:
        if part is None:
            return [v.get("value") for v in find_field(index, wanted)]
        for key in wanted:
            for item in find_field(index, (key,)):
                value = item.get("value")
                found = value.get(part) if isinstance(value, dict) else value
                if found not in (None, ""):
                    return [found]
        return []

    return read


def _limiter(column: LiveColumn) -> Callable[[Any], Any] | None:
    """Holds a value against what the column can take; text is cut to the column's length."""
    if column.family == "integer":
        bits = _INTEGER_LIMITS.get(column.type_sql, 63)
        low, high = -(1 << bits), (1 << bits) - 1

        def check_range(value: Any) -> Any:
            if not low <= value <= high:
                msg = f"{value} is out of range of {column.type_sql}"
                raise ValueError(msg)
            return value

        return check_range
    if column.family == "text":
        length = column.length

        def as_text(value: Any) -> Any:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            return text[:length] if length else text

        return as_text
    if column.family == "date":

        def check_date(value: Any) -> Any:
            return date.fromisoformat(value[:10]).isoformat()

        return check_date
    return None


def _compile_column(column: Column, live: LiveColumn, context: Context) -> Getter:
    if column.link:
        return _compile_link(column)
    paths = [_path(p) for p in column.path]
    if column.lookup:

        def reference(record: Record, _: dict[Any, Any]) -> Any:
            values = [read(record) for read in paths]
            return None if any(v in (None, "", 0) for v in values) else ":".join(map(str, values))

        return reference
    transform = TRANSFORMS[column.transform or _DEFAULT_TRANSFORM.get(live.family, "text")]
    limit = _limiter(live)
    from_field = _field_getter(column) if column.fields else None

    def read_value(record: Record, index: dict[Any, Any]) -> Any:
        values = from_field(index) if from_field else [read(record) for read in paths]
        value = transform(values, context)
        return value if value is None or limit is None else limit(value)

    if column.transform is None and live.family == "text" and len(paths) == 1 and not live.length:
        (only,) = paths

        def read_text(record: Record, index: dict[Any, Any]) -> Any:
            value = only(record)
            return value if value is None or value.__class__ is str else read_value(record, index)

        return read_text
    return read_value


def _compile_link(column: Column) -> Getter:
    (read,) = [_path(p) for p in column.path]
    entity = column.when_entity

    def link(record: Record, _: dict[Any, Any]) -> Any:
        if entity is not None and record.get("entity_type") != entity:
            return None
        value = read(record)
        try:
            number = int(value) if value not in (None, "") else 0
        except (TypeError, ValueError):
            msg = f"{value!r} is no id"
            raise ValueError(msg) from None
        return number if 0 < number < _BIGINT else None

    return link


def _compile_set(item_set: ItemSet, context: Context) -> Callable[[dict[Any, Any]], list[dict[str, Any]]]:
    wanted, region = item_set.fields, context.region
    phones = item_set.item == "phone"

    def items(index: dict[Any, Any]) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for value in find_field(index, wanted):
            text = value.get("value")
            if text in (None, ""):
                continue
            parsed = parse_phone(str(text), region) if phones else parse_email(str(text))
            key = parsed.value or f"?{parsed.comment}"
            if key != "?None" and key not in found:
                kind = value.get("enum_code")
                item = {"k": key, "v": parsed.value, "c": parsed.comment, "t": kind, "n": len(found)}
                # The items are their own base, which holds no nulls.
                found[key] = {name: part for name, part in item.items() if part is not None}
        return list(found.values())

    return items


class Extractor:
    """Turns the records of one stream into staging lines.

    Staging keys: `a` account, `i` amo id, `u` updated, `n` created, `d` is deleted, `c0`... the columns in the mapping's
    order, `s0`... the sets (absent when the record says nothing of custom fields), `r` the record.
    """

    def __init__(self, live: LiveTable, context: Context) -> None:
        self.live = live
        self.context = context
        self.columns = [
            (f"c{i}", c.name, _compile_column(c, live.columns[c.name], context))
            for i, c in enumerate(live.mapping.columns)
        ]
        self.sets = [(f"s{i}", _compile_set(s, context)) for i, s in enumerate(live.mapping.sets)]
        self.needs_fields = bool(self.sets) or any(c.fields for c in live.mapping.columns)

    def stage(self, record: Record, raw: bytes, seq: int) -> StagedRecord:
        """One staging line.

        Raises:
            RecordError: the record has no key or holds a value that its column can't take; names the column.
        """
        account, amo_id = _key(record, "account_id"), _key(record, "id")
        updated = self.instant(record, "updated_at")
        index = index_custom_fields(record) if self.needs_fields else {}
        line: Record = {"q": seq, "a": account, "i": amo_id, "u": updated}
        created = self.instant(record, "created_at")
        if created is not None:
            line["n"] = created
        if record.get("is_deleted") is True:
            line["d"] = True
        else:
            for key, name, read in self.columns:
                try:
                    value = read(record, index)
                except (ValueError, OverflowError) as error:
                    msg = f"column {name}: {error}"
                    raise RecordError(msg) from None
                if value is not None:
                    line[key] = value
            if self.sets and "custom_fields_values" in record:
                for key, items in self.sets:
                    line[key] = items(index)
        line["r"] = msgspec.Raw(raw)
        return StagedRecord(account, amo_id, updated, _ENCODER.encode(line), raw)

    def instant(self, record: Record, name: str) -> datetime | None:
        """A record's own time as an instant in UTC."""
        value = record.get(name)
        if value is None:
            return None
        if value.__class__ is str and len(value) == 25 and value.endswith("+00:00"):
            try:
                return datetime.fromisoformat(value)
            except ValueError:
                pass
        try:
            moment = as_instant(value, timezone.utc)
        except ValueError as error:
            msg = f"property {name}: {error}"
            raise RecordError(msg) from None
        return moment


def _key(record: Record, name: str) -> int:
    value = record.get(name)
    if value.__class__ is int:
        number = value
    elif isinstance(value, str) and re.fullmatch(r"\d{1,19}", value):
        number = int(value)
    else:
        msg = f"property {name} is missing or no whole number: {value!r}" if name in record else f"no {name} in the record"
        raise RecordError(msg)
    if not 0 <= number < _BIGINT:
        msg = f"property {name}: {number} is out of range of bigint"
        raise RecordError(msg)
    return int(number)
