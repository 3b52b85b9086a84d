"""The beginning of a period as people type it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo

from target_crm.errors import ConfigError
from target_crm.presentation.formats import read_moment

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAYS = {"today": 0, "yesterday": 1}


def read_since(text: str, now: datetime, zone: tzinfo | None) -> datetime:
    """A moment before `now`: `yesterday` and `today` (where the day begins in the zone), `24h`, `90m`, `7d`, `2w`, or a
    time in ISO 8601, which without an offset is the zone's.

    Raises:
        ConfigError: it can't be read, or is not in the past.
    """
    told = text.strip().lower()
    if told in _DAYS:
        local = now.astimezone(zone or timezone.utc)
        return (local - timedelta(days=_DAYS[told])).replace(hour=0, minute=0, second=0, microsecond=0)
    span = re.fullmatch(r"(\d{1,5})\s*([mhdw])", told)
    try:
        moment = now - timedelta(**{_UNITS[span[2]]: int(span[1])}) if span else read_moment(text, zone)
    except (ValueError, OverflowError):
        raise ConfigError.of("E_SINCE", text=text[:80]) from None
    if moment > now:
        raise ConfigError.of("E_SINCE", text=text[:80])
    return moment
