"""Custom fields as columns: a property for each, whose name stays while the field is renamed in amoCRM.

Kinds of fields: developers.kommo.com, "Custom fields"; what their values look like: "Custom fields in entities".
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime, tzinfo
from typing import Any

import msgspec

from tap_amocrm.api.conform import boolean, number
from tap_amocrm.api.records import rfc3339
from tap_amocrm.shapes import Record, items, record_id, text, whole
from tap_amocrm.state import FieldColumn, FieldColumns

logger = logging.getLogger("tap-amocrm")
FIELDS = "custom_fields_values"
# Properties of records never begin like this.
PREFIX = "cf_"
# With the prefix and the ID of a second field of the name it fits into the 63 bytes of a name in PostgreSQL.
_LONGEST_NAME = 40
_NOTHING: tuple[Any, ...] = (None, "", [], {})


class _UnreadableError(ValueError):
    """A value that its column can't take."""


def _text(values: list[Any], zone: tzinfo) -> str | None:
    del zone
    return ", ".join(found) if (found := _texts(values)) else None


def _texts(values: list[Any], zone: tzinfo | None = None) -> list[str]:
    del zone
    return [v if isinstance(v, str) else msgspec.json.encode(v).decode() for v in values if v not in _NOTHING]


def _number(values: list[Any], zone: tzinfo) -> int | float | None:
    del zone
    found = number(_only(values))
    if found is None or (isinstance(found, (int, float)) and not isinstance(found, bool)):
        return found
    raise _UnreadableError


def _boolean(values: list[Any], zone: tzinfo) -> bool | None:
    del zone
    found = boolean(_only(values))
    if found is None or isinstance(found, bool):
        return found
    raise _UnreadableError


def _moment(values: list[Any], zone: tzinfo) -> str | None:
    del zone
    found = _datetime(_only(values))
    return None if found is None else found.isoformat()


def _day(values: list[Any], zone: tzinfo) -> str | None:
    """The day in the account's time zone; text that begins with a date means that date."""
    value = _only(values)
    if isinstance(value, str) and whole(value) is None:
        try:
            return date.fromisoformat(value.strip()[:10]).isoformat()
        except ValueError:
            raise _UnreadableError from None
    found = _datetime(value)
    return None if found is None else found.astimezone(zone).date().isoformat()


def _datetime(value: Any) -> datetime | None:
    """Unix seconds, or RFC 3339 with an offset."""
    if value is None:
        return None
    shown = rfc3339(value)
    if shown is None:
        return None
    try:
        # Python 3.10 does not know the letter Z.
        found = datetime.fromisoformat(str(shown).strip().replace("Z", "+00:00"))
    except ValueError:
        raise _UnreadableError from None
    if found.tzinfo is None:
        raise _UnreadableError
    return found


def _only(values: list[Any]) -> Any:
    """The one value of a field that has at most one."""
    found = [v for v in values if v not in _NOTHING]
    if len(found) > 1:
        raise _UnreadableError
    return found[0] if found else None


def _whole_entries(values: list[Any], zone: tzinfo) -> list[Any] | None:
    del zone
    return values or None


Convert = Callable[[list[Any], tzinfo], Any]
_TEXT: tuple[Any, Convert] = ({"type": ["string", "null"]}, _text)
_LIST: tuple[Any, Convert] = ({"type": ["array", "null"], "items": {"type": ["string", "null"]}}, _texts)
_NUMBER: tuple[Any, Convert] = ({"type": ["number", "null"]}, _number)
_DAY: tuple[Any, Convert] = ({"type": ["string", "null"], "format": "date"}, _day)
# Values with an inner structure, and those of kinds that are not known: the list of them as it comes.
_ENTRIES: tuple[Any, Convert] = ({"type": ["array", "object", "string", "number", "boolean", "null"]}, _whole_entries)
_KINDS: dict[str, tuple[Any, Convert]] = {
    **dict.fromkeys(("text", "textarea", "url", "select", "radiobutton", "streetaddress", "tracking_data"), _TEXT),
    **dict.fromkeys(("multiselect", "multitext", "category"), _LIST),
    **dict.fromkeys(("numeric", "price", "monetary"), _NUMBER),
    **dict.fromkeys(("date", "birthday"), _DAY),
    "date_time": ({"type": ["string", "null"], "format": "date-time"}, _moment),
    "checkbox": ({"type": ["boolean", "null"]}, _boolean),
}


def column_name(code: str, name: str, field_id: int, taken: Iterable[str]) -> str:
    """The column of a new field: `cf_` and its code or, where it has none, its name in Latin letters.

    Where the name is taken, the field's ID follows.
    """
    # Only a new field needs it.
    from anyascii import anyascii

    plain = re.sub(r"[^a-z0-9]+", "_", re.sub(r"['`\"]", "", anyascii(code or name).lower())).strip("_")
    plain = plain[:_LONGEST_NAME].strip("_")
    column = f"{PREFIX}{plain}" if plain else f"{PREFIX}{field_id}"
    while column in taken:
        column += f"_{field_id}"
    return column


class Columns:
    """The columns of one stream.

    Args:
        stream: The stream's name.
        known: The columns of earlier runs by the field's ID; new ones are added there.
        zone: In which the account's days begin.
    """

    def __init__(self, stream: str, known: FieldColumns, zone: tzinfo) -> None:
        self._stream, self._known, self._zone = stream, known, zone
        self._taken = {column.column for column in known.values()}
        self._unreadable: Counter[str] = Counter()

    def define(self, field: Record) -> bool:
        """Take a field over from its definition; whether its column is new."""
        field_id = record_id(field)
        if not field_id:
            return False
        kind, name = text(field.get("type")), text(field.get("name"))
        found = self._known.get(field_id)
        if found is not None:
            self._known[field_id] = found._replace(name=name or found.name)
            return False
        column = column_name(text(field.get("code")), name, field_id, self._taken)
        self._known[field_id] = FieldColumn(column, kind, name)
        self._taken.add(column)
        return True

    def schema(self) -> dict[str, Any]:
        """The JSON schema of each column; its title is the name of the field."""
        return {c.column: {**_KINDS.get(c.kind, _ENTRIES)[0], "title": c.name} for c in self._known.values()}

    def within(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A stream's schema with the columns instead of the array; columns of other names go."""
        kept = {n: p for n, p in schema["properties"].items() if n != FIELDS and not n.startswith(PREFIX)}
        return {**schema, "properties": {**kept, **self.schema()}}

    def flatten(self, records: Iterable[Record]) -> bool:
        """Replace `custom_fields_values` with columns; whether there are new ones.

        A column without a value is null. A record without the property, such as the last version of a deleted one,
        gets none.
        """
        new = False
        for record in records:
            if FIELDS not in record:
                continue
            fields = record.pop(FIELDS)
            values = self._values(fields)
            for field_id, (field, _) in values.items():
                if field_id not in self._known:
                    known_by = {"id": field_id, "type": field.get("field_type")}
                    new |= self.define({**known_by, "name": field.get("field_name"), "code": field.get("field_code")})
            if values or fields is False or fields in _NOTHING:
                for field_id, column in self._known.items():
                    record[column.column] = self._convert(column, values[field_id][1]) if field_id in values else None
            else:
                self._unreadable[FIELDS] += 1
        return new

    @staticmethod
    def _values(fields: Any) -> dict[int, tuple[Record, list[Any]]]:
        """Each field of a record with all its values."""
        found: dict[int, tuple[Record, list[Any]]] = {}
        for field in items(fields):
            field_id = whole(field.get("field_id"))
            if field_id:
                entries = items(field.get("values"))
                values = [e["value"] if e.keys() & {"value"} and len(e) == 1 else e for e in entries]
                found.setdefault(field_id, (field, []))[1].extend(values)
        return found

    def _convert(self, column: FieldColumn, values: list[Any]) -> Any:
        convert = _KINDS.get(column.kind, _ENTRIES)[1]
        if convert is not _whole_entries:
            # A choice has an ID and a code, too.
            values = [v["value"] if isinstance(v, dict) and "value" in v else v for v in values]
        try:
            return convert(values, self._zone)
        except _UnreadableError:
            self._unreadable[column.column] += 1
            return None

    def warn(self) -> None:
        """Say once which values were left out."""
        for column, count in sorted(self._unreadable.items()):
            logger.warning(
                "Stream %s: %d values of %s don't fit its type and are left out. Setting custom_fields: array keeps "
                "them as they are.",
                self._stream, count, column,
            )  # fmt: skip
        self._unreadable.clear()
