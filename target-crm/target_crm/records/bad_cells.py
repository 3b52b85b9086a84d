"""Values that were left out of their records: which cell, and why."""

from __future__ import annotations

from typing import NamedTuple

from target_crm.problems import Problem

# A cell: table, account, id in amoCRM, column.
Cell = tuple[str, int, int, str]


class BadCell(NamedTuple):
    """A value that was left out, and why. `table` is a set's own table for its items."""

    stream: str
    account_id: int
    amo_id: int
    table: str
    column: str
    problem: Problem

    @property
    def cell(self) -> Cell:
        """What tells warnings apart."""
        return self.table, self.account_id, self.amo_id, self.column
