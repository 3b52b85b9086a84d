"""The named transformations a mapping may use: from what amoCRM sends to what a column takes.

A transformation gets the values of the column's source (one for each path, or those of the custom field) and the
account's time zone, and returns a plain value or None for empty. It raises `CellError` with a code of
`target_crm.problems` when the value can't be what the column wants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from typing import Any

from target_crm.errors import CellError
from target_crm.normalise.emails import parse_email
from target_crm.normalise.notes import note_text
from target_crm.normalise.phones import parse_phone
from target_crm.normalise.remarks import remark


@dataclass(frozen=True)
class Context:
    """What a transformation may need to know beside the value."""

    region: str = "RU"
    zone: tzinfo = timezone.utc


Transform = Callable[[Sequence[Any], Context], Any]

_TASK_TYPES = {1: "Звонок", 2: "Встреча", 3: "Письмо"}
_DIGITS = re.compile(r"\D+")
_DIGIT = re.compile(r"\d")
_ADDRESS = re.compile(r"[^\s<>,;:()\[\]\"']+@[^\s<>,;:()\[\]\"']+")
_LONG_NUMBER = re.compile(r"\+?\d[\d\s\-().]{5,}\d")
_EXTENSION = re.compile(r"\b(?:доб|вн|ext)\w*\.?\s*\d{1,6}\b", re.IGNORECASE)
_LABEL = re.compile(
    r"(?:т|тел|телефон|моб|мобильный|раб|рабочий|сот|факс|tel|phone|mob|e-?mail|почта)\.?", re.IGNORECASE
)
_PHONE_LIKE = re.compile(r"^[\d\s+\-()]{7,}$")


def _first(values: Sequence[Any]) -> Any:
    return next((v for v in values if v not in (None, "", [])), None)


def _text(values: Sequence[Any], _: Context) -> str | None:
    value = _first(values)
    if value is None:
        return None
    if isinstance(value, bool):
        return "да" if value else "нет"
    if isinstance(value, dict):
        value = value.get("name") or value.get("value")
        return None if value is None else str(value)
    return str(value)


def _integer(values: Sequence[Any], _: Context) -> int | None:
    value = _first(values)
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        pass
    try:
        number = float(str(value).replace("\u00a0", "").replace(" ", "").replace(",", "."))
        return int(number)
    except (ValueError, OverflowError):
        raise CellError("W_NOT_A_WHOLE_NUMBER", value=value) from None


def _number(values: Sequence[Any], _: Context) -> str | None:
    value = _first(values)
    if value is None:
        return None
    text = str(value).replace("\u00a0", "").replace(" ", "").replace(",", ".")
    if not re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?", text):
        raise CellError("W_NOT_A_NUMBER", value=value)
    return text


def _boolean(values: Sequence[Any], _: Context) -> bool | None:
    value = _first(values)
    if value is None or isinstance(value, bool):
        return value
    known = {
        "1": True,
        "true": True,
        "да": True,
        "yes": True,
        "0": False,
        "false": False,
        "нет": False,
        "no": False,
    }
    try:
        return known[str(value).strip().lower()]
    except KeyError:
        raise CellError("W_NOT_A_BOOLEAN", value=value) from None


def as_instant(value: Any, zone: tzinfo) -> datetime | None:
    """A time from Unix seconds or RFC 3339; a time without a zone is read in the account's.

    Raises:
        CellError: it is neither, or lies outside the years 1 to 9999.
    """
    if value in (None, "", 0):
        return None
    text = str(value).strip()
    try:
        if re.fullmatch(r"-?\d{1,12}(\.\d+)?", text):
            return datetime.fromtimestamp(float(text), timezone.utc)
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (ValueError, OverflowError, OSError):
        raise CellError("W_NOT_A_TIME", value=value) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _timestamp(values: Sequence[Any], context: Context) -> str | None:
    moment = as_instant(_first(values), context.zone)
    return moment.astimezone(timezone.utc).isoformat() if moment else None


def _date(values: Sequence[Any], context: Context) -> str | None:
    """amoCRM sends a day as midnight in the account's time zone: read there, or it is a day off."""
    value = _first(values)
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        return value
    moment = as_instant(value, context.zone)
    return moment.astimezone(context.zone).date().isoformat() if moment else None


def _list(values: Sequence[Any], _: Context) -> list[str] | None:
    flat: list[Any] = []
    for value in values:
        flat.extend(value if isinstance(value, list) else [value])
    return sorted({str(v) for v in flat if v not in (None, "")}) or None


def _phone(values: Sequence[Any], context: Context) -> str | None:
    for value in values:
        if value not in (None, ""):
            number = parse_phone(str(value), context.region).value
            if number:
                return number
    return None


def _email(values: Sequence[Any], _: Context) -> str | None:
    for value in values:
        if value not in (None, ""):
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
    if first:
        return str(first)
    return None if last else _text([whole], context)


def _digits(values: Sequence[Any], context: Context) -> str | None:
    text = _text(values, context)
    return (_DIGITS.sub("", text) or None) if text else None


def _inn(values: Sequence[Any], context: Context) -> str | None:
    """An ИНН has 10 or 12 digits; anything else stays in `raw_fields.amo` alone."""
    digits = _digits(values, context)
    return digits if digits and len(digits) in (10, 12) else None


def _note_text(values: Sequence[Any], _: Context) -> str | None:
    note_type, params = (*values, None, None)[:2]
    return note_text(note_type, params)


def _task_type(values: Sequence[Any], _: Context) -> str | None:
    value = _first(values)
    try:
        return _TASK_TYPES.get(int(value), str(value)) if value is not None else None
    except (TypeError, ValueError):
        return str(value)


def _json(values: Sequence[Any], _: Context) -> Any:
    value = _first(values)
    return None if value in ({}, []) else value


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
    "task_type": _task_type,
    "json": _json,
}
