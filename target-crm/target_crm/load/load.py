"""One load: reads while a batch is merged, commits, quarantines rejected records, and releases STATE after commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timezone
from typing import Any

import psycopg

from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.database.notify import notify
from target_crm.database.session import PinnedConnection
from target_crm.errors import DatabaseError
from target_crm.load import runs
from target_crm.load.batch_writer import BatchWriter
from target_crm.load.comparison import Comparison
from target_crm.load.intake import Intake
from target_crm.load.outcome import Outcome, write_notices
from target_crm.load.run_context import RunContext, open_run
from target_crm.load.source_watch import SourceWatch
from target_crm.load.stream_writer import StreamWriter
from target_crm.mapping.model import Mapping
from target_crm.matching.matching import Chosen
from target_crm.normalise import Context
from target_crm.problems import Problem
from target_crm.singer_io.released_states import forget_old_states, thin_states

logger = logging.getLogger("target-crm")


class Load:
    """A run of the target. `add` receives records, `drain` waits for everything.

    While a batch is merged (by up to `parallel_merges` connections) the next one is read. Nothing is written in a dry
    run: every batch is merged in one transaction of one connection, which is rolled back at the end.

    Args:
        run: The open run; `Load.open` opens one.
        on_state: Called with each released STATE.
    """

    def __init__(self, run: RunContext, on_state: Callable[[bytes], None] | None = None) -> None:
        self.run = run
        self._drained = self._finished = False
        self._watch = SourceWatch(run.live, is_own=not run.mapping.builtin)
        self._streams = StreamWriter(run)
        self._writer = BatchWriter(run, self._streams, keeps_states=on_state is not None)
        self._intake = Intake(run, self._writer, self._watch, on_state)

    @classmethod
    def open(
        cls,
        settings: Settings,
        database: Database,
        kind: str = "load",
        on_state: Callable[[bytes], None] | None = None,
        comparison: Comparison | None = None,
    ) -> Load:
        """Open a run.

        Args:
            settings: The checked settings.
            database: An open database.
            kind: The run's `sync_runs.kind`.
            on_state: Called with each released STATE.
            comparison: Notes what is received; the settings are then those of a dry run.

        Raises:
            MappingError: the mapping does not fit the database.
            DatabaseError: the database can't be reached.
        """
        return cls(open_run(settings, database, kind, comparison), on_state)

    @property
    def settings(self) -> Settings:
        """The settings of the run."""
        return self.run.settings

    @property
    def mapping(self) -> Mapping:
        """The mapping of the run."""
        return self.run.mapping

    @property
    def outcome(self) -> Outcome:
        """Notices of the run in addition to its counts."""
        return self.run.outcome

    @property
    def connection(self) -> PinnedConnection:
        """The session of the run."""
        return self.run.connection

    @property
    def run_id(self) -> int:
        """The number of the run."""
        return self.run.run_id

    @property
    def rejected(self) -> int:
        """Number of rejected records."""
        return self.run.rejected

    def schema(self, stream: str, schema: dict[str, Any]) -> None:
        """Receive a SCHEMA message for the account's time zone, in which its days begin, and the run."""
        source = self.outcome.input.see_schema(stream, schema)
        if source is not None:
            self._intake.wait()
            self._streams.renew_sessions()
            self.outcome.begin(self.connection, source)
            self.run.commit()
        self._intake.schema(stream, schema)

    def knows(self, stream: str) -> bool:
        """Whether the stream's records are loaded."""
        return self._intake.knows(stream)

    def add(self, stream: str, raw: bytes) -> None:
        """Receive one record as JSON; passes a batch to the merge if the buffer is full.

        Raises:
            StrictError: the record is bad and `on_bad_record` is `fail`.
            TargetError, psycopg.Error: of a batch before.
        """
        self._intake.add(stream, raw)

    def reject(self, stream: str | None, raw: bytes, problem: Problem) -> None:
        """Reject a record.

        Raises:
            StrictError: `on_bad_record` is `fail`.
        """
        self._intake.reject(stream, raw, problem)

    def state(self, value: bytes) -> None:
        """Receive a STATE; it is released when everything before it is committed."""
        self._intake.state(value)

    @property
    def holds_something(self) -> bool:
        """Whether anything received is not committed yet."""
        return self._intake.holds_something

    def hand_over(self) -> None:
        """Commit the received records, without waiting for more. Raises as `drain`."""
        self._intake.hand_over()

    def end_turn(self, *, waiting: bool) -> None:
        """Commit all that came, deletions too, and let others work on the accounts until more comes.

        Args:
            waiting: Whether what waits for rows, other records or a decision is looked at as well.

        Raises:
            As `drain`.
        """
        self._intake.drain(waiting=waiting, once=True)
        self.run.let_others_work()

    def drain(self) -> None:
        """Merge and commit everything that was added.

        Raises:
            TooManyRejectsError, GuardError, BusyError, DatabaseError, psycopg.Error: of any batch.
        """
        self._intake.drain()
        self._drained = True
        self.run.warnings.log()

    def write_chosen(self, chosen: Sequence[Chosen]) -> None:
        """Let records become the rows that a person chose for them.

        Raises:
            BusyError, TooManyRejectsError, DatabaseError, psycopg.Error: as of any batch.
        """
        region = self.mapping.default_region or self.settings.default_region
        self._writer.write_chosen(Context(region, timezone.utc), chosen)

    @property
    def kept_cells(self) -> list[tuple[Any, ...]]:
        """In a dry run: the edits that stay, as `sql.journal.kept_cells` returns them."""
        return [cell for session in self._streams.merge_sessions for cell in session.kept_cells]

    def notices(self) -> list[Problem]:
        """Notices of the run in addition to its counts."""
        found = self.outcome.notices(self.run.counts, self._streams.merge_sessions, ended=self._drained)
        return [*found, *self._watch.notices(), *self.run.matching.notices()]

    def counts_document(self) -> dict[str, dict[str, int]]:
        """The counts by table in the form of `sync_runs.counts`."""
        return self.run.counts_document()

    def finish(
        self, status: str, error: str | None = None, failure: Problem | None = None, *, goes_on: bool = False
    ) -> None:
        """Close the run as `succeeded`, `incomplete`, `failed` or `interrupted`. Uncommitted changes are rolled back.

        `error` says in English why it failed, `failure` the same as a code. `goes_on`: another run takes the rest of
        the input.
        """
        if self._finished:
            return
        self._finished = True
        try:
            self._intake.abandon()
            if self.settings.dry_run:
                return
            self.run.sessions.renew_to_close()
            connection, schema, run_id = self.connection, self.settings.crm_schema, self.run_id
            connection.rollback()
            notices = [*self.notices(), failure] if failure else self.notices()
            write_notices(connection, schema, run_id, notices)
            runs.close_run(connection, schema, run_id, status, error)
            runs.note_merge_seconds(connection, schema, run_id, self._writer.seconds)
            if goes_on:
                thin_states(connection, schema, run_id)
            if status == "succeeded" and self.settings.journal_retention_days:
                runs.prune_journal(connection, schema, self.settings.journal_retention_days)
                forget_old_states(connection, schema)
            notify(connection, self.settings.notify_channel, run_id)
            connection.commit()
        except (psycopg.OperationalError, DatabaseError):
            logger.warning("Run %d could not be closed: the connection to the database is lost.", self.run_id)
        finally:
            self._intake.close()
            self._streams.close()
            self.run.sessions.close()
