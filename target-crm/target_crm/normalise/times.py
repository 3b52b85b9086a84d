"""Times and days as amoCRM sends them."""

from __future__ import annotations

import re
from datetime import date, datetime, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from target_crm.errors import CellError
from target_crm.normalise.text import visible


def as_instant(value: Any, zone: tzinfo) -> datetime | None:
    """A time from Unix seconds or RFC 3339; a time without a zone is read in the account's.

    Raises:
        CellError: it is neither, or is outside the years 1 to 9999.
    """
    if value in (None, "", 0):
        return None
    text = visible(str(value))
    if not text:
        return None
    try:
        if re.fullmatch(r"-?\d{1,12}(\.\d+)?", text, re.ASCII):
            return datetime.fromtimestamp(float(text), timezone.utc)
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (ValueError, OverflowError, OSError):
        raise CellError("W_NOT_A_TIME", value=value) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def as_utc_text(value: Any, zone: tzinfo) -> str | None:
    """The instant in UTC as text.

    Raises:
        CellError: as `as_instant`.
    """
    moment = as_instant(value, zone)
    try:
        return moment.astimezone(timezone.utc).isoformat() if moment else None
    except OverflowError:
        raise CellError("W_NOT_A_TIME", value=value) from None


def as_local(text: str, zone: str) -> str:
    """An instant's text as a column without a time zone holds it: the clock of that zone."""
    return datetime.fromisoformat(text).astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat()


def as_day(value: Any, zone: tzinfo) -> str | None:
    """A day as text. amoCRM sends it as midnight in the account's time zone: read there, or it is a day off.

    Raises:
        CellError: as `as_instant`.
    """
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
            return date.fromisoformat(value).isoformat()
        moment = as_instant(value, zone)
        return moment.astimezone(zone).date().isoformat() if moment else None
    except (ValueError, OverflowError):
        raise CellError("W_NOT_A_TIME", value=value) from None
