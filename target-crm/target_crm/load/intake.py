"""Receives a run's records and states: buffers them, passes batches to the writer, and releases a STATE after its
commit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from target_crm.errors import RecordError
from target_crm.load.accounts import keep_account
from target_crm.load.batch import Batch, Buffer, Reject, as_text
from target_crm.load.batch_writer import BatchWriter
from target_crm.load.run_context import RunContext
from target_crm.load.source_watch import FIELDS_STREAM, SourceWatch
from target_crm.normalise import Context
from target_crm.problems import Problem
from target_crm.records.envelope import KeyReader, keys_in
from target_crm.records.reference_data import LOOKUP_STREAMS, NamedLine, field_lines, lookup_lines
from target_crm.records.tombstones import Tombstone, deletion, tombstone
from target_crm.singer_io.messages import clean_json, read_state, spell_out

logger = logging.getLogger("target-crm")
DELETED_STREAM = "deleted_records"
# Buffered records together; large notes would otherwise fill the memory before the row limit does.
_MOST_BUFFERED_BYTES = 12 * 1024 * 1024
_LONGEST_WAIT_SECONDS = 30.0
_MOST_TOMBSTONES = 100_000


class Intake:
    """`add` receives records, `flush` passes a full buffer to the writer, and `drain` waits for everything.

    While a batch is written the next one is read.

    Args:
        run: The open run.
        writer: Writes batches; from the one thread of this intake.
        watch: Notes the contents of SCHEMAs and of the list of custom fields.
        on_state: Called with each released STATE.
    """

    def __init__(
        self, run: RunContext, writer: BatchWriter, watch: SourceWatch, on_state: Callable[[bytes], None] | None
    ) -> None:
        self._run, self._writer, self._watch, self._on_state = run, writer, watch, on_state
        self._context = Context(run.mapping.default_region or run.settings.default_region, timezone.utc)
        self._batch = Batch(self._context)
        self._key_readers: dict[str, KeyReader] = {}
        self._tombstones: dict[tuple[str, tuple[int, int]], Tombstone] = {}
        self._state: bytes | None = None
        self._seq = 0
        encoding = run.connection.info.parameter_status("server_encoding")
        self._spells_out = run.letters.are_limited or encoding == "SQL_ASCII"
        # Accounts that SCHEMA messages name, with or without records.
        self._named_accounts: set[int] = set()
        self._job: Future[bytes | None] | None = None
        # Number of records that waited for a decision at the last check.
        self._proposals = run.matching.waiting
        self._thread = ThreadPoolExecutor(1, "merge")

    def schema(self, stream: str, schema: dict[str, Any]) -> None:
        """Take note of a SCHEMA's account: its number, and its time zone, in which its days begin."""
        account = schema.get("x-amocrm-account")
        if isinstance(account, dict) and isinstance(account.get("id"), int):
            self._see_account(account)
        name = account.get("timezone") if isinstance(account, dict) else None
        zone: tzinfo = self._context.zone
        if isinstance(name, str) and name:
            zone = _zone_of(name, stream) or zone
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
            self.wait()
            keep_account(self._run.connection, self._run.schema, account)
            self._run.commit()

    def knows(self, stream: str) -> bool:
        """Whether the stream's records are loaded."""
        return (
            bool(self._run.entries_of(stream)) or stream in (DELETED_STREAM, FIELDS_STREAM) or stream in LOOKUP_STREAMS
        )

    def add(self, stream: str, raw: bytes) -> None:
        """Receive one record as JSON; passes a batch to the writer if the buffer is full.

        Raises:
            StrictError: the record is bad and `on_bad_record` is `fail`.
            TargetError, psycopg.Error: of a batch before.
        """
        self._seq += 1
        try:
            clean = clean_json(raw)
            if self._spells_out:
                clean = spell_out(clean)
            entries = self._run.entries_of(stream)
            for entry in entries:
                self._see(entry, clean)
            if not entries or stream in LOOKUP_STREAMS:
                self._note(stream, clean)
        except RecordError as error:
            self.reject(stream, raw, error.problem)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            self.reject(stream, raw, Problem("E_RECORD_NOT_READABLE", {"reason": str(error)}))
        batch = self._batch
        batch.rows += 1
        batch.size += len(raw)
        if (
            batch.rows >= self._run.settings.batch_size_rows
            or batch.size >= _MOST_BUFFERED_BYTES
            or len(self._tombstones) >= _MOST_TOMBSTONES
            or (batch.rows & 63 == 0 and time.monotonic() - batch.started > _LONGEST_WAIT_SECONDS)
        ):
            self.flush()

    def _key_reader(self, stream: str) -> KeyReader:
        reader = self._key_readers.get(stream)
        if reader is None:
            live, policy = self._run.live[stream], self._run.settings.default_policy
            reader = self._key_readers[stream] = KeyReader(live, self._context, policy)
        return reader

    def _see(self, stream: str, raw: bytes) -> None:
        """Buffer a record of a mapped stream."""
        reader = self._key_reader(stream)
        seen, is_deleted = reader.see(raw, self._seq)
        if is_deleted:
            self._keep_tombstone(deletion(stream, seen))
            return
        if not reader.takes(raw):
            self._run.outcome.loaded[self._run.reads(stream)] += 1
            return
        self._batch.buffers.setdefault(stream, Buffer()).put(seen)

    def _note(self, stream: str, raw: bytes) -> None:
        """Receive a record of reference data or of the list of custom fields, or a deletion."""
        record = msgspec.json.decode(raw)
        if not isinstance(record, dict):
            raise RecordError("E_RECORD_NOT_OBJECT")
        self._run.outcome.loaded[stream] += 1
        if stream in LOOKUP_STREAMS:
            self._take_names(lookup_lines(stream, record, self._seq))
            return
        if stream == FIELDS_STREAM:
            self._watch.see_field(record)
            self._take_names(field_lines(record, self._seq))
            return
        found = tombstone(record, self._seq)
        for entry in self._run.entries_of(found.stream):
            self._keep_tombstone(found._replace(stream=entry))

    def _take_names(self, lines: Iterable[NamedLine]) -> None:
        for line in lines:
            self._batch.names[line.account_id, line.key] = self._run.letters.clean_bytes(line.line)

    def _keep_tombstone(self, found: Tombstone) -> None:
        known = self._tombstones.get((found.stream, found.key))
        if known is None or found.when >= known.when:
            self._tombstones[found.stream, found.key] = found

    def reject(self, stream: str | None, raw: bytes, problem: Problem) -> None:
        """Reject a record.

        Raises:
            StrictError: `on_bad_record` is `fail`.
        """
        self._run.refuse_if_strict(stream, problem)
        batch, record = self._batch, as_text(raw)
        entry = next(iter(self._run.entries_of(stream)), None) if stream else None
        keys = self._key_reader(entry).keys_of(raw) if entry else keys_in(record) if stream else (None, None)
        batch.rejects.append(Reject(entry or stream, record, problem, *keys))
        too_many = self._run.rejected + len(batch.rejects) > self._run.settings.max_bad_records
        if too_many and not self._run.may_reject_any:
            self.drain()

    def state(self, value: bytes) -> None:
        """Receive a STATE; it is released when everything before it is committed."""
        self._state = value
        state = read_state(value)
        if isinstance(state, dict):
            self._run.outcome.see_state(state)
        self._release()

    @property
    def holds_something(self) -> bool:
        """Whether anything received is not committed yet."""
        return self._job is not None or not self._batch.empty or bool(self._tombstones)

    def _release(self) -> None:
        """Release the last STATE if nothing waits."""
        if self._state is not None and not self.holds_something:
            self._writer.renew_sessions()
            self._writer.keep_state(self._state)
            self._run.commit()
            self._emit(self._state)
            self._state = None

    def _emit(self, state: bytes | None) -> None:
        if state is not None and self._on_state is not None and not self._run.settings.dry_run:
            self._on_state(state)

    def wait(self) -> None:
        """Wait for the current batch, and release its STATE.

        Raises:
            As `flush`.
        """
        job = self._job
        if job is not None:
            state = job.result()
            self._job = None
            self._emit(state)

    def flush(self, *, final: bool = False) -> None:
        """Pass the buffer to the writer; waits only for the previous batch.

        Deletions wait for the end of the run, where the guard sees all of them; a STATE behind them waits as well.

        Raises:
            TooManyRejectsError, GuardError, BusyError, DatabaseError, psycopg.Error: of the batch before.
        """
        self.wait()
        batch, self._batch = self._batch, Batch(self._context)
        tombstones: list[Tombstone] = []
        if final or len(self._tombstones) >= _MOST_TOMBSTONES:
            tombstones, self._tombstones = list(self._tombstones.values()), {}
        if batch.empty and not tombstones:
            return
        if not self._tombstones:
            batch.state, self._state = self._state, None
        self._job = self._thread.submit(self._writer.write, batch, tombstones)

    def drain(self, *, waiting: bool = True, once: bool = False) -> None:
        """Write and commit all that was added, deletions too; with `waiting` also what waited for other rows, sessions
        or decisions, with `once` only as far as it is free now: the input continues. Raises as `flush`."""
        held = self.holds_something
        self.flush(final=True)
        self.wait()
        if not held and not waiting:
            return
        if waiting:
            self._do(self._writer.write_waiting, self._context, self._named_accounts, once=once)
        if waiting or self._run.matching.waiting != self._proposals:
            self._do(self._writer.write_decided, self._context, self._named_accounts)
            self._proposals = self._run.matching.waiting
        self._do(self._writer.write_postponed)
        self._release()

    def _do(self, work: Callable[..., None], *args: Any, **options: Any) -> None:
        """Run something in the writer's thread, and wait for it."""
        self._job = self._thread.submit(work, *args, **options)
        self.wait()

    def hand_over(self) -> None:
        """Write and commit the records that came; deletions wait for the end of the run. Raises as `flush`."""
        self.flush()
        self.wait()
        self._release()

    def abandon(self) -> None:
        """Stop the current batch and wait until it has stopped; its errors are ignored."""
        if self._job is not None:
            self._run.sessions.cancel()
            self._job.exception()
            self._job = None

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()


def _zone_of(name: str, stream: str) -> tzinfo | None:
    """A time zone by its name; None, with a warning, where it is not known."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        logger.warning("Stream %s: the time zone %r is unknown; days are read in UTC.", stream, name)
        return None
