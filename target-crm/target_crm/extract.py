"""From a record as amoCRM sends it to one staging row: the mapped values, the sets' items, the record itself.

The extractors are compiled once per stream; what runs for every record is a loop over closures. Values that a column
can't take raise `RecordError` here, before the database sees them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class SeenRecord:
    """A record of which only key and time have been read. `hash` is that of its bytes and of the mapping."""

    seq: int
    account_id: int
    amo_id: int
    updated_at: datetime | None
    hash: int
    raw: bytes

    @property
    def key(self) -> tuple[int, int]:
        """What tells records of one stream apart."""
        return self.account_id, self.amo_id


class _Key(msgspec.Struct):
    """What every record must say of itself; the rest of it is not decoded."""

    id: int | str | None = None
    account_id: int | str | None = None
    updated_at: Any = None
    is_deleted: Any = None


StagedRow = tuple[Any, ...]


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


def _translator(column: Column) -> Callable[[Sequence[Any]], list[Any]] | None:
    """What the mapping's `values` make of what amoCRM says; `*` stands for all that is not listed."""
    known = column.values
    if known is None:
        return None

    def translate(values: Sequence[Any]) -> list[Any]:
        translated = []
        for value in values:
            if value in (None, ""):
                continue
            said = ("true" if value else "false") if isinstance(value, bool) else str(value)
            if said not in known and "*" not in known:
                msg = f"{said!r} is not listed under values"
                raise ValueError(msg)
            translated.append(known.get(said, known.get("*")))
        return translated

    return translate


def _compile_column(column: Column, live: LiveColumn, context: Context) -> Getter:
    if column.link:
        return _compile_link(column)
    paths = [_path(p) for p in column.path]
    if column.lookup:

        def reference(record: Record, _: dict[Any, Any]) -> Any:
            values = [read(record) for read in paths]
            return None if any(v in (None, "", 0) for v in values) else ":".join(map(str, values))

        return reference
    translate = _translator(column)
    transform = TRANSFORMS[column.transform or _DEFAULT_TRANSFORM.get(live.family, "text")]
    limit = _limiter(live)
    from_field = _field_getter(column) if column.fields else None

    def read_value(record: Record, index: dict[Any, Any]) -> Any:
        values = from_field(index) if from_field else [read(record) for read in paths]
        value = transform(translate(values) if translate else values, context)
        return value if value is None or limit is None else limit(value)

    plain_text = column.transform is None and live.family == "text" and not live.length
    if plain_text and len(paths) == 1 and translate is None:
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


def _compile_set(
    item_set: ItemSet, live: LiveTable, context: Context
) -> Callable[[dict[Any, Any]], list[dict[str, Any]]]:
    wanted, region = item_set.fields, context.region
    phones = item_set.item == "phone"
    # Remarks and kinds are cut to their columns as any text is; the key stays that of the whole.
    lengths = {role: live.columns[name].length for role, name in item_set.columns.items() if name in live.columns}
    longest_comment, longest_type = lengths.get("comment"), lengths.get("type")

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
                kind = kind if kind is None else str(kind)
                item = {
                    "k": key,
                    "v": parsed.value,
                    "c": parsed.comment and parsed.comment[:longest_comment],
                    "t": kind and kind[:longest_type],
                    "n": len(found),
                }
                # The items are their own base, which holds no nulls.
                found[key] = {name: part for name, part in item.items() if part is not None}
        return list(found.values())

    return items


class Extractor:
    """Takes the records of one stream apart: first the key alone, and for those that need it all mapped values.

    Args:
        live: The table that the records go to.
        context: Region and time zone.
        default_policy: Part of what a record's hash stands for: another mapping or policy merges all records anew.
    """

    def __init__(self, live: LiveTable, context: Context, default_policy: str = "soft") -> None:
        self.live = live
        self.context = context
        self.columns = [
            (
                index,
                c.name,
                live.columns[c.name].family,
                _compile_column(c, live.columns[c.name], context),
            )
            for index, c in enumerate(live.mapping.columns)
        ]
        self.plain = [c.source is None for c in live.mapping.columns]
        self.sets = [
            (index, s.name, _compile_set(s, live.sets[s.name], context)) for index, s in enumerate(live.mapping.sets)
        ]
        self.needs_fields = bool(self.sets) or any(c.fields for c in live.mapping.columns)
        self._width = len(live.mapping.columns)
        self._decode_key = msgspec.json.Decoder(_Key).decode
        version = repr((replace(live.mapping, line=None), str(context.zone), context.region, default_policy))
        self._salt = hashlib.blake2b(version.encode(), digest_size=16).digest()

    def see(self, raw: bytes, seq: int) -> tuple[SeenRecord, bool]:
        """Key and time of a record, and whether amoCRM says that it is deleted.

        Raises:
            RecordError: the record has no key.
            msgspec.DecodeError: it is no JSON object.
        """
        key = self._decode_key(raw)
        updated = key.updated_at
        moment = None if updated is None else _instant(updated, "updated_at")
        digest = hashlib.blake2b(raw, digest_size=8, key=self._salt).digest()
        seen = SeenRecord(
            seq,
            _number(key.account_id, "account_id"),
            _number(key.id, "id"),
            moment,
            int.from_bytes(digest, "big", signed=True),
            raw,
        )
        return seen, key.is_deleted is True

    def stage(self, seen: SeenRecord, is_new: bool, items: list[StagedRow]) -> StagedRow:
        """The row to stage; the items of its sets are added to `items`.

        Raises:
            RecordError: it holds a value that its column can't take; names the column.
        """
        record = msgspec.json.decode(seen.raw)
        index = index_custom_fields(record) if self.needs_fields else {}
        created = record.get("created_at")
        base: Record = {}
        values: list[Any] = [None] * self._width
        for slot, name, family, read in self.columns:
            try:
                value = read(record, index)
            except (ValueError, OverflowError, TypeError) as error:
                msg = f"column {name}: {error}"
                raise RecordError(msg) from None
            if value is None:
                continue
            if self.plain[slot] and (value.__class__ is not str or value.strip()):
                # An empty value never becomes the base (row 4 of the truth table).
                base[name] = value
            values[slot] = _encode(value).decode() if family == "json" else value
        if self.sets and "custom_fields_values" in record:
            for set_index, set_name, read_items in self.sets:
                found = read_items(index)
                base[set_name] = found
                items.extend(_item_row(seen.seq, set_index, item) for item in found)
        doc = b'{"amo":' + seen.raw + b',"amo_values":' + _encode(base) + b"}"
        return (
            seen.seq,
            seen.account_id,
            seen.amo_id,
            _text_of(seen.updated_at),
            _text_of(_instant(created, "created_at")) if created else None,
            seen.hash,
            is_new,
            doc.decode(),
            *values,
        )


def _item_row(seq: int, set_index: int, item: Record) -> StagedRow:
    value, comment, kind, place = item.get("v"), item.get("c"), item.get("t"), item["n"]
    own = {"key": item["k"], "value": value, "comment": comment, "type": kind, "position": place}
    document = _encode({"amo_values": own}).decode()
    return seq, set_index, item["k"], value, comment, kind, place, document


def _text_of(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _instant(value: Any, name: str) -> datetime | None:
    """A record's own time as an instant in UTC."""
    try:
        if value.__class__ is str and len(value) == 25 and value.endswith("+00:00"):
            return datetime.fromisoformat(value)
        return as_instant(value, timezone.utc)
    except ValueError:
        msg = f"property {name}: {value!r} is no time"
        raise RecordError(msg) from None


def _number(value: Any, name: str) -> int:
    if value is None:
        msg = f"property {name} is missing"
        raise RecordError(msg)
    if value.__class__ is not int:
        if not re.fullmatch(r"\d{1,19}", value):
            msg = f"property {name} is no whole number: {value!r}"
            raise RecordError(msg)
        value = int(value)
    if not 0 <= value < _BIGINT:
        msg = f"property {name}: {value} is out of range of bigint"
        raise RecordError(msg)
    return int(value)
