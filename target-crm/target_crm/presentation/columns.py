"""Tables of values that fit the terminal: values are folded, never cut, and columns that matter less are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from target_crm.presentation.terminal import ANY_WIDTH, Table, cell

# A column of text may be folded to this width; a narrower one is not readable.
_LEAST_WIDTH = 14
# What a line of a table needs beside its cells: a space on both sides and a line.
_BESIDE = 3


@dataclass(frozen=True)
class Col:
    """A column of a list.

    Args:
        name: Its heading, and its name in CSV.
        text: The value that is shown of a row.
        drop: Where the terminal is too narrow, columns with the greatest number go first; 0 always stays.
        is_number: Aligned to the right and never folded.
    """

    name: str
    text: Callable[[dict[str, Any]], str]
    drop: int = 0
    is_number: bool = False


def print_table(
    console: Console, columns: Sequence[Col], rows: Sequence[Mapping[str, Any]], title: str | None = None
) -> list[str]:
    """Print rows; the names of the columns that had no room."""
    cells = [[cell(column.text(dict(row))) for column in columns] for row in rows]
    kept = fitting(columns, cells, console.width) if console.width < ANY_WIDTH else range(len(columns))
    table = Table(title=title)
    for place in kept:
        column = columns[place]
        table.add_column(
            column.name,
            justify="right" if column.is_number else "left",
            no_wrap=column.is_number,
            overflow="fold",
        )
    for row in cells:
        table.add_row(*(row[place] for place in kept))
    console.print(table)
    filled = [place for place in range(len(columns)) if any(row[place].plain for row in cells)]
    return [columns[place].name for place in filled if place not in kept]


def fitting(columns: Sequence[Col], cells: Sequence[Sequence[Text]], width: int) -> list[int]:
    """The places of the columns that fit a width, of those that any row fills."""
    kept = [place for place, _ in enumerate(columns) if any(row[place].plain for row in cells)]

    def least(place: int) -> int:
        lengths = [cell_len(columns[place].name), *(cell_len(row[place].plain) for row in cells)]
        return max(lengths) if columns[place].is_number else min(max(lengths), _LEAST_WIDTH)

    while sum(least(place) + _BESIDE for place in kept) + 1 > width:
        droppable = [place for place in kept if columns[place].drop]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda place: columns[place].drop))
    return kept
