"""Shared context of a run: settings, tables, sessions, counts, limits, and the locks of its accounts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from psycopg import sql

from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.database.session import PinnedConnection
from target_crm.errors import StrictError, TooManyRejectsError
from target_crm.load import runs
from target_crm.load.cell_warnings import CellWarnings
from target_crm.load.comparison import Comparison
from target_crm.load.held_rows import when_free
from target_crm.load.outcome import Outcome
from target_crm.load.rejects import OpenRejects
from target_crm.load.sessions import LoadSessions
from target_crm.load.waiting import WaitingRecords
from target_crm.mapping.check import LiveTable, check_mapping, naive_columns
from target_crm.mapping.load import load_mapping
from target_crm.mapping.model import Mapping
from target_crm.matching.matching import Matching
from target_crm.merge.counts import Counts
from target_crm.merge.row_keys import RowKeys, find_row_keys
from target_crm.normalise.letters import Letters
from target_crm.problems import Problem
from target_crm.sql.queries import query


class _Begun(NamedTuple):
    """The result of a run's first transaction."""

    live: dict[str, LiveTable]
    row_keys: dict[str, RowKeys]
    waiting: WaitingRecords
    rejects: OpenRejects
    warnings: CellWarnings
    run_id: int
    matching: Matching


@dataclass
class RunContext:
    """One run, opened by `open_run`."""

    settings: Settings
    mapping: Mapping
    sessions: LoadSessions
    letters: Letters
    live: dict[str, LiveTable]
    row_keys: dict[str, RowKeys]
    # Left by earlier runs: records that wait for rows, rejected records, cells that were left out.
    waiting: WaitingRecords
    rejects: OpenRejects
    warnings: CellWarnings
    run_id: int
    # Records that resemble rows which belong to no record.
    matching: Matching
    outcome: Outcome
    # In a load that only compares.
    comparison: Comparison | None = None
    # By table.
    counts: dict[str, Counts] = field(default_factory=dict)
    rejected: int = 0
    # Whether a person allowed this run to reject more than `max_bad_records`.
    may_reject_any: bool = False
    # Accounts whose lock this run holds.
    accounts: set[int] = field(default_factory=set)
    _entries: dict[str, list[str]] = field(default_factory=dict)
    # Whether the locks were released once, and the last run of others that was taken into account.
    _let_go: bool = False
    _last_other: int = 0

    @property
    def connection(self) -> PinnedConnection:
        """The session of the run."""
        return self.sessions.first

    @property
    def schema(self) -> str:
        """The schema of the loader's own tables."""
        return self.settings.crm_schema

    def commit(self) -> None:
        """Commit, except in a dry run, which is one transaction."""
        if not self.settings.dry_run:
            self.connection.commit()

    def entries_of(self, stream: str) -> list[str]:
        """The mapped streams that receive the records of a stream of the input; for a reject, the mapped stream
        itself."""
        found = self._entries.get(stream)
        if found is None:
            found = [name for name, live in self.live.items() if live.mapping.reads == stream]
            found = self._entries[stream] = found or [name for name in (stream,) if name in self.live]
        return found

    def reads(self, stream: str | None) -> str:
        """The stream of the input from which a mapped one reads."""
        live = self.live.get(stream or "")
        return live.mapping.reads if live is not None else stream or ""

    def count(self, stream: str) -> Counts:
        """The counts of a mapped stream's table."""
        return self.counts.setdefault(self.live[stream].mapping.table, Counts())

    def counts_document(self) -> dict[str, dict[str, int]]:
        """The counts by table as `sync_runs.counts` holds them."""
        return {name: asdict(counts) for name, counts in sorted(self.counts.items())}

    def write_counts(self) -> None:
        """Store the counts so far. The caller commits."""
        runs.write_counts(self.connection, self.schema, self.run_id, self.counts_document())

    def refuse_if_strict(self, stream: str | None, problem: Problem, amo_id: int | None = None) -> None:
        """Stop at a rejected record if the settings require it.

        Raises:
            StrictError: `on_bad_record` is `fail`.
        """
        if self.settings.on_bad_record == "fail":
            found = {"stream": stream, "record": amo_id, "problem": problem.text(), "why": problem.code}
            raise StrictError.of("E_STRICT", **found)

    def refuse_too_many(self) -> None:
        """Stop if too many records were rejected.

        Raises:
            TooManyRejectsError: more than `max_bad_records`, and nobody allowed it.
        """
        most = self.settings.max_bad_records
        if self.rejected <= most or self.may_reject_any:
            return
        given = {"run": self.run_id, "code": "E_TOO_MANY_REJECTS", "table": "", "column": "", "number": self.rejected}
        literals = {name: sql.Literal(value) for name, value in given.items()}
        statement = query("permissions.sql", "use", self.schema, **literals)
        self.may_reject_any = self.connection.execute(statement).fetchone() is not None
        self.commit()
        if not self.may_reject_any:
            raise TooManyRejectsError.of("E_TOO_MANY_REJECTS", number=self.rejected, most=most, schema=self.schema)

    def lock_accounts(self, accounts: set[int]) -> None:
        """Allow one load at a time for an account; accounts do not block one another.

        Raises:
            BusyError: another load of an account did not end within `lock_timeout_seconds`.
        """
        fresh = sorted(accounts - self.accounts)
        for account in fresh:
            self.sessions.hold(account)
            self.accounts.add(account)
        if not fresh:
            return
        if self._let_go:
            self._see_others()
        runs.note_accounts(self.connection, self.schema, self.run_id, self.accounts)
        self.commit()

    def let_others_work(self) -> None:
        """Between two turns of a load that continues: give the accounts' locks back, so that people and other loads can
        work. `lock_accounts` takes them again."""
        if self.accounts and not self.settings.dry_run:
            self.sessions.let_go()
            self.commit()
            self.accounts.clear()
            self._let_go = True

    def _see_others(self) -> None:
        """Read again what other runs may have closed or opened meanwhile."""
        last = runs.last_of_others(self.connection, self.schema, self.run_id)
        if last <= self._last_other:
            return
        self._last_other = last
        self.waiting.load(self.schema)
        self.rejects = OpenRejects(self.connection, self.schema)
        self.warnings.refresh(self.connection)
        self.matching.refresh()


def open_run(settings: Settings, database: Database, kind: str, comparison: Comparison | None = None) -> RunContext:
    """Connect, create missing tables, check the mapping against the database, and open the run.

    Raises:
        MappingError: the mapping does not fit the database.
        DatabaseError: the database can't be reached.
    """
    mapping = load_mapping(settings.mapping_file)
    sessions = LoadSessions(settings, database)
    try:
        letters = Letters(sessions.first.info.parameter_status("server_encoding"))
        begun = when_free(
            sessions.first,
            settings.lock_timeout_seconds,
            lambda: _begin(settings, mapping, sessions, database, kind, letters),
        )
    except BaseException:
        sessions.close()
        raise
    tables = {stream: live.mapping.table for stream, live in begun.live.items()}
    outcome = Outcome(settings.crm_schema, begun.run_id, tables)
    return RunContext(settings, mapping, sessions, letters, *begun, outcome=outcome, comparison=comparison)


def _begin(
    settings: Settings, mapping: Mapping, sessions: LoadSessions, database: Database, kind: str, letters: Letters
) -> _Begun:
    """The first transaction of a run; it may be repeated from its beginning."""
    connection, schema = sessions.first, settings.crm_schema
    database.prepare(connection, builtin=mapping.builtin, commit=not settings.dry_run)
    database.use_staging(connection)
    live = check_mapping(connection, mapping, schema)
    database.use_zone(connection, next(iter(naive_columns(live)), None))
    row_keys = find_row_keys(connection, live)
    waiting = WaitingRecords(settings, live, sessions)
    waiting.load(schema)
    rejects, warnings = OpenRejects(connection, schema), CellWarnings(connection, schema)
    run_id = runs.begin_run(connection, schema, kind)
    matching = Matching(settings, live, lambda: sessions.first, run_id, letters)
    if not settings.dry_run:
        connection.commit()
    sessions.belongs_to(run_id)
    return _Begun(live, row_keys, waiting, rejects, warnings, run_id, matching)
