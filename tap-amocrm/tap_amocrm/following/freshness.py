"""How fresh what leaves is: seconds from a change in amoCRM to its record's way out; for the log and the metrics."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from tap_amocrm.shapes import Record

# How many of the last records count.
_KEPT = 2000


class Freshness:
    """Ages of the records that left.

    Args:
        now: The service's time, Unix seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ages: deque[float] = deque(maxlen=_KEPT)
        self._since_line: list[float] = []
        self.changes = 0

    def left(self, records: Iterable[Record], field: str, most: float = math.inf) -> None:
        """Records leave; `field` holds the time of their change, which does not count where it is longer ago than
        `most` seconds: what was restored or linked keeps its time of old."""
        now = self._now()
        for record in records:
            self.changes += 1
            try:
                age = max(0.0, now - datetime.fromisoformat(str(record.get(field))).timestamp())
            except (ValueError, OverflowError):
                continue
            if age > most:
                continue
            self._ages.append(age)
            if len(self._since_line) < _KEPT:
                self._since_line.append(age)

    def document(self) -> dict[str, Any]:
        """For the metrics; seconds."""
        ages = list(self._ages)
        return {"changes": self.changes, "seconds": {f"p{p}": at(ages, p) for p in (50, 95, 100)}}

    def line(self) -> str:
        """What has left since the last line."""
        ages, self._since_line = self._since_line, []
        if not ages:
            return "no changes"
        return f"{len(ages)} changes, half of them within {at(ages, 50):.1f} s, 95 % within {at(ages, 95):.1f} s"


def at(values: Sequence[float], percent: int) -> float | None:
    """The value that a percentage of them does not exceed; None of nothing."""
    if not values:
        return None
    return round(sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)], 2)
