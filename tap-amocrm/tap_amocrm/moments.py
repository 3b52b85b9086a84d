"""Moments as text and back. RFC 3339 is read here; pendulum, which takes its time to import, reads all other forms."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6}|\.\d{3})?(Z|[+-]\d\d:\d\d)")


def parse_moment(text: str) -> datetime | None:
    """The moment that a text names, in UTC where it says no zone; None where it names none.

    Raises:
        ValueError, OverflowError: it can't be read.
    """
    if _RFC_3339.fullmatch(text):
        # Python 3.10 does not know the letter Z.
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    import pendulum

    found = pendulum.parse(text)
    return found if isinstance(found, datetime) else None


def rfc3339_of(seconds: float) -> str:
    """Unix seconds as `2026-01-31T10:00:00Z`."""
    return _text(datetime.fromtimestamp(seconds, timezone.utc))


def rfc3339_now() -> str:
    """This machine's time as `2026-01-31T10:00:00.123456Z`."""
    return _text(datetime.now(timezone.utc))


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
