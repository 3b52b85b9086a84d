"""Writes batches with records, names, deletions, rejects, warnings and the STATE, each with one commit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from functools import partial

import psycopg

from target_crm.database.notify import notify
from target_crm.load import rejects
from target_crm.load.batch import Batch, Buffer, Reject
from target_crm.load.progress import LoadProgress
from target_crm.load.run_context import RunContext
from target_crm.load.stream_writer import StreamWriter
from target_crm.matching.matching import Chosen, Decided
from target_crm.merge.counts import Counts
from target_crm.merge.deletes import delete
from target_crm.merge.reference_data import write_names
from target_crm.merge.session import MergeSession
from target_crm.normalise import Context
from target_crm.records.envelope import SeenRecord
from target_crm.records.tombstones import Tombstone
from target_crm.singer_io.messages import read_state

_Postponed = dict[tuple[str, tuple[int, int]], tuple[Context, SeenRecord, Reject]]


class BatchWriter:
    """Writes the batches of a run one after another; all methods run concurrently with reading.

    Args:
        run: The open run.
        streams: Merges the records of one stream.
        keeps_states: Whether states are released, and so stored with the batches that they come after.
    """

    def __init__(self, run: RunContext, streams: StreamWriter, *, keeps_states: bool) -> None:
        self._run, self._streams = run, streams
        self._keeps_states = keeps_states and not run.settings.dry_run
        # Records to be tried again at the end, by stream and key.
        self._postponed: _Postponed = {}
        self.seconds = 0.0
        self._progress = LoadProgress(dry_run=run.settings.dry_run)

    def write(self, batch: Batch, tombstones: Sequence[Tombstone]) -> bytes | None:
        """Write a batch, parents before children; returns the STATE to release."""
        started = time.monotonic()
        try:
            return self._write(batch, tombstones)
        finally:
            self.seconds += time.monotonic() - started

    def _write(self, batch: Batch, tombstones: Sequence[Tombstone]) -> bytes | None:
        run = self._run
        self._streams.renew_sessions()
        run.lock_accounts(batch.accounts | {t.key[0] for t in tombstones})
        self._write_names(batch)
        for stream, buffer in self._in_order(batch):
            if run.comparison is not None:
                run.comparison.keep(run.connection, run.live[stream], buffer.sorted(), batch.context)
            counts = self._streams.merge(batch, stream, buffer.sorted())
            counts.superseded += buffer.read - counts.read
            run.outcome.loaded[run.reads(stream)] += len(buffer.records)
            counts.read = buffer.read
            run.count(stream).add(counts)
        run.waiting.delete(batch, tombstones, self._delete)
        run.matching.close_deleted(tombstones)
        self._close(batch)
        self._progress.batch_merged(run.counts)
        if len(self._postponed) > run.settings.max_bad_records:
            self.write_postponed()
        return batch.state

    def _in_order(self, batch: Batch) -> list[tuple[str, Buffer]]:
        """The records of a batch by stream, parents before children."""
        return [(stream, batch.buffers[stream]) for stream in self._run.live if stream in batch.buffers]

    def write_waiting(self, context: Context, accounts: set[int], *, once: bool = False) -> None:
        """Write records that waited for locked rows, if the rows are free now; of the run's accounts and these. `once`
        as in `WaitingRecords.again`."""

        def batch_of(zone: tzinfo) -> Batch:
            return Batch(replace(context, zone=zone))

        run = self._run
        for batch, tombstones, cells in run.waiting.again(run.accounts | accounts, batch_of, once=once):
            run.lock_accounts({cell[0] for cell in cells})
            self._write_names(batch)
            for stream, buffer in self._in_order(batch):
                # They were read in the batch that they came with.
                counts = self._streams.merge(batch, stream, buffer.sorted())
                run.count(stream).add(replace(counts, read=0, unchanged=0))
            run.waiting.delete(batch, tombstones, self._delete)
            run.waiting.closed(cells - batch.held.keys())
            self._close(batch)

    def write_decided(self, context: Context, accounts: set[int]) -> None:
        """Decide the records that resemble existing rows, and write them; of the run's accounts and these."""
        run = self._run
        for decided in run.matching.decide(run.accounts | accounts, context):
            self._write_decided(context, decided)
        self._count_proposed()
        run.commit()

    def write_chosen(self, context: Context, chosen: Sequence[Chosen]) -> None:
        """Write records for which a person chose rows.

        Raises:
            As `write_postponed`.
        """
        for decided in self._run.matching.choose(chosen, context):
            self._write_decided(context, decided)
        self.write_postponed()

    def _write_decided(self, context: Context, decided: Decided) -> None:
        run, batch = self._run, Batch(replace(context, zone=decided.zone))
        run.lock_accounts({record.account_id for record in decided.records})
        buffer = batch.buffers.setdefault(decided.stream, Buffer())
        for record in decided.records:
            buffer.put(record)
        self._streams.tie(decided.stream, decided.ties)
        # They were read in the batch that they came with.
        counts = self._streams.merge(batch, decided.stream, buffer.sorted())
        run.count(decided.stream).add(replace(counts, read=0))
        postponed = {record.key for record, _ in batch.postponed.values()}
        rejected = {(r.account_id, r.amo_id) for r in batch.late_rejects.values()}
        run.matching.done(decided, postponed, {key for key in decided.numbers if key in rejected})
        self._close(batch)

    def write_postponed(self) -> None:
        """Write postponed records after everything else; those that are refused again are rejected.

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
                for stream, buffer in self._in_order(batch):
                    # They were read in the batch that they came with.
                    counts = self._streams.merge(batch, stream, buffer.sorted())
                    self._run.count(stream).add(replace(counts, read=0))
                self._close(batch)
        left, self._postponed = self._postponed, {}
        proposed = self._propose(left)
        self._reject_at_last([reject for key, (_, _, reject) in left.items() if key not in proposed])

    def _propose(self, left: _Postponed) -> set[tuple[str, tuple[int, int]]]:
        """Turn records that violate unique constraints of the CRM into proposals."""
        run = self._run
        refused = [(stream, context, record, reject.problem) for (stream, _), (context, record, reject) in left.items()]
        proposed = run.matching.refused(refused) if refused else set()
        for stream in {stream for stream, _ in proposed}:
            keys = [key for one, key in proposed if one == stream]
            rejects.close_rejects(run.connection, run.schema, run.run_id, stream, keys, "proposed")
        if proposed:
            self._count_proposed()
            run.commit()
        return proposed

    def _count_proposed(self) -> None:
        run = self._run
        for table, number in run.matching.proposed.items():
            run.counts.setdefault(table, Counts()).proposed += number
        run.matching.proposed.clear()
        run.write_counts()

    def _reject_at_last(self, left: Sequence[Reject]) -> None:
        run = self._run
        for reject in left:
            run.refuse_if_strict(reject.stream, reject.problem)
            run.count(str(reject.stream)).rejected += 1
            run.outcome.rejected[run.reads(reject.stream)] += 1
            run.outcome.loaded[run.reads(reject.stream)] -= 1
        if left:
            run.rejected += len(left)
            if not run.settings.dry_run:
                rejects.log_rejects(left)
            run.write_counts()
            run.commit()
            run.refuse_too_many()

    def _write_names(self, batch: Batch) -> None:
        if batch.names:
            self._run.waiting.name(batch, partial(self._name, list(batch.names.values())))

    def _name(self, lines: list[bytes]) -> None:
        session = self._streams.first
        named = self._streams.guarded(session, lambda lock: write_names(session, lines, lock=lock))
        for table, counts in named.items():
            self._run.counts.setdefault(table, Counts()).add(counts)

    def _delete(self, tombstones: Sequence[Tombstone]) -> None:
        """Mark rows deleted, all or none: if the guard of one table stops, no other table is marked."""
        session, done = self._streams.first, {}
        so_far = dict(session.deleted_so_far)
        try:
            with self._run.connection.transaction():
                for stream in self._run.live:
                    lines = [t.line for t in tombstones if t.stream == stream]
                    if lines:
                        done[stream] = self._streams.guarded(session, partial(_deletion, session, stream, lines))
        except psycopg.errors.LockNotAvailable:
            session.deleted_so_far.clear()
            session.deleted_so_far.update(so_far)
            raise
        for stream, counts in done.items():
            self._run.count(stream).add(counts)

    def _postpone(self, batch: Batch) -> None:
        """Keep records that conflict with other rows for the end of the run; a later version replaces an earlier
        one."""
        for stream, buffer in batch.buffers.items():
            for key in buffer.records if self._postponed else ():
                self._postponed.pop((stream, key), None)
        for record, reject in batch.postponed.values():
            self._postponed[str(reject.stream), record.key] = batch.context, record, reject

    def _close(self, batch: Batch) -> None:
        """Write the results of a batch other than its rows, and commit."""
        run = self._run
        run.connection.verify()
        rejected = [*batch.rejects, *batch.late_rejects.values()]
        run.rejected += len(rejected)
        self._postpone(batch)
        for reject in rejected:
            if reject.stream in run.live:
                run.count(reject.stream).rejected += 1
            run.outcome.rejected[run.reads(reject.stream)] += 1
        for late in batch.late_rejects.values():
            run.outcome.loaded[run.reads(late.stream)] -= 1
        postponed = [reject for _, reject in batch.postponed.values()]
        rejects.write_rejects(run.connection, run.schema, run.run_id, [*rejected, *postponed])
        if not run.settings.dry_run:
            rejects.log_rejects(rejected)
        tables = {stream: live.mapping.table for stream, live in run.live.items()}
        run.rejects.close(run.connection, run.run_id, batch, tables)
        for bad in run.warnings.close(run.connection, run.run_id, batch):
            run.count(bad.stream).warnings += 1
        for table in run.waiting.settle(batch, run.run_id):
            run.counts.setdefault(table, Counts()).warnings += 1
        run.write_counts()
        if batch.state is not None:
            self.keep_state(batch.state)
        if not run.settings.dry_run:
            notify(run.connection, run.settings.notify_channel, run.run_id)
        run.commit()
        run.refuse_too_many()

    def renew_sessions(self) -> None:
        """Reopen sessions that were closed while idle. Raises as `LoadSessions.renew`."""
        self._streams.renew_sessions()

    def keep_state(self, state: bytes) -> None:
        """Store a STATE that is released when the transaction is committed. The caller commits."""
        if self._keeps_states:
            self._run.outcome.keep_state(self._run.connection, self._run.accounts, read_state(state))


def _deletion(session: MergeSession, stream: str, lines: list[bytes], _: bool) -> Counts:
    """Deletions always lock their rows."""
    return delete(session, stream, lines)
