"""The named transformations a mapping may use: from what amoCRM sends to what a column takes.

A transformation gets the values of the column's source (one for each path, or those of the custom field) and the
account's time zone, and returns a plain value or None for empty. It raises `CellError` when the value can't be what
the column holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timezone, tzinfo
from typing import Any

from target_crm.errors import CellError
from target_crm.normalise.custom_fields import flat, is_empty, readable
from target_crm.normalise.emails import parse_email
from target_crm.normalise.notes import note_text
from target_crm.normalise.numbers import as_boolean, as_integer, as_number
from target_crm.normalise.phones import parse_phone
from target_crm.normalise.remarks import remark
from target_crm.normalise.text import is_blank
from target_crm.normalise.times import as_day, as_instant, as_utc_text

__all__ = ["TRANSFORMS", "Context", "Transform", "as_instant", "is_blank"]


@dataclass(frozen=True)
class Context:
    """What a transformation may need to know beside the value."""

    region: str = "RU"
    zone: tzinfo = timezone.utc


Transform = Callable[[Sequence[Any], Context], Any]

_DIGITS = re.compile(r"\D+")
_DIGIT = re.compile(r"\d")
_ADDRESS = re.compile(r"[^\s<>,;:()\[\]\"']+@[^\s<>,;:()\[\]\"']+")
_LONG_NUMBER = re.compile(r"\+?\d[\d\s\-().]{5,}\d")
_EXTENSION = re.compile(r"\b(?:доб|вн|ext)\w*\.?\s*\d{1,6}\b", re.IGNORECASE)
_LABEL = re.compile(
    r"(?:т|тел|телефон|моб|мобильный|раб|рабочий|сот|факс|tel|phone|mob|e-?mail|почта)\.?", re.IGNORECASE
)
_PHONE_LIKE = re.compile(r"^[\d\s+\-()]{7,}$")


def _one(values: Sequence[Any]) -> Any:
    """The one value that is there; the same value twice is one.

    Raises:
        CellError: there are several.
    """
    found = flat(values)
    if len(found) > 1 and any(value != found[0] for value in found):
        raise CellError("W_SEVERAL_VALUES", value=found)
    return found[0] if found else None


def _text(values: Sequence[Any], _: Context) -> str | None:
    found = flat(values)
    if len(found) != 1:
        return readable(found)
    (value,) = found
    return value if value.__class__ is str else readable(value)


def _integer(values: Sequence[Any], _: Context) -> int | None:
    value = _one(values)
    return None if value is None else as_integer(value)


def _number(values: Sequence[Any], _: Context) -> str | None:
    value = _one(values)
    return None if value is None else as_number(value)


def _boolean(values: Sequence[Any], _: Context) -> bool | None:
    value = _one(values)
    return None if value is None else as_boolean(value)


def _timestamp(values: Sequence[Any], context: Context) -> str | None:
    return as_utc_text(_one(values), context.zone)


def _date(values: Sequence[Any], context: Context) -> str | None:
    return as_day(_one(values), context.zone)


def _list(values: Sequence[Any], _: Context) -> list[str] | None:
    return sorted({text for value in flat(values) if (text := readable(value))}) or None


def _phone(values: Sequence[Any], context: Context) -> str | None:
    """The first of them that is a number."""
    for value in flat(values):
        number = parse_phone(str(value), context.region).value
        if number:
            return number
    return None


def _email(values: Sequence[Any], _: Context) -> str | None:
    """The first of them that is an address."""
    for value in flat(values):
        address = parse_email(str(value)).value
        if address:
            return address
    return None


def _position(values: Sequence[Any], context: Context) -> str | None:
    """A job title; a phone or an e-mail that somebody typed there is no part of it (all stays in `raw_fields.amo`)."""
    text = _text(values, context)
    if text is None or not (_DIGIT.search(text) or "@" in text):
        return text
    rest = _ADDRESS.sub(" ", text)
    if _PHONE_LIKE.match(rest):
        return None
    rest = _LONG_NUMBER.sub(lambda m: " " if _is_phone(m.group(), context.region) else m.group(), rest)
    if rest == text:
        return text
    words = [w for w in re.split(r"[\s,;:/|]+", _EXTENSION.sub(" ", rest)) if w and not _LABEL.fullmatch(w)]
    return remark(" ".join(words)) if any(c.isalpha() for c in "".join(words)) else None


def _is_phone(text: str, region: str) -> bool:
    return sum(c.isdigit() for c in text) >= 10 or parse_phone(text, region).value is not None


def _first_name(values: Sequence[Any], context: Context) -> str | None:
    """First name, or the whole name where amoCRM holds no parts: nothing is guessed about the order of the words."""
    first, last, whole = (*values, None, None, None)[:3]
    if not is_empty(first):
        return readable(first)
    return None if not is_empty(last) else _text([whole], context)


def _digits(values: Sequence[Any], _: Context) -> str | None:
    text = readable(_one(values))
    return (_DIGITS.sub("", text) or None) if text else None


def _inn(values: Sequence[Any], context: Context) -> str | None:
    """An ИНН has 10 or 12 digits; anything else stays in `raw_fields.amo` alone."""
    digits = _digits(values, context)
    return digits if digits and len(digits) in (10, 12) else None


def _note_text(values: Sequence[Any], _: Context) -> str | None:
    note_type, params = (*values, None, None)[:2]
    return note_text(note_type, params)


def _json(values: Sequence[Any], _: Context) -> Any:
    """The value as it is; several of them (a list of goods, chosen values) as a list."""
    found = [value for value in values if not is_empty(value)]
    return found[0] if len(found) == 1 else found or None


# How long a value of these may be. E.164: + and 15 digits; RFC 5321: 254; an ИНН of a person: 12.
LONGEST = {"phone": 16, "email": 254, "inn": 12}
TRANSFORMS: dict[str, Transform] = {
    "text": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "date": _date,
    "list": _list,
    "phone": _phone,
    "email": _email,
    "position": _position,
    "first_name": _first_name,
    "digits": _digits,
    "inn": _inn,
    "note_text": _note_text,
    "json": _json,
}
