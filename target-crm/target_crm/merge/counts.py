"""Counts of a merge, and the errors that prevent a merge as planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields


class SkippedError(Exception):
    """The database silently left rows unchanged because a trigger returned NULL. They are left out."""

    def __init__(self, table: str, rows: Sequence[str]) -> None:
        super().__init__(f"{len(rows)} rows of {table}")
        self.table, self.rows = table, rows


class ContendedError(Exception):
    """Rows were changed between plan and write; the batch is merged again under locks."""


@dataclass
class Counts:
    """Counts of a merge for one table, in rows; conflicts are counted in cells."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    kept: int = 0
    conflicts: int = 0
    deleted: int = 0
    restored: int = 0
    rejected: int = 0
    # No row, since a person deleted it; a version older than the row's or than another one in the same batch; no row
    # that matches, of tables that are only matched.
    deleted_by_person: int = 0
    superseded: int = 0
    unmatched: int = 0
    warnings: int = 0
    skipped_by_database: int = 0
    # Existing rows that were adopted; records that wait for a decision.
    adopted: int = 0
    proposed: int = 0

    def add(self, other: Counts) -> None:
        """Sum up."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))
