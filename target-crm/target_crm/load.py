"""One load: a run in `sync_runs`, batches merged in transactions, bad records put aside, STATE let go after commit."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import tzinfo, timezone
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from target_crm.config import Settings
from target_crm.database import Database, without_secrets
from target_crm.errors import BusyError, RecordError, TooManyRejectsError
from target_crm.extract import Extractor, StagedRecord
from target_crm.lookups import LOOKUP_STREAMS, lookup_lines
from target_crm.mapping.check import LiveTable, check_mapping
from target_crm.mapping.load import load_mapping
from target_crm.merger import ContendedError, Counts, Merger
from target_crm.messages import clean_json
from target_crm.normalise import Context, as_instant

logger = logging.getLogger("target-crm")
DELETED_STREAM = "deleted_records"
# Buffered records together; large notes would otherwise fill the memory before the row limit does.
_MOST_BUFFERED_BYTES = 48 * 1024 * 1024
_RETRIES_ON_DEADLOCK = 5
_RECORD_FAULTS = (psycopg.DataError, psycopg.IntegrityError)


@dataclass
class _Buffer:
    """Records of one stream that wait for their merge, the newest of each key."""

    records: dict[tuple[Any, ...], StagedRecord] = field(default_factory=dict)
    read: int = 0

    def put(self, key: tuple[Any, ...], record: StagedRecord) -> None:
        self.read += 1
        known = self.records.get(key)
        if known is None or known.updated_at is None or record.updated_at is None or record.updated_at >= known.updated_at:
            self.records[key] = record


@dataclass
class _Reject:
    stream: str | None
    record: str
    error: str


class Load:
    """A run of the target. Records go in by `add`, `flush` merges and commits, `finish` closes the run.

    Nothing is written in a dry run: every batch is merged in one transaction that is rolled back at the end.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.mapping = load_mapping(settings.mapping_file)
        self.region = self.mapping.default_region or settings.default_region
        self.connection = database.connect()
        self.counts: dict[str, Counts] = {}
        self.rejects: list[_Reject] = []
        self.rejected = 0
        self.accounts: set[int] = set()
        self._buffers: dict[str, _Buffer] = {}
        self._extractors: dict[str, Extractor] = {}
        self._zone: tzinfo = timezone.utc
        self._unknown: set[str] = set()
        self._buffered = 0
        self._rows = 0
        self._seq = 0
        try:
            database.prepare(self.connection, builtin=self.mapping.builtin)
            self.live: dict[str, LiveTable] = check_mapping(self.connection, self.mapping, settings.crm_schema)
            self.run_id = self._begin()
        except BaseException:
            self.connection.close()
            raise
        self.merger = Merger(self.connection, self.live, settings, self.run_id)

    def _table(self, name: str) -> sql.Identifier:
        return sql.Identifier(self.settings.crm_schema, name)

    def _begin(self) -> int:
        """Mark runs whose process died, and open this one."""
        self.connection.execute(
            sql.SQL(
                "UPDATE {} AS r SET status = 'interrupted', finished_at = now(), "
                "error = coalesce(error, 'the process ended without closing its run') WHERE status = 'running' "
                "AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = r.backend_pid "
                "AND a.backend_start = r.backend_start)"
            ).format(self._table("sync_runs"))
        )
        row = self.connection.execute(
            sql.SQL(
                "INSERT INTO {} (kind, backend_pid, backend_start) SELECT 'load', pg_backend_pid(), "
                "(SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()) RETURNING id"
            ).format(self._table("sync_runs"))
        ).fetchone()
        assert row is not None
        self._commit()
        return int(row[0])

    def _commit(self) -> None:
        if not self.settings.dry_run:
            self.connection.commit()

    def schema(self, stream: str, schema: dict[str, Any]) -> None:
        """Take a SCHEMA message: the account's time zone, and whether the stream is mapped at all.

        Raises:
            MappingError: the stream is not mapped and `unmapped_streams` is `fail`.
        """
        account = schema.get("x-amocrm-account")
        zone = account.get("timezone") if isinstance(account, dict) else None
        if isinstance(zone, str):
            try:
                self._zone = ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError):
                logger.warning("Stream %s: the time zone %r is unknown; days are read in UTC.", stream, zone)
        if stream in self.live:
            self._extractors[stream] = Extractor(self.live[stream], Context(self.region, self._zone))

    def known(self, stream: str) -> bool:
        """Whether records of this stream go anywhere."""
        return stream in self.live or stream == DELETED_STREAM or stream in LOOKUP_STREAMS

    def add(self, stream: str, raw: bytes) -> None:
        """Take one record; merges and commits when the buffers are full.

        Raises:
            RecordError: the record is bad and `on_bad_record` is `fail`.
        """
        self._seq += 1
        try:
            clean = clean_json(raw)
            record = msgspec.json.decode(clean)
            if not isinstance(record, dict):
                msg = "the record is no JSON object"
                raise RecordError(msg)
            for key, target, staged in self._staged(stream, record, clean):
                self._buffers.setdefault(target, _Buffer()).put(key, staged)
                self._buffered += len(staged.line)
            self._rows += 1
        except (RecordError, msgspec.DecodeError, ValueError) as error:
            self.reject(stream, raw, str(error))
        if self.full:
            self.flush()

    @property
    def full(self) -> bool:
        """Whether the next flush is due."""
        return self._rows >= self.settings.batch_size_rows or self._buffered >= _MOST_BUFFERED_BYTES

    @property
    def empty(self) -> bool:
        """Whether all that was added is committed."""
        return not self._buffers and not self.rejects

    def _staged(
        self, stream: str, record: dict[str, Any], raw: bytes
    ) -> list[tuple[tuple[Any, ...], str, StagedRecord]]:
        """What a record stages: key, buffer and line."""
        if stream in LOOKUP_STREAMS:
            staged = lookup_lines(stream, record, self._seq)
            return [((s.account_id, s.key), ":names", s.staged) for s in staged]
        if stream == DELETED_STREAM:
            one = tombstone(record, self._seq)
            if one is None or one[0] not in self.live:
                return []
            return [((one[1].account_id, one[1].amo_id), f":deleted:{one[0]}", one[1])]
        extractor = self._extractors.get(stream)
        if extractor is None:
            extractor = self._extractors[stream] = Extractor(
                self.live[stream], Context(self.region, self._zone)
            )
        line = extractor.stage(record, raw, self._seq)
        return [((line.account_id, line.amo_id), stream, line)]

    def reject(self, stream: str | None, raw: bytes, error: str) -> None:
        """Put a record aside with its reason.

        Raises:
            RecordError: `on_bad_record` is `fail`.
        """
        if self.settings.on_bad_record == "fail":
            msg = f"Stream {stream}: {error}. on_bad_record is fail: the run stops; quarantine would go on without it."
            raise RecordError(msg)
        text = raw.decode("utf-8", "replace").replace("\x00", "")
        self.rejects.append(_Reject(stream, text, error))
        self.rejected += 1
        if stream in self.live:
            self._count(self.live[stream].mapping.table).rejected += 1
        if len(self.rejects) >= 100 and self.rejected > self.settings.max_bad_records:
            self.flush()

    def _count(self, table: str) -> Counts:
        return self.counts.setdefault(table, Counts())

    def flush(self) -> None:
        """Merge all that is buffered in one transaction, and commit.

        Raises:
            TooManyRejectsError, GuardError, BusyError, psycopg.Error
        """
        buffers, self._buffers = self._buffers, {}
        self._buffered = self._rows = 0
        self._lock_accounts({r.account_id for b in buffers.values() for r in b.records.values()})
        order = [":names", *self.live, *(f":deleted:{s}" for s in self.live)]
        rejects, rejected = list(self.rejects), self.rejected
        for attempt in range(_RETRIES_ON_DEADLOCK + 1):
            self.rejects, self.rejected = list(rejects), rejected
            try:
                # Counts move only with the commit they belong to.
                done = {name: self._merge_buffer(name, buffers[name]) for name in order if name in buffers}
                break
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                if attempt == _RETRIES_ON_DEADLOCK or self.settings.dry_run:
                    raise
                self.connection.rollback()
                time.sleep(0.1 * 2**attempt)
        else:  # pragma: no cover - the loop breaks or raises
            done = {}
        for name, counts in done.items():
            if name != ":names":
                self._count(self.live[name.removeprefix(":deleted:")].mapping.table).add(counts)
        self._write_rejects()
        self._write_counts()
        self._commit()
        if self.rejected > self.settings.max_bad_records:
            msg = (
                f"{self.rejected} records were rejected, more than max_bad_records = {self.settings.max_bad_records}. "
                f"Look into {self.settings.crm_schema}.sync_rejects (target-crm-admin rejects)."
            )
            raise TooManyRejectsError(msg)

    def _merge_buffer(self, name: str, buffer: _Buffer) -> Counts:
        records = sorted(buffer.records.values(), key=lambda r: (r.account_id, r.amo_id))
        if name == ":names":
            return self._guarded(lambda lock: self.merger.name([r.line for r in records], lock=lock))
        if name.startswith(":deleted:"):
            stream = name.removeprefix(":deleted:")
            return self._guarded(lambda _: self.merger.delete(stream, [r.line for r in records]))
        counts = self._merge_records(name, records)
        counts.unchanged += buffer.read - counts.read
        counts.read = buffer.read
        return counts

    def _guarded(self, work: Callable[[bool], Counts]) -> Counts:
        """Run a merge in a savepoint; once more under locks when people edited the same rows meanwhile."""
        try:
            with self.connection.transaction():
                return work(False)
        except ContendedError:
            with self.connection.transaction():
                return work(True)

    def _merge_records(self, stream: str, records: list[StagedRecord]) -> Counts:
        """Merge records; when the database refuses one of them, find it by halving and put it aside."""
        try:
            return self._guarded(lambda lock: self.merger.merge(stream, [r.line for r in records], lock=lock))
        except _RECORD_FAULTS as error:
            if len(records) == 1:
                detail = error.diag.message_primary or str(error)
                self.reject(stream, records[0].raw, without_secrets(detail))
                return Counts(read=1)
        middle = len(records) // 2
        counts = self._merge_records(stream, records[:middle])
        counts.add(self._merge_records(stream, records[middle:]))
        return counts

    def _lock_accounts(self, accounts: set[int]) -> None:
        """One load at a time for an account; accounts do not hinder one another."""
        for account in sorted(accounts - self.accounts):
            name = f"target-crm:{self.settings.crm_schema}:{account}"
            deadline = time.monotonic() + self.settings.lock_timeout_seconds
            told = False
            while True:
                row = self.connection.execute(
                    "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)
                ).fetchone()
                if row and row[0]:
                    break
                if time.monotonic() >= deadline:
                    msg = (
                        f"Another load of account {account} is running on this database; it did not end within "
                        f"lock_timeout_seconds = {self.settings.lock_timeout_seconds:g}. Start again later."
                    )
                    raise BusyError(msg)
                if not told:
                    logger.info("Another load of account %s is running; waiting for it.", account)
                    told = True
                self._commit()
                time.sleep(0.2)
            self.accounts.add(account)
            self.connection.execute(
                sql.SQL("UPDATE {} SET account_ids = %s WHERE id = %s").format(self._table("sync_runs")),
                (sorted(self.accounts), self.run_id),
            )

    def _write_rejects(self) -> None:
        if not self.rejects:
            return
        with self.connection.cursor() as cursor:
            cursor.executemany(
                sql.SQL("INSERT INTO {} (run_id, stream, record, error) VALUES (%s, %s, %s, %s)").format(
                    self._table("sync_rejects")
                ),
                [(self.run_id, r.stream, r.record, r.error) for r in self.rejects],
            )
        for reject in self.rejects[:5]:
            logger.warning("Stream %s: a record was put into sync_rejects: %s", reject.stream, reject.error)
        if len(self.rejects) > 5:
            logger.warning("... and %d more; see sync_rejects.", len(self.rejects) - 5)
        self.rejects = []

    def counts_document(self) -> dict[str, dict[str, int]]:
        """The counts by table as `sync_runs.counts` holds them."""
        return {name: asdict(counts) for name, counts in sorted(self.counts.items())}

    def _write_counts(self) -> None:
        self.connection.execute(
            sql.SQL("UPDATE {} SET counts = %s WHERE id = %s").format(self._table("sync_runs")),
            (Jsonb(self.counts_document()), self.run_id),
        )

    def finish(self, status: str, error: str | None = None) -> None:
        """Close the run: `succeeded`, `failed` or `interrupted`. What was not committed is rolled back."""
        try:
            if self.settings.dry_run or self.connection.closed:
                return
            self.connection.rollback()
            self.connection.execute(
                sql.SQL(
                    "UPDATE {} SET finished_at = clock_timestamp(), status = %s, error = %s WHERE id = %s"
                ).format(self._table("sync_runs")),
                (status, error and without_secrets(error), self.run_id),
            )
            if status == "succeeded" and self.settings.journal_retention_days:
                self._prune()
            self.connection.commit()
        except psycopg.OperationalError:
            logger.warning("The run %d could not be closed: the database is gone.", self.run_id)
        finally:
            self.connection.close()

    def _prune(self) -> None:
        """Forget the journal of runs older than the retention."""
        self.connection.execute(
            sql.SQL(
                "DELETE FROM {} AS c USING {} AS r WHERE c.run_id = r.id "
                "AND r.started_at < now() - make_interval(days => %s)"
            ).format(self._table("sync_changes"), self._table("sync_runs")),
            (self.settings.journal_retention_days,),
        )


def tombstone(record: dict[str, Any], seq: int) -> tuple[str, StagedRecord] | None:
    """A record of `deleted_records` as the stream it is about and a staging line; None for other kinds of entity.

    Raises:
        RecordError: it names no entity or no time.
    """
    entity_type, account = record.get("entity_type"), record.get("account_id")
    entity_id = record.get("entity_id")
    if not isinstance(entity_type, str) or not isinstance(account, int) or not isinstance(entity_id, int):
        msg = "entity_type, entity_id or account_id is missing"
        raise RecordError(msg)
    try:
        deleted = as_instant(record.get("deleted_at"), timezone.utc)
        restored = as_instant(record.get("restored_at"), timezone.utc)
    except ValueError as error:
        raise RecordError(str(error)) from None
    if deleted is None and restored is None:
        msg = "neither deleted_at nor restored_at is given"
        raise RecordError(msg)
    line = {
        "q": seq,
        "a": account,
        "i": entity_id,
        "u": deleted,
        "m": record.get("merged_into"),
        "o": restored,
    }
    when = restored or deleted
    return entity_type, StagedRecord(account, entity_id, when, msgspec.json.encode(line), json.dumps(record).encode())
