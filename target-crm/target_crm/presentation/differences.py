"""Where two values differ, as people see it: numbers by how much, times by how long, texts by word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from difflib import SequenceMatcher
from typing import Any

from target_crm.presentation.formats import grouped, plural
from target_crm.presentation.values import as_moment, as_text

# Comparing is quadratic: longer texts are compared by their ends alone.
_MOST_PARTS = 600
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
# Where more than this share of a text differs, marks hide more than they show.
_MOST_MARKED = 0.6
# Passages that both texts share are cut to their ends when they are longer than this.
_LONGEST_SHARED, _KEPT_AT_AN_END = 160, 60
_UNITS = (
    (86_400, "day|days", "день|дня|дней"),
    (3600, "hour|hours", "час|часа|часов"),
    (60, "minute|minutes", "минуту|минуты|минут"),
    (1, "second|seconds", "секунду|секунды|секунд"),
)


@dataclass(frozen=True)
class Part:
    """A piece of a text; `differs` from the text that it is compared with."""

    text: str
    differs: bool


@dataclass(frozen=True)
class Difference:
    """A value in pieces, and in words by how much it differs (`+50 000`, `4 days later`); empty where nothing says
    more than the values do."""

    parts: list[Part] = field(default_factory=list)
    hint: str = ""


def number_hint(language: str, value: Any, base: Any) -> str:
    """By how much a number differs from another."""
    try:
        distance = Decimal(str(value)) - Decimal(str(base))
    except InvalidOperation:
        return ""
    return grouped(language, distance, sign=True) if distance and distance.is_finite() else ""


def time_hint(language: str, value: Any, base: Any) -> str:
    """By how long a moment or a day is later or earlier than another."""
    mine, theirs = as_moment(value), as_moment(base)
    if mine is None or theirs is None or mine == theirs:
        return ""
    return _span(language, mine - theirs)


def _span(language: str, distance: timedelta) -> str:
    seconds = abs(distance).total_seconds()
    size, english, russian = next(unit for unit in _UNITS if seconds >= unit[0] or unit[0] == 1)
    number = max(round(seconds / size), 1)
    unit = plural(language, number, english if language == "en" else russian)
    later = distance > timedelta(0)
    if language == "en":
        return f"{grouped(language, number)} {unit} {'later' if later else 'earlier'}"
    return f"на {grouped(language, number)} {unit} {'позже' if later else 'раньше'}"


def compared(value: Any, base: Any) -> list[Part]:
    """The value's text in pieces, those marked that the base does not have: lists by item, texts by word.

    Nothing is marked in a single word, nor where most of the text differs. Long passages without a difference are cut.
    """
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return _items(value, base if isinstance(base, list) else [])
    text, other = as_text(value), as_text(base)
    if not text:
        return []
    if not other or not re.search(r"\s", text.strip()):
        return [Part(text, False)]
    mine = _WORDS.findall(text)
    differs = _different(mine, _WORDS.findall(other))
    marked = sum(len(word) for word, different in zip(mine, differs, strict=True) if different)
    if marked > _MOST_MARKED * len(text):
        return [Part(text, False)]
    return _cut(_joined(mine, differs))


def _items(value: list[str], base: list[Any]) -> list[Part]:
    known = set(map(str, base))
    new = [item not in known for item in value]
    is_marked = bool(known) and sum(new) <= _MOST_MARKED * len(value)
    parts: list[Part] = []
    for item, is_new in zip(value, new, strict=True):
        parts += [Part(", ", False)] if parts else []
        parts.append(Part(item, is_marked and is_new))
    return parts


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


def _cut(parts: list[Part]) -> list[Part]:
    """Shared passages reduced to what is next to a difference."""
    if not any(part.differs for part in parts):
        return parts
    found = []
    for place, part in enumerate(parts):
        text = part.text
        if not part.differs and len(text) > _LONGEST_SHARED:
            head = "" if place == 0 else text[:_KEPT_AT_AN_END].rsplit(" ", 1)[0]
            end = "" if place == len(parts) - 1 else text[-_KEPT_AT_AN_END:].split(" ", 1)[-1]
            text = f"{head} … {end}".strip() if place in (0, len(parts) - 1) else f"{head} … {end}"
            text = text + " " if place == 0 else " " + text if place == len(parts) - 1 else text
        found.append(Part(text, part.differs))
    return found
