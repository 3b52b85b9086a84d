"""Reads values of an API that may send other shapes than it documents; nothing here raises.

What a record holds is passed on whatever its shape. Only where the tap itself needs a value (an id, a time, the
entries of a list) it is read by these functions, and what they can't read counts as not there.
"""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]
# Digits that a 64-bit integer takes in any case; longer text is not a number of the API.
_MOST_DIGITS = 18
_LIMIT = 1 << 63
_ABSENT: Any = object()
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def whole(value: Any) -> int | None:
    """A whole number of 64 bits, also as digits in text or as a float without a fraction; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is int:
        return value if -_LIMIT <= value < _LIMIT else None
    if isinstance(value, str):
        text = value.strip()
        digits = text[1:] if text.startswith("-") else text
        if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS:
            return int(text)
    return None


def text(value: Any) -> str:
    """Text as it is, else an empty one."""
    return value if isinstance(value, str) else ""


def record_id(record: Record) -> int:
    """The id of a record; 0, which no record has, where there is none that can be read."""
    return whole(record.get("id")) or 0


def has_id_among(record: Record, ids: set[int]) -> bool:
    """Whether a record's id is one of these."""
    return record_id(record) in ids


def seconds(record: Record, name: str) -> int:
    """A time of a record of the API in Unix seconds; 0 where there is none that can be read."""
    return whole(record.get(name)) or 0


def items(container: Any) -> list[Record]:
    """The objects in a list, or in an object with the list's indexes as keys (`{"0": …}`, as PHP may send it)."""
    if isinstance(container, dict):
        if not all(isinstance(key, str) and key.isascii() and key.isdigit() for key in container):
            return []
        container = list(container.values())
    return [item for item in container if isinstance(item, dict)] if isinstance(container, list) else []


def entries(record: Record, name: str) -> list[Record] | None:
    """The objects under `_embedded`; None where nothing can be said of them, for the list is absent or unreadable.

    A container that is empty in any way (null, `[]`, `{}`, an empty text) holds nothing.
    """
    found = record.get("_embedded", _ABSENT)
    if found is not _ABSENT and found in _EMPTY:
        return []
    container = found.get(name, _ABSENT) if isinstance(found, dict) else _ABSENT
    if container is _ABSENT:
        return None
    known = items(container)
    return known if known or container in _EMPTY else None


def embedded(record: Record, name: str) -> list[Record]:
    """The objects under `_embedded`."""
    found = record.get("_embedded")
    return items(found.get(name)) if isinstance(found, dict) else []
