"""Merges one stream's records of a batch, but for those that must wait: in slices over several connections, again after
conflicts with others, and without the records that the database refuses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

import psycopg

from target_crm.database.deferred_constraints import DeferredConstraints
from target_crm.database.refusals import belongs_to_records, may_pass_later, refusal
from target_crm.errors import RecordError
from target_crm.load.batch import Batch
from target_crm.load.held_rows import RECORD, Waiting
from target_crm.load.isolation import Isolator
from target_crm.load.run_context import RunContext
from target_crm.merge.counts import ContendedError, Counts, SkippedError
from target_crm.merge.key_sequences import catch_up
from target_crm.merge.merger import merge
from target_crm.merge.old_bases import forget_unread
from target_crm.merge.session import MergeSession
from target_crm.merge.unfit import UnfitValues, may_be_unfit
from target_crm.normalise import Context
from target_crm.problems import Problem
from target_crm.records.envelope import SeenRecord
from target_crm.records.extractor import Extracted, Extractor

_RETRIES_ON_DEADLOCK = 5
# Of records that can be merged in two halves then, which lock fewer rows at a time.
_RETRIES_OF_MANY = 3
_MOST_ATTEMPTS = 20
# What is refused together may be found in steps: a deferred constraint only when the others are gone.
_MOST_ISOLATIONS = 10
# Smaller batches are not worth a second connection.
_LEAST_TO_SHARE = 2000
# Records extracted at a time: ten times as large as received, they would otherwise fill the memory.
_MOST_AT_ONCE = 2500
# Rows that exist may only be in the way of one another: of a swap.
_OTHER_ROWS = (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation)
_DEADLOCKS = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_Done = TypeVar("_Done")


class _Guarded(Protocol):
    def __call__(
        self, session: MergeSession, work: Callable[[bool], _Done], retries: int = _RETRIES_ON_DEADLOCK
    ) -> _Done: ...


class StreamWriter:
    """Merges over as many connections as the run has.

    Nothing is written in a dry run: every batch is merged in one transaction of one connection, which is rolled back
    at the end.
    """

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._deleted_so_far: dict[str, int] = {}
        # By stream and key of the record.
        self._ties: dict[str, dict[tuple[int, int], tuple[str, str]]] = {}
        self.merge_sessions: list[MergeSession] = []
        self._use_sessions()
        self._deferred = DeferredConstraints()
        self._extractors: dict[tuple[str, Context], Extractor] = {}
        self._pool = ThreadPoolExecutor(run.sessions.most, "part")

    def _use_sessions(self) -> None:
        """Merge over those sessions, too, that have been opened since."""
        run = self._run
        for connection in run.sessions.all[len(self.merge_sessions) :]:
            self.merge_sessions.append(
                MergeSession(
                    connection,
                    run.live,
                    run.settings,
                    run.run_id,
                    run.row_keys,
                    self._deleted_so_far,
                    compares_all=run.comparison is not None,
                    ties=self._ties,
                )
            )

    @property
    def first(self) -> MergeSession:
        """The one over the session of the run."""
        return self.merge_sessions[0]

    def tie(self, stream: str, ties: dict[tuple[int, int], tuple[str, str]]) -> None:
        """Give records of the stream that are merged next rows that are there: row and rule by key."""
        self._ties.setdefault(stream, {}).update(ties)

    def renew_sessions(self) -> None:
        """Open again what was closed while it was idle.

        Raises:
            As `LoadSessions.renew`.
        """
        if self._run.sessions.renew():
            for session, connection in zip(self.merge_sessions, self._run.sessions.all, strict=False):
                session.use(connection)

    def merge(self, batch: Batch, stream: str, records: list[SeenRecord]) -> Counts:
        """Merge records in slices that share no row, over several connections where that is worth it."""
        came = len(records)
        records = self._run.matching.hold(stream, records, batch.context)
        counts = Counts(read=came - len(records))
        if not records:
            return counts
        # A guard that looks at the share of a table needs all of it in one hand.
        if self._run.settings.max_changes_percent < 100 or self._run.live[stream].mapping.match_only:
            counts.add(self._merge_slice(self.first, batch, stream, records))
            return counts
        sessions = self.merge_sessions[:1]
        if len(records) >= _LEAST_TO_SHARE:
            self._run.sessions.open_more()
            self._use_sessions()
            sessions = self.merge_sessions
        size = min(-(-len(records) // len(sessions)), _MOST_AT_ONCE)
        slices = [records[start : start + size] for start in range(0, len(records), size)]

        def merge_share(number: int) -> Counts:
            counts = Counts()
            for part in slices[number :: len(sessions)]:
                counts.add(self._merge_slice(sessions[number], batch, stream, part))
            return counts

        for done in [self._pool.submit(merge_share, number) for number in range(len(sessions))]:
            counts.add(done.result())
        return counts

    def _merge_slice(self, session: MergeSession, batch: Batch, stream: str, records: Sequence[SeenRecord]) -> Counts:
        """Merge records together. Those that the database refuses are found without writing any, and rejected."""
        one = _Slice(self._run, session, batch, stream, self._extractor(stream, batch.context), self.guarded)
        return self._run.waiting.merge(session.connection, batch, stream, records, one.merge)

    def _extractor(self, stream: str, context: Context) -> Extractor:
        found = self._extractors.get((stream, context))
        if found is None:
            live, letters = self._run.live[stream], self._run.letters
            found = self._extractors[stream, context] = Extractor(live, context, letters)
        return found

    def guarded(
        self, session: MergeSession, work: Callable[[bool], _Done], retries: int = _RETRIES_ON_DEADLOCK
    ) -> _Done:
        """Run a merge in a transaction (a savepoint in a dry run), again when others were in the way.

        People who edited the same rows meanwhile: once more, under locks. Deadlocks: `retries` times, with pauses.
        """
        try:
            return self._attempts(session, work, retries)
        finally:
            session.skipping.clear()
            session.vacating.clear()

    def _attempts(self, session: MergeSession, work: Callable[[bool], _Done], retries: int) -> _Done:
        lock, is_dry = False, self._run.settings.dry_run
        for attempt in range(_MOST_ATTEMPTS):
            try:
                with session.attempt():
                    session.connection.verify(self._run.waiting.seconds)
                    done = work(lock)
                    if is_dry:
                        self._deferred.check(session.connection)
                    return done
            except SkippedError as skipped:
                session.skipping.setdefault(skipped.table, set()).update(skipped.rows)
            except (ContendedError, psycopg.IntegrityError, psycopg.errors.InternalError_) as error:
                refused = session.as_violation(error) if isinstance(error, psycopg.Error) else error
                if isinstance(refused, psycopg.Error):
                    if not isinstance(refused, _OTHER_ROWS):
                        raise refused from None
                    if catch_up(session, refused):
                        continue
                if lock:
                    vacating = session.free_columns(refused) if isinstance(refused, psycopg.Error) else set()
                    if vacating <= session.vacating:
                        raise refused from None
                    session.vacating |= vacating
                lock = True
            except _DEADLOCKS:
                if attempt >= retries or is_dry:
                    raise
                time.sleep(0.1 * 2**attempt)
        raise ContendedError

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


class _Slice:
    """The merge of some records of one stream over one connection."""

    def __init__(
        self,
        run: RunContext,
        session: MergeSession,
        batch: Batch,
        stream: str,
        extractor: Extractor,
        guarded: _Guarded,
    ) -> None:
        self._run, self._session, self._batch, self._stream = run, session, batch, stream
        self._extractor, self._guarded = extractor, guarded
        self._unfit = UnfitValues(run.live[stream])

    def merge(self, records: Sequence[SeenRecord]) -> Counts:
        """Merge those records that the database takes; the others are rejected."""
        refused, looked = 0, False
        for _ in range(_MOST_ISOLATIONS):
            try:
                counts = self._merge_all(records) if records else Counts()
            except psycopg.Error as error:
                if not belongs_to_records(error):
                    raise
                if may_be_unfit(error) and not looked:
                    looked = True
                    if self._unfit.look(self._session.connection, self._extractor.extract(records, self._reject)):
                        continue
                    if self._guarded(self._session, partial(self._forget, records)):
                        continue
                bad = Isolator(self._session.connection, self._merge_all).find(records, error)
            else:
                counts.read += refused
                return counts
            for record, reason in bad:
                self._refuse(record, reason)
            refused += len(bad)
            left_out = {id(record) for record, _ in bad}
            records = [record for record in records if id(record) not in left_out]
        raise ContendedError

    def _forget(self, records: Sequence[SeenRecord], _: bool) -> bool:
        return forget_unread(self._session, self._stream, records)

    def _merge_all(self, records: Sequence[SeenRecord]) -> Counts:
        """All together; in halves where other sessions lock the same rows in another order again and again."""
        session, stream, settings = self._session, self._stream, self._run.settings
        # A dry run has one transaction, and a guard that looks at the share of a table needs all of it in one hand.
        divides = len(records) > 1 and not settings.dry_run and settings.max_changes_percent >= 100
        retries = _RETRIES_OF_MANY if divides else _RETRIES_ON_DEADLOCK
        try:
            return self._guarded(
                session, lambda lock: merge(session, stream, records, self._extract, lock=lock), retries
            )
        except _DEADLOCKS:
            if not divides:
                raise
        middle = len(records) // 2
        counts = self._merge_all(records[:middle])
        counts.add(self._merge_all(records[middle:]))
        return counts

    def _extract(self, wanted: Sequence[SeenRecord]) -> Extracted:
        found = self._extractor.extract(wanted, self._reject)
        self._unfit.leave_out(found)
        self._batch.note_cells(self._run.warnings.seen(self._stream, self._extractor, found))
        found.tell = lambda bad: self._batch.note_cells({bad.cell: bad})
        found.wait = self._wait
        return found

    def _wait(self, record: SeenRecord, problem: Problem) -> None:
        table, zone = self._run.live[self._stream].mapping.table, str(self._batch.context.zone)
        self._batch.hold(Waiting(self._stream, *record.key, table, RECORD, record.raw, zone, None, problem))

    def _reject(self, record: SeenRecord, error: RecordError) -> None:
        self._run.refuse_if_strict(self._stream, error.problem, record.key[1])
        self._batch.reject(self._stream, record, error.problem)

    def _refuse(self, record: SeenRecord, reason: psycopg.Error) -> None:
        problem, later = refusal(reason), may_pass_later(reason)
        if not later:
            self._run.refuse_if_strict(self._stream, problem, record.key[1])
        self._batch.reject(self._stream, record, problem, for_now=later)
