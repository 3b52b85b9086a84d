"""A batch that waits for its commit: records by stream, names, rejected records, cells that were left out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple

from target_crm.load.held_rows import Waiting
from target_crm.normalise import Context
from target_crm.problems import Problem
from target_crm.records.bad_cells import BadCell, Cell
from target_crm.records.envelope import SeenRecord


class Reject(NamedTuple):
    """A rejected record: its text, the reason, and its key if it has a usable one."""

    stream: str | None
    record: str
    problem: Problem
    account_id: int | None = None
    amo_id: int | None = None

    @property
    def identity(self) -> tuple[Any, ...]:
        """The identity of a reject: the record's key, or its text."""
        if self.account_id is None or self.amo_id is None:
            return self.stream, self.record
        return self.stream, self.account_id, self.amo_id


@dataclass
class Buffer:
    """The newest version of each key of one stream; of equal times the last one."""

    records: dict[tuple[int, int], SeenRecord] = field(default_factory=dict)
    read: int = 0

    def put(self, record: SeenRecord) -> None:
        """Add a record."""
        self.read += 1
        known = self.records.get(record.key)
        if (
            known is None
            or known.updated_at is None
            or record.updated_at is None
            or record.updated_at >= known.updated_at
        ):
            self.records[record.key] = record

    def sorted(self) -> list[SeenRecord]:
        """In the order of keys, which keeps rows close together in the indexes and takes locks in one order."""
        return [self.records[key] for key in sorted(self.records)]


@dataclass
class Batch:
    """Everything that one flush writes to the database. `state` is released when it is committed; `context` applies to
    the records, which share one time zone."""

    context: Context
    buffers: dict[str, Buffer] = field(default_factory=dict)
    names: dict[tuple[int, str], bytes] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    state: bytes | None = None
    rows: int = 0
    size: int = 0
    started: float = field(default_factory=time.monotonic)
    # Records that the merge rejected, by sequence, so that a repeated merge does not count them twice.
    late_rejects: dict[int, Reject] = field(default_factory=dict)
    # Records that can't be merged now, because other sessions have locked their rows.
    held: dict[tuple[int, str, int, str], Waiting] = field(default_factory=dict)
    # Records that conflict with other rows, by sequence: they are tried again at the end of the run.
    postponed: dict[int, tuple[SeenRecord, Reject]] = field(default_factory=dict)
    # Cells whose value was left out, and, as None, those with an open warning and a valid value.
    cells: dict[Cell, BadCell | None] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (self.buffers or self.names or self.rejects)

    @property
    def accounts(self) -> set[int]:
        """The accounts that records of this batch belong to."""
        found = {key[0] for buffer in self.buffers.values() for key in buffer.records}
        return found | {key[0] for key in self.names}

    def hold(self, waiting: Waiting) -> None:
        """Store something for later; thread-safe."""
        with self.lock:
            self.held[waiting.cell] = waiting

    def note_cells(self, cells: Mapping[Cell, BadCell | None]) -> None:
        """Note cells during the merge; thread-safe, and repeatable if the merge is tried again."""
        with self.lock:
            self.cells |= cells

    def reject(self, stream: str, record: SeenRecord, problem: Problem, *, for_now: bool = False) -> None:
        """Reject a record during the merge, or postpone it with `for_now`; thread-safe."""
        reject = Reject(stream, as_text(record.raw), problem, record.account_id, record.amo_id)
        with self.lock:
            if for_now:
                self.postponed[record.seq] = record, reject
            else:
                self.late_rejects[record.seq] = reject


def as_text(raw: bytes) -> str:
    """Bytes as text that PostgreSQL can store."""
    return raw.decode("utf-8", "replace").replace("\x00", "\ufffd")
