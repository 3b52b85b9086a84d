"""One load: reads on while a batch is merged, commits, puts bad records aside, lets STATE go after commit."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import timezone, tzinfo
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import psycopg

from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.database.deferred_constraints import DeferredConstraints
from target_crm.database.encoding import Letters
from target_crm.database.refusals import belongs_to_records, may_pass_later, refusal
from target_crm.database.session import PinnedConnection
from target_crm.errors import DatabaseError, RecordError, StrictError, TooManyRejectsError
from target_crm.load import runs
from target_crm.load.accounts import keep_account
from target_crm.load.cell_warnings import BadCell, Cell, close_warnings, log_warnings, open_warnings, write_warnings
from target_crm.load.held_rows import RECORD, when_free
from target_crm.load.isolation import Isolator
from target_crm.load.outcome import Outcome, write_notices
from target_crm.load.sessions import LoadSessions
from target_crm.load.source_watch import FIELDS_STREAM, SourceWatch
from target_crm.load.waiting import WaitingRecords
from target_crm.mapping.check import LiveTable, check_mapping, naive_columns
from target_crm.mapping.load import load_mapping
from target_crm.merge.merger import ContendedError, Counts, Merger, SkippedError
from target_crm.merge.row_keys import RowKeys, find_row_keys
from target_crm.merge.unfit import UnfitValues, may_be_unfit
from target_crm.normalise import Context
from target_crm.problems import Problem
from target_crm.records.batch import Batch, Buffer, Reject, Tombstone, as_text, deletion, tombstone
from target_crm.records.envelope import KeyReader, SeenRecord, keys_in
from target_crm.records.extractor import Extracted, Extractor
from target_crm.records.reference_data import LOOKUP_STREAMS, field_lines, lookup_lines
from target_crm.singer_io.messages import clean_json, read_state, spell_out
from target_crm.singer_io.released_states import forget_old_states

logger = logging.getLogger("target-crm")
DELETED_STREAM = "deleted_records"
# Buffered records together; large notes would otherwise fill the memory before the row limit does.
_MOST_BUFFERED_BYTES = 12 * 1024 * 1024
_LONGEST_WAIT_SECONDS = 30.0
_MOST_TOMBSTONES = 100_000
_RETRIES_ON_DEADLOCK = 5
_MOST_ATTEMPTS = 20
# What is refused together may be found in steps: a deferred constraint only when the others are gone.
_MOST_ISOLATIONS = 10
# Smaller batches are not worth a second connection.
_LEAST_TO_SHARE = 2000
# Records taken apart at a time: ten times as large as they came, they would otherwise fill the memory.
_MOST_AT_ONCE = 2500


class Load:
    """A run of the target. Records go in by `add`, `flush` hands a batch to the merge, `drain` waits for all.

    While a batch is merged (by up to `parallel_merges` connections) the next one is read. Nothing is written in a dry
    run: every batch is merged in one transaction of one connection, which is rolled back at the end.

    Args:
        settings: The checked settings.
        database: An open database.
        kind: What `sync_runs.kind` says of the run.
        on_state: Takes each STATE that may leave now.

    Raises:
        MappingError: the mapping does not fit the database.
        DatabaseError: the database can't be reached.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        kind: str = "load",
        on_state: Callable[[bytes], None] | None = None,
    ) -> None:
        self.settings = settings
        self.mapping = load_mapping(settings.mapping_file)
        self.counts: dict[str, Counts] = {}
        self.rejected = 0
        self.merge_seconds = 0.0
        self.accounts: set[int] = set()
        self._on_state = on_state
        self._context = Context(self.mapping.default_region or settings.default_region, timezone.utc)
        self._key_readers: dict[str, KeyReader] = {}
        self._batch = Batch(self._context)
        self._extractors: dict[tuple[str, Context], Extractor] = {}
        self._tombstones: dict[tuple[str, tuple[int, int]], Tombstone] = {}
        self._state: bytes | None = None
        self._job: Future[bytes | None] | None = None
        self._seq = 0
        self._drained = False
        self._deferred = DeferredConstraints()
        # Accounts that SCHEMA messages name, whether records of them come or not.
        self._named_accounts: set[int] = set()
        self._sessions = LoadSessions(settings, database)
        # Records to be tried again at the end, by stream and key.
        self._postponed: dict[tuple[str, tuple[int, int]], tuple[Context, SeenRecord, Reject]] = {}
        # Values left out, by table, column and code.
        self._warned: Counter[tuple[str, str, str]] = Counter()
        self._letters = Letters(self.connection.info.parameter_status("server_encoding"))
        self._spells_out = (
            self._letters.are_limited or self.connection.info.parameter_status("server_encoding") == "SQL_ASCII"
        )
        self._reader = ThreadPoolExecutor(1, "merge")
        try:
            row_keys = when_free(self.connection, settings.lock_timeout_seconds, partial(self._begin, database, kind))
            self._sessions.open_more(1 if settings.dry_run else settings.parallel_merges)
        except BaseException:
            self._close()
            raise
        self.outcome = Outcome(
            settings.crm_schema, self.run_id, {stream: live.mapping.table for stream, live in self.live.items()}
        )
        deleted_so_far: dict[str, int] = {}
        self._mergers = [
            Merger(c, self.live, settings, self.run_id, row_keys, deleted_so_far) for c in self._sessions.all
        ]
        self._pool = ThreadPoolExecutor(len(self._mergers), "part")

    def _begin(self, database: Database, kind: str) -> dict[str, RowKeys]:
        """Make what is missing, hold the mapping against the tables, and open the run; bears being done again."""
        settings, schema = self.settings, self.settings.crm_schema
        database.prepare(self.connection, builtin=self.mapping.builtin, commit=not settings.dry_run)
        self.live: dict[str, LiveTable] = check_mapping(self.connection, self.mapping, schema)
        self._watch = SourceWatch(self.live, is_own=not self.mapping.builtin)
        database.use_zone(self.connection, next(iter(naive_columns(self.live)), None))
        row_keys = find_row_keys(self.connection, self.live)
        self._waiting = WaitingRecords(settings, self.live, self._sessions)
        self._waiting.load(schema)
        self._open_rejects = runs.open_rejects(self.connection, schema)
        self._open_warnings = open_warnings(self.connection, schema)
        self.run_id = runs.begin_run(self.connection, schema, kind)
        self._commit()
        self._sessions.belongs_to(self.run_id)
        return row_keys

    def _renew_sessions(self) -> None:
        if self._sessions.renew():
            for merger, session in zip(self._mergers, self._sessions.all, strict=True):
                merger.use(session)

    @property
    def connection(self) -> PinnedConnection:
        """The session of the run."""
        return self._sessions.first

    def _commit(self) -> None:
        if not self.settings.dry_run:
            self.connection.commit()

    def schema(self, stream: str, schema: dict[str, Any]) -> None:
        """Take a SCHEMA message: of interest are the account's time zone, in which its days begin, and the run."""
        source = self.outcome.input.see_schema(stream, schema)
        if source is not None:
            self._wait()
            self._renew_sessions()
            self.outcome.begin(self.connection, source)
            self._commit()
        account = schema.get("x-amocrm-account")
        if isinstance(account, dict) and isinstance(account.get("id"), int):
            self._see_account(account)
        name = account.get("timezone") if isinstance(account, dict) else None
        zone: tzinfo = self._context.zone
        if isinstance(name, str) and name:
            try:
                zone = ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                logger.warning("Stream %s: the time zone %r is unknown; days are read in UTC.", stream, name)
        else:
            self._watch.no_zone(stream, zone)
        self._watch.see_schema(stream, schema)
        if zone != self._context.zone:
            # Records that wait were sent under the zone before.
            self.flush()
            self._context = self._batch.context = replace(self._context, zone=zone)
            self._key_readers.clear()

    def _see_account(self, account: dict[str, Any]) -> None:
        if account["id"] not in self._named_accounts:
            self._named_accounts.add(account["id"])
            self._wait()
            keep_account(self.connection, self.settings.crm_schema, account)
            self._commit()

    def knows(self, stream: str) -> bool:
        """Whether records of this stream go anywhere."""
        return stream in self.live or stream in (DELETED_STREAM, FIELDS_STREAM) or stream in LOOKUP_STREAMS

    def _key_reader(self, stream: str) -> KeyReader:
        found = self._key_readers.get(stream)
        if found is None:
            live, policy = self.live[stream], self.settings.default_policy
            found = self._key_readers[stream] = KeyReader(live, self._context, policy)
        return found

    def _extractor(self, stream: str, context: Context) -> Extractor:
        found = self._extractors.get((stream, context))
        if found is None:
            found = self._extractors[stream, context] = Extractor(self.live[stream], context, self._letters)
        return found

    def add(self, stream: str, raw: bytes) -> None:
        """Take one record, as JSON; hands a batch to the merge when the buffer is full.

        Raises:
            StrictError: the record is bad and `on_bad_record` is `fail`.
            TargetError, psycopg.Error: of a batch before.
        """
        self._seq += 1
        try:
            clean = clean_json(raw)
            if self._spells_out:
                clean = spell_out(clean)
            if stream in self.live:
                self._see(stream, clean)
            else:
                self._note(stream, clean)
        except RecordError as error:
            self.reject(stream, raw, error.problem)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            self.reject(stream, raw, Problem("E_RECORD_NOT_READABLE", {"reason": str(error)}))
        batch = self._batch
        batch.rows += 1
        batch.size += len(raw)
        if (
            batch.rows >= self.settings.batch_size_rows
            or batch.size >= _MOST_BUFFERED_BYTES
            or len(self._tombstones) >= _MOST_TOMBSTONES
            or (batch.rows & 63 == 0 and time.monotonic() - batch.started > _LONGEST_WAIT_SECONDS)
        ):
            self.flush()

    def _see(self, stream: str, raw: bytes) -> None:
        seen, is_deleted = self._key_reader(stream).see(raw, self._seq)
        if is_deleted:
            self._bury(deletion(stream, seen))
            return
        self._batch.buffers.setdefault(stream, Buffer()).put(seen)

    def _note(self, stream: str, raw: bytes) -> None:
        record = msgspec.json.decode(raw)
        if not isinstance(record, dict):
            raise RecordError("E_RECORD_NOT_OBJECT")
        self.outcome.loaded[stream] += 1
        if stream in LOOKUP_STREAMS:
            for line in lookup_lines(stream, record, self._seq):
                self._batch.names[line.account_id, line.key] = self._letters.clean_bytes(line.line)
            return
        if stream == FIELDS_STREAM:
            self._watch.see_field(record)
            for line in field_lines(record, self._seq):
                self._batch.names[line.account_id, line.key] = self._letters.clean_bytes(line.line)
            return
        grave = tombstone(record, self._seq)
        if grave.stream in self.live:
            self._bury(grave)

    def _bury(self, grave: Tombstone) -> None:
        known = self._tombstones.get((grave.stream, grave.key))
        if known is None or grave.when >= known.when:
            self._tombstones[grave.stream, grave.key] = grave

    def _count(self, stream: str) -> Counts:
        return self.counts.setdefault(self.live[stream].mapping.table, Counts())

    def reject(self, stream: str | None, raw: bytes, problem: Problem) -> None:
        """Reject a record.

        Raises:
            StrictError: `on_bad_record` is `fail`.
        """
        self._refuse_if_strict(stream, problem)
        batch, record = self._batch, as_text(raw)
        batch.rejects.append(Reject(stream, record, problem, *(keys_in(record) if stream else ())))
        if self.rejected + len(batch.rejects) > self.settings.max_bad_records:
            self.drain()

    def _refuse_if_strict(self, stream: str | None, problem: Problem, amo_id: int | None = None) -> None:
        if self.settings.on_bad_record == "fail":
            record = "" if amo_id is None else f", record {amo_id}"
            msg = (
                f"Stream {stream}{record}: {problem.text()} on_bad_record is fail: the run stops; quarantine would go "
                "on without it."
            )
            raise StrictError(msg)

    def state(self, value: bytes) -> None:
        """Take a STATE; it leaves when all that came before it is committed."""
        self._state = value
        state = read_state(value)
        if isinstance(state, dict):
            self.outcome.see_state(state)
        self._release()

    def _release(self) -> None:
        """Let the last STATE go if nothing waits."""
        waits = self._job is not None or not self._batch.empty or self._tombstones
        if self._state is not None and not waits:
            self._keep(self._state)
            self._commit()
            self._emit(self._state)
            self._state = None

    def _keep(self, state: bytes) -> None:
        """Keep a STATE that is let go when the transaction is committed."""
        if self._on_state is not None and not self.settings.dry_run:
            self.outcome.keep_state(self.connection, self.accounts, read_state(state))

    def _emit(self, state: bytes | None) -> None:
        if state is not None and self._on_state is not None and not self.settings.dry_run:
            self._on_state(state)

    def _wait(self) -> None:
        """Wait for the batch under way, and let its STATE go."""
        job = self._job
        if job is not None:
            state = job.result()
            self._job = None
            self._emit(state)

    def flush(self, *, final: bool = False) -> None:
        """Hand all that is buffered to the merge; waits only for the batch before.

        Deletions are kept to the end of the run, where the guard sees them all at once; a STATE behind them waits, too.

        Raises:
            TooManyRejectsError, GuardError, BusyError, DatabaseError, psycopg.Error: of the batch before.
        """
        self._wait()
        batch, self._batch = self._batch, Batch(self._context)
        graves: list[Tombstone] = []
        if final or len(self._tombstones) >= _MOST_TOMBSTONES:
            graves, self._tombstones = list(self._tombstones.values()), {}
        if batch.empty and not graves:
            return
        if not self._tombstones:
            batch.state, self._state = self._state, None
        self._job = self._reader.submit(self._timed_merge, batch, graves)

    def drain(self) -> None:
        """Merge and commit all that was added.

        Raises:
            As `flush`.
        """
        self.flush(final=True)
        self._wait()
        for last in (self._merge_waiting, self._merge_postponed):
            self._job = self._reader.submit(last)
            self._wait()
        self._release()
        self._drained = True
        log_warnings(self._warned)
        self._warned.clear()

    def _timed_merge(self, batch: Batch, graves: Sequence[Tombstone]) -> bytes | None:
        started = time.monotonic()
        try:
            return self._merge_batch(batch, graves)
        finally:
            self.merge_seconds += time.monotonic() - started

    def _merge_batch(self, batch: Batch, graves: Sequence[Tombstone]) -> bytes | None:
        """Merge a batch, parents before children; the STATE that may leave then. Runs beside the reading."""
        self._renew_sessions()
        self._lock_accounts(batch.accounts | {g.key[0] for g in graves})
        if batch.names:
            self._waiting.name(batch, partial(self._name, list(batch.names.values())))
        for stream in self.live:
            buffer = batch.buffers.get(stream)
            if buffer is not None:
                counts = self._merge_stream(batch, stream, buffer.sorted())
                counts.superseded += buffer.read - counts.read
                self.outcome.loaded[stream] += len(buffer.records)
                counts.read = buffer.read
                self._count(stream).add(counts)
        self._waiting.delete(batch, graves, self._delete)
        self._close_batch(batch)
        if len(self._postponed) > self.settings.max_bad_records:
            self._merge_postponed()
        return batch.state

    def _merge_waiting(self) -> None:
        """Merge what waited for rows that others held, if these are free now."""

        def batch_of(zone: tzinfo) -> Batch:
            return Batch(replace(self._context, zone=zone))

        for batch, graves, cells in self._waiting.again(self.accounts | self._named_accounts, batch_of):
            self._lock_accounts({cell[0] for cell in cells})
            if batch.names:
                self._waiting.name(batch, partial(self._name, list(batch.names.values())))
            for stream in self.live:
                buffer = batch.buffers.get(stream)
                if buffer is not None:
                    # They were read in the batch that they came with.
                    counts = self._merge_stream(batch, stream, buffer.sorted())
                    self._count(stream).add(replace(counts, read=0, unchanged=0))
            self._waiting.delete(batch, graves, self._delete)
            self._waiting.closed(cells - batch.held.keys())
            self._close_batch(batch)

    def _name(self, lines: list[bytes]) -> None:
        named = self._guarded(self._mergers[0], lambda lock: self._mergers[0].name(lines, lock=lock))
        for table, counts in named.items():
            self.counts.setdefault(table, Counts()).add(counts)

    def _delete(self, graves: Sequence[Tombstone]) -> None:
        """Mark rows deleted, all or none: the guard of one table leaves no mark in another."""
        merger, done = self._mergers[0], {}
        so_far = dict(merger.deleted_so_far)
        try:
            with self.connection.transaction():
                for stream in self.live:
                    lines = [g.line for g in graves if g.stream == stream]
                    if lines:
                        done[stream] = self._guarded(merger, partial(_deletion, merger, stream, lines))
        except psycopg.errors.LockNotAvailable:
            merger.deleted_so_far.clear()
            merger.deleted_so_far.update(so_far)
            raise
        for stream, counts in done.items():
            self._count(stream).add(counts)

    def _postpone(self, batch: Batch) -> None:
        """Keep the records that other rows are in the way of, for the end of the run; a later version replaces one."""
        for stream, buffer in batch.buffers.items():
            for key in buffer.records if self._postponed else ():
                self._postponed.pop((stream, key), None)
        for record, reject in batch.postponed.values():
            self._postponed[str(reject.stream), record.key] = batch.context, record, reject

    def _merge_postponed(self) -> None:
        """Merge records that other rows were in the way of, when all else is done; what still is refused is rejected.

        Raises:
            StrictError, TooManyRejectsError: as for any reject.
        """
        waiting: int | None = None
        while self._postponed and len(self._postponed) != waiting:
            waiting = len(self._postponed)
            batches: dict[Context, Batch] = {}
            for (stream, _), (context, record, _) in self._postponed.items():
                batch = batches.setdefault(context, Batch(context))
                batch.buffers.setdefault(stream, Buffer()).put(record)
            for batch in batches.values():
                for stream in self.live:
                    buffer = batch.buffers.get(stream)
                    if buffer is not None:
                        # They were read in the batch that they came with.
                        counts = self._merge_stream(batch, stream, buffer.sorted())
                        self._count(stream).add(replace(counts, read=0))
                self._close_batch(batch)
        rejects = [reject for _, _, reject in self._postponed.values()]
        self._postponed.clear()
        self._reject_at_last(rejects)

    def _reject_at_last(self, rejects: Sequence[Reject]) -> None:
        for reject in rejects:
            self._refuse_if_strict(reject.stream, reject.problem)
            self._count(str(reject.stream)).rejected += 1
            self.outcome.rejected[reject.stream or ""] += 1
            self.outcome.loaded[reject.stream or ""] -= 1
        if rejects:
            self.rejected += len(rejects)
            if not self.settings.dry_run:
                runs.log_rejects(rejects)
            runs.write_counts(self.connection, self.settings.crm_schema, self.run_id, self.counts_document())
            self._commit()
            self._refuse_too_many()

    def _refuse_too_many(self) -> None:
        if self.rejected > self.settings.max_bad_records:
            msg = (
                f"{self.rejected} records were rejected, more than max_bad_records = {self.settings.max_bad_records}. "
                f"Look into the table {self.settings.crm_schema}.sync_rejects (target-crm-admin rejects)."
            )
            raise TooManyRejectsError(msg)

    def _close_batch(self, batch: Batch) -> None:
        self.connection.verify()
        rejects = [*batch.rejects, *batch.late_rejects.values()]
        self.rejected += len(rejects)
        self._postpone(batch)
        for reject in rejects:
            if reject.stream in self.live:
                self._count(reject.stream).rejected += 1
            self.outcome.rejected[reject.stream or ""] += 1
        for late in batch.late_rejects.values():
            self.outcome.loaded[late.stream or ""] -= 1
        schema = self.settings.crm_schema
        postponed = [reject for _, reject in batch.postponed.values()]
        runs.write_rejects(self.connection, schema, self.run_id, [*rejects, *postponed])
        if not self.settings.dry_run:
            runs.log_rejects(rejects)
        self._close_rejects(batch)
        self._close_cells(batch)
        for table in self._waiting.settle(batch, self.run_id):
            self.counts.setdefault(table, Counts()).warnings += 1
        runs.write_counts(self.connection, schema, self.run_id, self.counts_document())
        if batch.state is not None:
            self._keep(batch.state)
        self._commit()
        self._refuse_too_many()

    def _close_rejects(self, batch: Batch) -> None:
        """Close the rejects of records that came in a version that was loaded."""
        late = [*batch.late_rejects.values(), *(reject for _, reject in batch.postponed.values())]
        still = {reject.identity for reject in (*batch.rejects, *late)}
        for stream, buffer in batch.buffers.items():
            waiting = self._open_rejects.get(stream)
            if waiting:
                good = [key for key in waiting & buffer.records.keys() if self._is_loaded(batch, stream, key, still)]
                runs.close_rejects(self.connection, self.settings.crm_schema, self.run_id, stream, good)
                waiting.difference_update(good)
        for identity in still:
            if len(identity) == 3:
                self._open_rejects.setdefault(identity[0], set()).add(identity[1:])

    def _is_loaded(self, batch: Batch, stream: str, key: tuple[int, int], rejected: set[tuple[Any, ...]]) -> bool:
        table = self.live[stream].mapping.table
        return (stream, *key) not in rejected and (key[0], table, key[1], RECORD) not in batch.held

    def _merge_stream(self, batch: Batch, stream: str, records: list[SeenRecord]) -> Counts:
        """Merge one stream in slices that share no row, over several connections where that is worth it."""
        # A guard that looks at the share of a table needs all of it in one hand, as matching by e-mail or name does.
        if self.settings.max_changes_percent < 100 or self.live[stream].mapping.match:
            return self._merge_records(self._mergers[0], batch, stream, records)
        mergers = self._mergers if len(records) >= _LEAST_TO_SHARE else self._mergers[:1]
        size = min(-(-len(records) // len(mergers)), _MOST_AT_ONCE)
        slices = [records[start : start + size] for start in range(0, len(records), size)]

        def merge(number: int) -> Counts:
            counts = Counts()
            for part in slices[number :: len(mergers)]:
                counts.add(self._merge_records(mergers[number], batch, stream, part))
            return counts

        counts = Counts()
        for done in [self._pool.submit(merge, number) for number in range(len(mergers))]:
            counts.add(done.result())
        return counts

    def _merge_records(self, merger: Merger, batch: Batch, stream: str, records: Sequence[SeenRecord]) -> Counts:
        """Merge records together. Those that the database refuses are found without writing any, and rejected."""
        extractor = self._extractor(stream, batch.context)
        unfit = UnfitValues(self.live[stream])

        def reject(record: SeenRecord, error: RecordError) -> None:
            self._refuse_if_strict(stream, error.problem, record.key[1])
            batch.reject(stream, record, error.problem)

        def extract(wanted: Sequence[SeenRecord]) -> Extracted:
            found = extractor.extract(wanted, reject)
            unfit.leave_out(found)
            self._note_cells(batch, stream, extractor, found)
            found.tell = lambda bad: batch.note_cells({bad.cell: bad})
            return found

        def merge(some: Sequence[SeenRecord]) -> Counts:
            counts: Counts = self._guarded(merger, lambda lock: merger.merge(stream, some, extract, lock=lock))
            return counts

        def look(some: Sequence[SeenRecord]) -> bool:
            return unfit.look(merger.connection, extractor.extract(some, reject))

        def merge_good(some: Sequence[SeenRecord]) -> Counts:
            refused, looked = 0, False
            for _ in range(_MOST_ISOLATIONS):
                try:
                    counts = merge(some) if some else Counts()
                except psycopg.Error as error:
                    if not belongs_to_records(error):
                        raise
                    if may_be_unfit(error) and not looked:
                        looked = True
                        if look(some):
                            continue
                    bad = Isolator(merger.connection, merge).find(some, error)
                else:
                    counts.read += refused
                    return counts
                for record, reason in bad:
                    problem, later = refusal(reason), may_pass_later(reason)
                    if not later:
                        self._refuse_if_strict(stream, problem, record.key[1])
                    batch.reject(stream, record, problem, for_now=later)
                refused += len(bad)
                left_out = {id(record) for record, _ in bad}
                some = [record for record in some if id(record) not in left_out]
            raise ContendedError

        return self._waiting.merge(merger.connection, batch, stream, records, merge_good)

    def _note_cells(self, batch: Batch, stream: str, extractor: Extractor, found: Extracted) -> None:
        """Note which cells were left out, and those with an open warning that are good now."""
        cells: dict[Cell, BadCell | None] = {}
        if self._open_warnings:
            for record in found.records:
                for cell in self._open_warnings.get((stream, *record.key), ()):
                    if extractor.came(record, cell[0], cell[3]):
                        cells[cell] = None
        cells |= {bad.cell: bad for bad in found.bad}
        batch.note_cells(cells)

    def _close_cells(self, batch: Batch) -> None:
        """Write the warnings of a batch, and close those whose cells are good now."""
        rejected = {reject.identity for reject in batch.late_rejects.values()}
        rejected |= {reject.identity for _, reject in batch.postponed.values()}
        cells = [
            (cell, bad)
            for cell, bad in batch.cells.items()
            if bad is None or (bad.stream, bad.account_id, bad.amo_id) not in rejected
        ]
        bad_cells = [bad for _, bad in cells if bad is not None]
        for bad in bad_cells:
            self._count(bad.stream).warnings += 1
            self._warned[bad.table, bad.column, bad.problem.code] += 1
            self._open_warnings.setdefault((bad.stream, bad.account_id, bad.amo_id), set()).add(bad.cell)
        write_warnings(self.connection, self.settings.crm_schema, self.run_id, bad_cells)
        good = {cell for cell, bad in cells if bad is None}
        close_warnings(self.connection, self.settings.crm_schema, good)
        if good:
            for key in [key for key, waiting in self._open_warnings.items() if waiting & good]:
                self._open_warnings[key] -= good
                if not self._open_warnings[key]:
                    del self._open_warnings[key]

    def _guarded(self, merger: Merger, work: Callable[[bool], Any]) -> Any:
        """Run a merge in a transaction (a savepoint in a dry run), again when others were in the way.

        People who edited the same rows meanwhile: once more, under locks. Deadlocks: a few times, with pauses.
        """
        try:
            return self._attempts(merger, work)
        finally:
            merger.skipping.clear()
            merger.vacating.clear()

    def _attempts(self, merger: Merger, work: Callable[[bool], Any]) -> Any:
        lock = False
        for attempt in range(_MOST_ATTEMPTS):
            try:
                with merger.attempt():
                    merger.connection.verify(self._waiting.seconds)
                    done = work(lock)
                    if self.settings.dry_run:
                        self._deferred.check(merger.connection)
                    return done
            except SkippedError as skipped:
                merger.skipping.setdefault(skipped.table, set()).update(skipped.rows)
            except (ContendedError, psycopg.errors.UniqueViolation) as error:
                if lock:
                    vacating = merger.free_columns(error) if isinstance(error, psycopg.Error) else set()
                    if vacating <= merger.vacating:
                        raise
                    merger.vacating |= vacating
                lock = True
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                if attempt >= _RETRIES_ON_DEADLOCK or self.settings.dry_run:
                    raise
                time.sleep(0.1 * 2**attempt)
        raise ContendedError

    def _lock_accounts(self, accounts: set[int]) -> None:
        """One load at a time for an account; accounts do not hinder one another."""
        schema, fresh = self.settings.crm_schema, sorted(accounts - self.accounts)
        for account in fresh:
            self._sessions.hold(account)
            self.accounts.add(account)
        if fresh:
            runs.note_accounts(self.connection, schema, self.run_id, self.accounts)
            self._commit()

    @property
    def kept_cells(self) -> list[tuple[Any, ...]]:
        """Of a dry run: the edits that stay, as `sql.journal.kept_cells` gives them."""
        return [cell for merger in self._mergers for cell in merger.kept_cells]

    def notices(self) -> list[Problem]:
        """What is told of the run beside its counts."""
        found = self.outcome.notices(self.counts, self._mergers, ended=self._drained)
        return [*found, *self._watch.notices()]

    def counts_document(self) -> dict[str, dict[str, int]]:
        """The counts by table as `sync_runs.counts` holds them."""
        return {name: asdict(counts) for name, counts in sorted(self.counts.items())}

    def finish(self, status: str, error: str | None = None) -> None:
        """Close the run: `succeeded`, `incomplete`, `failed`, `interrupted`. What was not committed is rolled back."""
        try:
            if self._job is not None:
                self._sessions.cancel()
                self._job.exception()
                self._job = None
            if self.settings.dry_run:
                return
            self._sessions.renew_to_close()
            self.connection.rollback()
            schema = self.settings.crm_schema
            write_notices(self.connection, schema, self.run_id, self.notices())
            runs.close_run(self.connection, schema, self.run_id, status, error)
            runs.note_merge_seconds(self.connection, schema, self.run_id, self.merge_seconds)
            if status == "succeeded" and self.settings.journal_retention_days:
                runs.prune_journal(self.connection, schema, self.settings.journal_retention_days)
                forget_old_states(self.connection, schema)
            self.connection.commit()
        except (psycopg.OperationalError, DatabaseError):
            logger.warning("The run %d could not be closed: the database is gone.", self.run_id)
        finally:
            self._close()

    def _close(self) -> None:
        self._reader.shutdown()
        if hasattr(self, "_pool"):
            self._pool.shutdown()
        self._sessions.close()


def _deletion(merger: Merger, stream: str, lines: list[bytes], _: bool) -> Counts:
    """Deletions lock their rows anyway."""
    return merger.delete(stream, lines)
