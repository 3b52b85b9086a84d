"""What the sections of the page share: tables, figures, medians."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Result = dict[str, Any]


def paragraph(*sentences: str) -> str:
    """Sentences as one paragraph of lines that fit the project's width."""
    return textwrap.fill(" ".join(sentences), 118, break_long_words=False, break_on_hyphens=False)


def runs_of(count: int) -> str:
    """`1 run`, `5 runs`."""
    return f"{count} run{'s' * (count != 1)}"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; numbers to the right."""
    head = "| " + " | ".join(columns) + " |\n|" + " --- |" + " ---: |" * (len(columns) - 1)
    return "\n".join([head, *("| " + " | ".join(figure(v) for v in row) + " |" for row in rows)])


def figure(value: Any) -> str:
    """A number with three figures that count, large ones whole; nothing where nothing was measured."""
    if value is None:
        return "–"
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def times(value: float) -> str:
    """A ratio, as `12.3 ×`."""
    return f"{figure(float(value))} ×"


def middle(runs: Sequence[Mapping[str, Any]], *path: str) -> float:
    """The median over runs of the number at `path` in each."""

    def at(value: Any) -> float:
        for part in path:
            value = value[part]
        return float(value)

    return float(median(at(run) for run in runs))


def whole(value: float) -> Any:
    """A count without a decimal point, where the median is one."""
    return int(value) if value == int(value) else value
