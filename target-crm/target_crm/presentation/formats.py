"""Numbers, days and times as a reader of one language writes them."""

from __future__ import annotations

import re
from datetime import date, datetime, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NO_BREAK = "\u00a0"
_MINUS = "\u2212"


def zone_of(name: str | None) -> tzinfo | None:
    """A time zone by its name; None for anything else."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def plural(language: str, number: int, forms: str) -> str:
    """The form of a word that goes with a number, out of forms parted by `|`: two in English, three in Russian."""
    choices = forms.split("|")
    if language == "en":
        return choices[0] if number == 1 else choices[-1]
    last, teens = number % 10, number % 100
    place = 0 if last == 1 and teens != 11 else 1 if last in (2, 3, 4) and teens not in (12, 13, 14) else 2
    return choices[min(place, len(choices) - 1)]


def grouped(language: str, value: Any, *, sign: bool = False) -> str:
    """A number with its thousands apart, every digit kept; anything else as it is. `sign` shows a plus, too."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    if not number.is_finite():
        return str(value)
    text = f"{number:,f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if language != "en":
        text = text.replace(",", _NO_BREAK).replace(".", ",")
    return ("+" if sign and number > 0 else "") + text.replace("-", _MINUS)


def day_text(language: str, day: date) -> str:
    """A day: 26 Nov 2026, or 26.11.2026 in Russian."""
    if language == "en":
        return f"{day.day} {_MONTHS[day.month - 1]} {day.year:04d}".replace(" ", _NO_BREAK)
    return f"{day.day:02d}.{day.month:02d}.{day.year:04d}"


def moment_text(language: str, moment: datetime, zone: tzinfo | None, *, seconds: bool = False) -> str:
    """A moment in a zone, to the minute or the second; without a zone in UTC, which is then named."""
    local = moment.astimezone(zone or timezone.utc)
    clock = local.strftime("%H:%M:%S" if seconds else "%H:%M")
    between = "," + _NO_BREAK if language == "en" else _NO_BREAK
    return day_text(language, local) + between + clock + ("" if zone else f"{_NO_BREAK}UTC")


_TYPED_MOMENT = re.compile(
    r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})(?:[ T,]+(?P<clock>\d{1,2}:\d\d(?::\d\d)?))?"
)


def read_moment(text: str, zone: tzinfo | None) -> datetime:
    """A moment that a person typed: as `datetime-local` gives it, in ISO 8601, or as 31.12.2026 12:00.

    Without an offset it is one of the zone's clock; without a zone of UTC's.

    Raises:
        ValueError: it is not valid.
    """
    text = text.replace("\u00a0", " ").strip()
    match = _TYPED_MOMENT.fullmatch(text)
    if match:
        hour, minute, second = (*(int(part) for part in (match["clock"] or "0:00").split(":")), 0)[:3]
        moment = datetime(int(match["year"]), int(match["month"]), int(match["day"]), hour, minute, second)
    else:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=zone or timezone.utc)
