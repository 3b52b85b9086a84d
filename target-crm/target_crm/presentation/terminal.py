"""Text for a terminal: values are shown as they are, never taken for markup or for commands to the terminal."""

from __future__ import annotations

import re
import sys
from typing import Any

import rich.table
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from target_crm.presentation.visible import visible

__all__ = ["ANY_WIDTH", "Table", "cell", "make_console", "visible"]
# Of a console without a terminal: lines are as long as they need to be.
ANY_WIDTH = 10_000


def cell(value: Any) -> Text:
    """A value as one cell: on one line, in the letters that it has."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    return Text(visible(re.sub(r"[\r\n\t]+", " ", text)))


class Table(rich.table.Table):
    """A table of values: headings, titles and cells are plain text, so `[/b]` in a name is `[/b]`."""

    def __init__(self, *headings: str, title: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        # A line of its own: as the table's title it would be wrapped where the table is narrow.
        self._line_above = None if title is None else cell(title)
        for heading in headings:
            self.add_column(heading)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As rich's; without a terminal there are no boxes, for what reads it needs none."""
        if not console.is_terminal:
            self.box, self.pad_edge = None, False
        if self._line_above is not None:
            yield self._line_above
        yield from super().__rich_console__(console, options)

    def add_column(self, header: Any = "", *args: Any, **options: Any) -> None:
        """As rich's; the heading is plain text."""
        super().add_column(cell(header) if isinstance(header, str) else header, *args, **options)

    def add_row(self, *values: Any, **options: Any) -> None:
        """As rich's; a value that is not already a `Text` becomes one."""
        super().add_row(*(v if isinstance(v, Text) else cell(v) for v in values), **options)


def make_console(*, stderr: bool = False) -> Console:
    """A console that shows text as it is. Without a terminal lines are as long as they need to be."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr, width=None if stream.isatty() else ANY_WIDTH, highlight=False, markup=False, emoji=False
    )
