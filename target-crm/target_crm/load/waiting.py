"""What a load does about rows that other sessions hold: merges the others, keeps what waits, and tries it again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timezone, tzinfo
from zoneinfo import ZoneInfo

from psycopg import errors

from target_crm.config.settings import Settings
from target_crm.database.session import PinnedConnection
from target_crm.errors import BusyError, RecordError
from target_crm.load.batch import Batch, Buffer
from target_crm.load.held_rows import (
    DELETION,
    NAMES,
    RECORD,
    HeldRows,
    Holder,
    Waiting,
    close_waiting,
    read_waiting,
    write_waiting,
)
from target_crm.load.sessions import LoadSessions
from target_crm.mapping.check import LiveTable
from target_crm.merge.counts import Counts
from target_crm.records.envelope import KeyReader, SeenRecord
from target_crm.records.tombstones import Tombstone, tombstone_of_line

logger = logging.getLogger("target-crm")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.3, 5.0
# What waits is safe in the database, so the end of a run need not be held up for long.
_LONGEST_AT_THE_END = 60.0
Cell = tuple[int, str, int, str]


class WaitingRecords:
    """The records of one run that wait for rows, and those that earlier runs left."""

    def __init__(self, settings: Settings, live: dict[str, LiveTable], sessions: LoadSessions) -> None:
        self._settings, self._live, self._sessions = settings, live, sessions
        self._rows = HeldRows(live, settings.lock_timeout_seconds, lambda: {s.backend for s in sessions.all})
        self._tables = {table.mapping.table: stream for stream, table in live.items()}
        # What waits by table, account and id: a version that is merged meanwhile overtakes it.
        self._open: set[Cell] = set()
        # What began to wait in this run, and may become free before its end.
        self._fresh: set[Cell] = set()
        # What waits for another record, not for a session.
        self._for_records: set[Cell] = set()

    @property
    def seconds(self) -> float:
        """How long a statement of a merge may wait for a lock."""
        return self._rows.seconds

    def merge(
        self,
        connection: PinnedConnection,
        batch: Batch,
        stream: str,
        records: Sequence[SeenRecord],
        merge: Callable[[Sequence[SeenRecord]], Counts],
    ) -> Counts:
        """Merge the records whose rows are free; the others are noted in the batch.

        Raises:
            As `HeldRows.merge_free`.
        """
        table, zone, kept = self._live[stream].mapping.table, str(batch.context.zone), Counts()

        def keep(record: SeenRecord, holder: Holder) -> None:
            kept.read += 1
            batch.hold(Waiting(stream, *record.key, table, RECORD, record.raw, zone, holder))

        # Those that were found to wait before must not be in the way of others again.
        some = [record for record in records if (record.account_id, table, record.amo_id, RECORD) not in batch.held]
        kept.read = len(records) - len(some)
        for counts in self._rows.merge_free(connection, stream, some, merge, keep):
            kept.add(counts)
        return kept

    def delete(self, batch: Batch, graves: Sequence[Tombstone], delete: Callable[[Sequence[Tombstone]], None]) -> None:
        """Mark those rows deleted that are free, all of them together; the other deletions wait.

        Raises:
            BusyError: a lock that has nothing to do with their rows was not free within `lock_timeout_seconds`.
        """
        connection, zone = self._sessions.first, str(batch.context.zone)
        deadline = time.monotonic() + self._settings.lock_timeout_seconds
        while graves:
            try:
                delete(graves)
                return
            except errors.LockNotAvailable as error:
                held: dict[tuple[str, tuple[int, int]], Holder] = {}
                for stream in {grave.stream for grave in graves}:
                    found = self._rows.find(connection, stream, [g.key for g in graves if g.stream == stream])
                    held |= {(stream, key): holder for key, holder in (found or {}).items()}
                if not held and time.monotonic() > deadline:
                    holder = self._rows.holder_of(connection, error)
                    msg = f"Deletions: {holder.told()}, and was not free within lock_timeout_seconds. Run again later."
                    raise BusyError(msg) from None
            for grave in graves:
                if (grave.stream, grave.key) in held:
                    table, holder = self._live[grave.stream].mapping.table, held[grave.stream, grave.key]
                    batch.hold(Waiting(grave.stream, *grave.key, table, DELETION, grave.line, zone, holder))
            graves = [grave for grave in graves if (grave.stream, grave.key) not in held]

    def name(self, batch: Batch, name: Callable[[], None]) -> None:
        """Bring names to the rows that use them; where one of these is held all names of the batch wait."""
        try:
            name()
        except errors.LockNotAvailable as error:
            holder = self._rows.holder_of(self._sessions.first, error)
            logger.warning("Waiting: %s. Names of pipelines, statuses and the like wait for it.", holder.told())
            for (account, key), line in batch.names.items():
                batch.hold(Waiting(NAMES, account, 0, NAMES, key, line, str(batch.context.zone), holder))

    def load(self, schema: str) -> None:
        """Remember what earlier runs left."""
        found = read_waiting(self._sessions.first, schema, None)
        self._open = {waiting.cell for waiting in found}
        self._for_records = {waiting.cell for waiting in found if waiting.holder is None}

    def settle(self, batch: Batch, run_id: int) -> list[str]:
        """Write down what of a batch waits, and close what was waiting and is merged now. The caller commits.

        Returns:
            The tables of what did not wait before.
        """
        connection, schema = self._sessions.first, self._settings.crm_schema
        merged = {cell for cell in self._open if cell not in batch.held and _is_of(cell, batch, self._tables)}
        close_waiting(connection, schema, sorted(merged))
        self._open -= merged
        self._fresh -= merged
        write_waiting(connection, schema, run_id, list(batch.held.values()))
        new = batch.held.keys() - self._open
        self._fresh |= {cell for cell in new if batch.held[cell].holder is not None}
        self._for_records = (self._for_records - merged) | {c for c, w in batch.held.items() if w.holder is None}
        self._open |= new
        return [table for _, table, _, _ in new if table in self._tables]

    def closed(self, cells: set[Cell]) -> None:
        """Close what was merged by `again`. The caller commits."""
        close_waiting(self._sessions.first, self._settings.crm_schema, sorted(cells))
        self._open -= cells
        self._fresh -= cells
        self._for_records -= cells

    def again(
        self, accounts: set[int], context_of: Callable[[tzinfo], Batch], *, once: bool = False
    ) -> Iterator[tuple[Batch, list[Tombstone], set[Cell]]]:
        """What waits of these accounts as batches, with their deletions; until nothing waits, or it has waited enough.

        What began to wait in this run is tried for `lock_timeout_seconds`, at most for a minute; what an earlier run
        left only once. With `once` nothing is waited for: the load continues, and tries again later.
        """
        patience = 0.0 if once else min(self._settings.lock_timeout_seconds, _LONGEST_AT_THE_END)
        deadline = time.monotonic() + (0 if self._settings.dry_run else patience)
        pause = _FIRST_PAUSE
        while self._open:
            waiting = read_waiting(self._sessions.first, self._settings.crm_schema, accounts)
            for zone in sorted({w.zone for w in waiting}):
                yield self._batch([w for w in waiting if w.zone == zone], context_of(_zone(zone)))
            left = self._fresh & {w.cell for w in waiting}
            if not left or time.monotonic() >= deadline:
                break
            time.sleep(min(pause, max(deadline - time.monotonic(), 0)))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        if once:
            return
        left = {cell for cell in self._open - self._for_records if cell[0] in accounts}
        waiting_on = len([cell for cell in self._for_records if cell[0] in accounts])
        if waiting_on:
            logger.warning("%d records wait for records that they link to (see sync_warnings).", waiting_on)
        if left:
            logger.warning(
                "%d records wait for rows that other sessions have locked; the next run merges them (see "
                "sync_warnings).",
                len(left),
            )

    def _batch(self, waiting: Sequence[Waiting], batch: Batch) -> tuple[Batch, list[Tombstone], set[Cell]]:
        graves: list[Tombstone] = []
        taken: set[Cell] = set()
        for seq, one in enumerate(waiting, 1):
            if one.table == NAMES:
                batch.names[one.account_id, one.column] = one.document
            elif one.stream not in self._live:
                continue
            elif one.column == DELETION:
                graves.append(tombstone_of_line(one.stream, (one.account_id, one.amo_id), one.document))
            else:
                reader = KeyReader(self._live[one.stream], batch.context, self._settings.default_policy)
                with suppress(RecordError):
                    batch.buffers.setdefault(one.stream, Buffer()).put(reader.see(one.document, seq)[0])
            taken.add(one.cell)
        return batch, graves, taken


def _is_of(cell: Cell, batch: Batch, tables: dict[str, str]) -> bool:
    """Whether a version of what waits was in the batch."""
    account, table, amo_id, column = cell
    if table == NAMES:
        return (account, column) in batch.names
    buffer = batch.buffers.get(tables.get(table, ""))
    return column == RECORD and buffer is not None and (account, amo_id) in buffer.records


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return timezone.utc
