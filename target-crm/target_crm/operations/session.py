"""An open CRM: the connection, the mapping compared with the live tables, and runs of the operations' own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from target_crm.config.setting_names import nearest
from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.database.lenient import read_everything
from target_crm.database.notify import notify
from target_crm.database.run_setting import work_for
from target_crm.database.schema_version import CURRENT, schema_version
from target_crm.database.session import PinnedConnection
from target_crm.errors import DatabaseError, TargetError
from target_crm.load import runs
from target_crm.mapping.check import LiveTable, check_mapping, naive_columns
from target_crm.mapping.load import load_mapping
from target_crm.mapping.model import Column, ItemSet, Table
from target_crm.operations.attempts import LOCK_WAIT_SECONDS, until_free
from target_crm.sql.queries import query
from target_crm.sql.typed import as_key, as_value, left_as

__all__ = [
    "NotPossibleError",
    "Row",
    "Session",
    "SetTable",
    "UnknownError",
    "as_key",
    "as_value",
    "column_of",
    "json_or_null",
    "left_as",
    "open_session",
    "prepare_session",
    "session_over",
]
Row = dict[str, Any]
Result = TypeVar("Result")
Statement = sql.SQL | sql.Composed


class UnknownError(TargetError):
    """A run, table, row, conflict or reject does not exist."""


class NotPossibleError(UnknownError):
    """The run, conflict or table exists, but the operation is not possible in its present state."""


def _nothing() -> None:
    """Nothing is to be prepared."""


def beside_values(statement: Statement, values: Sequence[Any]) -> Statement:
    """The statement as it is executed with values: a per cent sign in a name or a literal is not a placeholder."""
    return statement if not values or isinstance(statement, sql.SQL) else _escaped(statement)


def _escaped(statement: sql.Composed) -> sql.Composed:
    parts: list[sql.Composable] = []
    for part in statement:
        if isinstance(part, sql.Composed):
            parts.append(_escaped(part))
        elif isinstance(part, sql.SQL):
            parts.append(part)
        else:
            text = part.as_string()
            parts.append(sql.SQL(text.replace("%", "%%")) if "%" in text else part)
    return sql.Composed(parts)


@dataclass(frozen=True)
class SetTable:
    """A related table that holds a set, and the table that it belongs to."""

    live: LiveTable
    item_set: ItemSet
    parent: LiveTable


@dataclass
class Session:
    """Everything an operation needs. `tables` are in the order in which links point backwards."""

    settings: Settings
    connection: PinnedConnection
    tables: dict[str, LiveTable] = field(default_factory=dict)
    sets: dict[str, SetTable] = field(default_factory=dict)
    # Open as long as the session is: a second holder of the embedded server would stop it when done.
    database: Database | None = None
    # Who works with it, as they call themselves: kept with decisions and undos.
    made_by: str | None = None

    @property
    def item_sets(self) -> list[SetTable]:
        """Every set of every table; two of them may share a related table."""
        return [
            SetTable(live.sets[item_set.name], item_set, live)
            for live in self.tables.values()
            for item_set in live.mapping.sets
        ]

    def control(self, name: str) -> sql.Identifier:
        """One of the loader's own tables."""
        return sql.Identifier(self.settings.crm_schema, name)

    def query(self, file: str, name: str, **slots: sql.Composable) -> sql.Composed:
        """A statement of a `.sql` file (`sql.queries`), on the loader's own tables."""
        return query(file, name, self.settings.crm_schema, **slots)

    def rows(self, statement: Statement, *values: Any) -> list[Row]:
        """Rows as dictionaries."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            found: list[Row] = cursor.execute(beside_values(statement, values), values or None).fetchall()
            return found

    def execute(self, statement: Statement, *values: Any) -> int:
        """Run a statement; how many rows it touched."""
        return int(self.connection.execute(beside_values(statement, values), values or None).rowcount)

    def execute_all(self, statements: Iterable[Statement]) -> None:
        """Run statements one after another."""
        for statement in statements:
            self.execute(statement)

    def table(self, name: str) -> LiveTable:
        """A mapped table by its name.

        Raises:
            UnknownError: no stream is mapped to it.
        """
        found = self.tables.get(name)
        if found is None:
            known = list(self.tables)
            without_schema = next((one for one in known if one.rpartition(".")[2] == name), None)
            meant = without_schema or nearest(name, known)
            raise UnknownError.of("E_TABLE_UNKNOWN", table=name, nearest=meant, known=known)
        return found

    def run(
        self,
        kind: str,
        work: Callable[[int], Result],
        *,
        accounts: Collection[int],
        prepare: Callable[[], None] = _nothing,
        undoes: int | None = None,
    ) -> Result:
        """Do work in a separate run in `sync_runs`, in one transaction: all of what it does happens, or nothing.

        No load of these accounts runs meanwhile: it would compare with what is being put back. Loads of others
        continue.
        While rows are held by another session, or after a deadlock, nothing is locked; then all is tried again.

        Args:
            kind: What `sync_runs.kind` says of it.
            work: Gets the run's number; must bear being called again after a failure.
            accounts: Those whose rows it may write (`operations.concerned`).
            prepare: Called before the run is opened, to lock the rows that it is about. What `work` then reads is what
                was committed until the last of them was locked.
            undoes: The run that it undoes.

        Raises:
            RowsHeldError: rows did not become free within `lock_timeout_seconds`.
            BusyError: a load did not end within that time.
        """
        what = f"Undoing run {undoes}" if undoes is not None else f"A run of kind {kind}"

        def attempt(patience: float) -> Result:
            return self._attempt(kind, work, accounts, prepare, undoes, patience)

        return until_free(attempt, what, self.settings.lock_timeout_seconds)

    def _attempt(
        self,
        kind: str,
        work: Callable[[int], Result],
        accounts: Collection[int],
        prepare: Callable[[], None],
        undoes: int | None,
        patience: float,
    ) -> Result:
        schema = self.settings.crm_schema
        try:
            for account in sorted(accounts):
                runs.lock_account(self.connection, schema, account, patience, keep_open=False)
            self.limit_lock_waits()
            prepare()
            run_id = runs.begin_run(self.connection, schema, kind)
            runs.note_accounts(self.connection, schema, run_id, set(accounts))
            if undoes is not None:
                self.execute(
                    sql.SQL("UPDATE {} SET undoes = %s WHERE id = %s").format(self.control("sync_runs")), undoes, run_id
                )
            if self.made_by:
                self.execute(
                    sql.SQL("UPDATE {} SET made_by = %s WHERE id = %s").format(self.control("sync_runs")),
                    self.made_by,
                    run_id,
                )
            done = work(run_id)
            runs.close_run(self.connection, schema, run_id, "succeeded", None)
            notify(self.connection, self.settings.notify_channel, run_id)
            self.connection.commit()
            return done
        except BaseException:
            self.connection.rollback()
            raise
        finally:
            # Also those that were got before one was not to be had: the connection may live on.
            self.connection.execute("SELECT pg_advisory_unlock_all()")
            self.connection.hold_staging()
            work_for(self.connection, None)
            self.connection.commit()

    def limit_lock_waits(self) -> None:
        """Until the transaction ends, give up a lock that does not come soon; `until_free` then tries again."""
        self.connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{LOCK_WAIT_SECONDS * 1000:.0f}ms",))

    def count(self, run_id: int, counts: dict[str, Any]) -> None:
        """Keep what a run did."""
        runs.write_counts(self.connection, self.settings.crm_schema, run_id, counts)


class NothingYetError(UnknownError):
    """No load has run yet: there is nothing to show, and nothing is made in order to show it."""


def require_server(settings: Settings) -> None:
    """Make sure that looking does not make a new embedded database.

    Raises:
        NothingYetError: there is no embedded database yet.
    """
    data_dir = settings.data_dir.expanduser()
    if settings.database_url is None and not (data_dir / "PG_VERSION").exists():
        raise NothingYetError.of("E_NO_DATABASE_YET", folder=str(data_dir.resolve()))


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The database that the settings name; the embedded one only where it exists.

    Raises:
        NothingYetError: there is no embedded database yet.
        ConfigError, DatabaseError: as a load would.
    """
    require_server(settings)
    with Database(settings) as database:
        yield database


@contextmanager
def open_session(settings: Settings) -> Iterator[Session]:
    """Open the CRM that the settings name. Nothing is made in it.

    Raises:
        NothingYetError: no load has run there yet.
        ConfigError, DatabaseError, MappingError: as a load would.
    """
    with open_database(settings) as database:
        connection = database.connect(name="target-crm-admin")
        read_everything(connection)
        try:
            yield prepare_session(settings, database, connection)
        finally:
            connection.close()


def prepare_session(
    settings: Settings, database: Database, connection: PinnedConnection, *, commit: bool = True
) -> Session:
    """A session on a connection; the mapping is compared with its tables. Without `commit` the transaction continues.

    Raises:
        NothingYetError: no load has run there yet.
        ConfigError, DatabaseError, MappingError: as a load would.
    """
    mapping = load_mapping(settings.mapping_file)
    version = schema_version(connection, settings.crm_schema)
    if version is None:
        place = {"schema": settings.crm_schema, "database": connection.info.dbname, "host": connection.info.host}
        raise NothingYetError.of("E_NO_TABLES_YET", **place)
    if version < CURRENT:
        versions = {"version": version, "current": CURRENT}
        raise DatabaseError.of("E_TABLES_OF_EARLIER_VERSION", schema=settings.crm_schema, **versions)
    database.use_staging(connection, sweep=commit)
    live = check_mapping(connection, mapping, settings.crm_schema)
    database.use_zone(connection, next(iter(naive_columns(live)), None))
    if commit:
        connection.commit()
    return session_over(settings, connection, live, database)


def session_over(
    settings: Settings, connection: PinnedConnection, live: Mapping[str, LiveTable], database: Database | None = None
) -> Session:
    """A session on a connection whose tables are known by stream."""
    session = Session(settings, connection, database=database)
    for table in live.values():
        session.tables[table.mapping.table] = table
        for item_set in table.mapping.sets:
            session.sets[item_set.table] = SetTable(table.sets[item_set.name], item_set, table)
    return session


def column_of(table: Table, name: str) -> Column | None:
    """A mapped column by its name."""
    return next((c for c in table.columns if c.name == name), None)


def json_or_null(value: Any) -> Jsonb | None:
    """A value as the journal holds it."""
    return None if value is None else Jsonb(value)
