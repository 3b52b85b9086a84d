"""Values as people read them, and where two of them differ."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone, tzinfo
from typing import Any

from target_crm.presentation.formats import read_moment

# In the order in which they are shown.
COUNTS = (
    "read",
    "inserted",
    "updated",
    "unchanged",
    "kept",
    "conflicts",
    "deleted",
    "restored",
    "rejected",
    "warnings",
    "skipped_by_database",
    "deleted_by_person",
    "superseded",
    "unmatched",
    "adopted",
    "proposed",
)


def as_text(value: Any) -> str:
    """A value of the journal as text; empty for nothing."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return ", ".join(value)
    if isinstance(value, (bool, int, float, list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def readable_json(text: str | None, indent: int | None = None) -> str:
    """JSON with letters instead of their escapes, on one line or several; anything else as it is."""
    text = text or ""
    with suppress(ValueError, RecursionError):
        return json.dumps(json.loads(text), ensure_ascii=False, indent=indent)
    return text


def is_empty(value: Any) -> bool:
    """Whether the value is NULL, '' or []."""
    return value is None or value in ("", [])


def short(value: Any, width: int = 200) -> str:
    """A value cut to a length."""
    text = as_text(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """A run's counts of a table in the order in which they are shown; jsonb keeps no order."""
    names = sorted(counts, key=lambda name: COUNTS.index(name) if name in COUNTS else len(COUNTS))
    return [(name, counts[name]) for name in names]


def as_moment(value: Any) -> datetime | None:
    """A time of a column or of a record (RFC 3339 or Unix seconds), in UTC; None for anything else."""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc) if value.tzinfo else value.replace(tzinfo=timezone.utc)
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, timezone.utc)
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except (ValueError, OverflowError, OSError):
        return None
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def as_typed(text: str, family: str, length: int | None = None, zone: tzinfo | None = None) -> Any:
    """What a person typed as a value for a column of that family; None for nothing typed.

    Lists are typed one item a line; times without an offset are those of the zone.

    Raises:
        ValueError: it can be no such value; its text is one of the keys `typed_...` of the texts.
    """
    text = text.replace("\r\n", "\n").replace("\0", "")
    if not text.strip():
        return None
    if family == "array":
        return [line.strip() for line in text.split("\n") if line.strip()]
    if family == "json":
        return _checked(lambda: json.loads(text), "typed_json")
    text = text.strip()
    if family in ("integer", "number"):
        plain = re.sub(r"[\s\u00a0\u202f]", "", text).replace("\u2212", "-")
        # 1,174,052 and 1,174.50 have their thousands apart as in English; a single comma is that of a fraction.
        plain = plain.replace(",", "" if plain.count(",") > 1 or "." in plain else ".")
        if not re.fullmatch(r"[+-]?\d+" if family == "integer" else r"[+-]?\d+(\.\d+)?", plain):
            raise ValueError("typed_integer" if family == "integer" else "typed_number")
        return plain
    if family == "boolean":
        if text not in ("true", "false"):
            raise ValueError("typed_boolean")
        return text == "true"
    if family in ("timestamp", "date"):
        moment = _checked(lambda: read_moment(text, zone), "typed_time")
        return moment.date().isoformat() if family == "date" else moment.isoformat()
    if length is not None and len(text) > length:
        raise ValueError("typed_too_long")
    return text


def _checked(read: Any, problem: str) -> Any:
    try:
        return read()
    except (ValueError, RecursionError):
        raise ValueError(problem) from None
