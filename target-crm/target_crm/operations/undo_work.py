"""An undoing under way: what it counts, and what its parts share."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from target_crm.operations.session import Row, Session
from target_crm.sql.undo_restore import UndoSpec


@dataclass
class Undone:
    """What an undo did, and what it left alone, by table."""

    restored_columns: int = 0
    removed_rows: int = 0
    returned_rows: int = 0
    restored_items: int = 0
    restored_ties: int = 0
    left_edited: int = 0
    left_referenced: int = 0
    left_by_trigger: int = 0
    left_rewritten: int = 0

    def add(self, other: Undone) -> None:
        """Add another's counts."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class KeptFor:
    """Inserted rows of a table that stay because a foreign key points at them, or may: `readable` tells."""

    table: str
    rows: int
    constraint: str
    pointing: str
    readable: bool


@dataclass
class Work:
    """One undoing. `left` are the first cells that it leaves, `kept_for` the foreign keys that keep rows."""

    session: Session
    spec: UndoSpec
    counts: dict[str, Undone] = field(default_factory=dict)
    left: list[Row] = field(default_factory=list)
    kept_for: list[KeptFor] = field(default_factory=list)

    def count(self, table: str) -> Undone:
        """The counts of a table."""
        return self.counts.setdefault(table, Undone())
