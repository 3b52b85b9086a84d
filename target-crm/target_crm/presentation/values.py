"""Values as people read them, and where two of them differ."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from difflib import SequenceMatcher
from typing import Any

# Comparing is quadratic: longer texts are compared by their ends alone.
_MOST_PARTS = 600
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


# In the order in which they are told.
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
)


@dataclass(frozen=True)
class Part:
    """A piece of a text; `differs` from the text that it is compared with."""

    text: str
    differs: bool


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


def told(row: Any, leave_out: Collection[str] = ()) -> str:
    """A whole row of the journal on one line: what is filled, without keys and documents."""
    if not isinstance(row, dict):
        return as_text(row)
    shown = {k: v for k, v in row.items() if k not in leave_out and not is_empty(v) and not isinstance(v, (dict, list))}
    return ", ".join(f"{name}: {as_text(value)}" for name, value in shown.items())


def readable_json(text: str | None, indent: int | None = None) -> str:
    """JSON with letters in the place of their escapes, on one line or several; anything else as it is."""
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


def marked(value: Any, other: Any) -> list[Part]:
    """The value's text in pieces, those marked that the other value does not have. Lists are compared by item."""
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        known = set(other) if isinstance(other, list) else set()
        parts: list[Part] = []
        for item in value:
            parts += [Part(", ", False)] if parts else []
            parts.append(Part(item, item not in known))
        return parts
    text, base = as_text(value), as_text(other)
    if not base or not text:
        return [Part(text, bool(text))] if text else []
    # Values of one word (a number, a phone) are compared by character, others by word.
    by_word = bool(re.search(r"\s", text + base))
    mine, theirs = (_WORDS.findall(text), _WORDS.findall(base)) if by_word else (list(text), list(base))
    return _joined(mine, _different(mine, theirs))


def _different(mine: Sequence[str], theirs: Sequence[str]) -> list[bool]:
    if len(mine) + len(theirs) > _MOST_PARTS:
        head = 0
        while head < min(len(mine), len(theirs)) and mine[head] == theirs[head]:
            head += 1
        end = 0
        while end < min(len(mine), len(theirs)) - head and mine[-1 - end] == theirs[-1 - end]:
            end += 1
        return [head <= n < len(mine) - end for n in range(len(mine))]
    found = [True] * len(mine)
    for block in SequenceMatcher(None, mine, theirs, autojunk=False).get_matching_blocks():
        found[block.a : block.a + block.size] = [False] * block.size
    return found


def _joined(parts: Sequence[str], differs: Sequence[bool]) -> list[Part]:
    joined: list[Part] = []
    for text, different in zip(parts, differs, strict=True):
        if joined and joined[-1].differs == different:
            joined[-1] = Part(joined[-1].text + text, different)
        else:
            joined.append(Part(text, different))
    return joined


def ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """A run's counts of a table in the order in which they are told; jsonb keeps none."""
    names = sorted(counts, key=lambda name: COUNTS.index(name) if name in COUNTS else len(COUNTS))
    return [(name, counts[name]) for name in names]


def as_moment(value: Any) -> datetime | None:
    """A time of a column or of a record (RFC 3339 or Unix seconds), in UTC; None for what is none."""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc) if value.tzinfo else value.replace(tzinfo=timezone.utc)
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, timezone.utc)
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except (ValueError, OverflowError, OSError):
        return None
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def as_typed(text: str, family: str, length: int | None = None) -> Any:
    """What a person typed as a value for a column of that family; None for nothing typed.

    Lists are typed one item a line.

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
        plain = re.sub(r"[\s\u00a0\u202f]", "", text).replace(",", ".")
        if not re.fullmatch(r"[+-]?\d+" if family == "integer" else r"[+-]?\d+(\.\d+)?", plain):
            raise ValueError("typed_integer" if family == "integer" else "typed_number")
        return plain
    if family == "boolean":
        if text not in ("true", "false"):
            raise ValueError("typed_boolean")
        return text == "true"
    if family in ("timestamp", "date"):
        moment = _checked(lambda: datetime.fromisoformat(text.replace("Z", "+00:00")), "typed_time")
        return moment.date().isoformat() if family == "date" else text
    if length is not None and len(text) > length:
        raise ValueError("typed_too_long")
    return text


def _checked(read: Any, problem: str) -> Any:
    try:
        return read()
    except (ValueError, RecursionError):
        raise ValueError(problem) from None
