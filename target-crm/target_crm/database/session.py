"""What a session is made of: the settings that our statements rely on, and a token that tells whether it is still ours.

Settings of a role or a database (ALTER ROLE … SET) are made for the CRM's own program; a load must not depend on them.
They are set after connecting and not as start-up options, which poolers refuse.
"""

from __future__ import annotations

import secrets
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import Transaction, pq, sql

from target_crm.database import cluster, staging_tables
from target_crm.database.staging_tables import Staging
from target_crm.errors import DatabaseError

LEAST_VERSION = 130_000
_TOKEN = "target_crm.session"  # noqa: S105 - a parameter's name
_PROBE_SECONDS = 3.0
# By name: the value, and the first version of PostgreSQL that knows it.
_PINNED: dict[str, tuple[str, int]] = {
    # How text, times and numbers are written and read.
    "client_encoding": ("UTF8", 0),
    "standard_conforming_strings": ("on", 0),
    "backslash_quote": ("safe_encoding", 0),
    "datestyle": ("ISO, MDY", 0),
    "intervalstyle": ("postgres", 0),
    "timezone": ("UTC", 0),
    "timezone_abbreviations": ("Default", 0),
    "extra_float_digits": ("1", 0),
    "bytea_output": ("hex", 0),
    "xmlbinary": ("base64", 0),
    "array_nulls": ("on", 0),
    "quote_all_identifiers": ("off", 0),
    # What a statement means.
    "transform_null_equals": ("off", 0),
    "row_security": ("on", 0),
    "check_function_bodies": ("on", 0),
    "exit_on_error": ("off", 0),
    "plan_cache_mode": ("auto", 0),
    # Transactions, and how long anything may take: a load waits by its own limits.
    "default_transaction_isolation": ("read committed", 0),
    "default_transaction_read_only": ("off", 0),
    "default_transaction_deferrable": ("off", 0),
    "statement_timeout": ("0", 0),
    "idle_in_transaction_session_timeout": ("0", 0),
    "idle_session_timeout": ("0", 140_000),
    "transaction_timeout": ("0", 170_000),
    # Compiling a batch's statements costs more than it gives; sorts and hashes of a batch fit into 64 MB.
    "jit": ("off", 0),
    "work_mem": ("64MB", 0),
}
POOLER = (
    "database_url leads to a connection pooler in transaction mode. A load's locks and temporary tables need one "
    "session for all transactions. Name a port or host of session mode in database_url (Supabase: "
    "port 5432; Neon: the host without -pooler; PgBouncer: pool_mode = session). Nothing was written."
)


class _TellingCursor(psycopg.Cursor[Any]):
    """The cursor of a session on Citus: what the other nodes have to know is said when a transaction begins."""

    connection: PinnedConnection

    def execute(self, *args: Any, **kwargs: Any) -> _TellingCursor:
        """As psycopg's."""
        self.connection.tell()
        return super().execute(*args, **kwargs)

    def copy(self, *args: Any, **kwargs: Any) -> Any:
        """As psycopg's."""
        self.connection.tell()
        return super().copy(*args, **kwargs)


class PinnedConnection(psycopg.Connection[Any]):
    """A connection whose session is known by a token."""

    token: str = ""
    # The server's process, also where a pooler gives another number.
    backend: int = 0
    # Whether a second session was to be had when a pooler was probed.
    has_room: bool = True
    # Where its staging tables are; None: they are temporary.
    staging: Staging | None = None
    # On Citus: settings that hold on all nodes, in each transaction.
    everywhere: dict[str, str] | None = None

    def join_cluster(self) -> None:
        """Let what is set within a transaction hold on all nodes of Citus, and set the same in each transaction."""
        self.everywhere = dict(cluster.EVERYWHERE)
        self.cursor_factory = _TellingCursor
        with self.transaction():
            psycopg.Cursor(self).execute("SET citus.propagate_set_commands = 'local'")

    def set_everywhere(self, name: str, value: str) -> None:
        """On Citus: let a setting hold on all nodes, in this transaction and those that come."""
        if self.everywhere is not None:
            self.everywhere[name] = value
            if self.info.transaction_status == pq.TransactionStatus.INTRANS:
                psycopg.Cursor(self).execute(cluster.as_local({name: value}))

    def tell(self) -> None:
        """On Citus: at the beginning of a transaction, say on all nodes what holds in it."""
        if self.everywhere and not self.autocommit and self.info.transaction_status == pq.TransactionStatus.IDLE:
            psycopg.Cursor(self).execute(cluster.as_local(self.everywhere))

    @contextmanager
    def transaction(self, savepoint_name: str | None = None, force_rollback: bool = False) -> Iterator[Transaction]:
        """As psycopg's."""
        begins = self.info.transaction_status == pq.TransactionStatus.IDLE
        with super().transaction(savepoint_name, force_rollback) as begun:
            if begins and self.everywhere:
                psycopg.Cursor(self).execute(cluster.as_local(self.everywhere))
            yield begun

    def stage_in(self, place: Staging | None) -> None:
        """Have the staging tables there; a lock of the session tells others that they are used. The caller commits."""
        self.staging = place
        self.hold_staging()

    def hold_staging(self) -> None:
        """Take that lock, again after all locks were given up."""
        if self.staging is not None:
            staging_tables.hold(self, self.staging.token)

    def close(self) -> None:
        """Close the connection; staging tables in a schema are dropped before."""
        if self.staging is not None and not self.closed:
            place, self.staging = self.staging, None
            with suppress(psycopg.Error):
                self.rollback()
                staging_tables.drop_of(self, place.schema, place.token)
                self.commit()
        super().close()

    def verify(self, lock_seconds: float | None = None) -> None:
        """Check that this transaction runs in the session that was opened; its statements wait so long for a lock.

        Raises:
            DatabaseError: it is another one; a pooler in transaction mode is in between.
            psycopg.OperationalError: the session is gone.
        """
        row = self.execute(
            "SELECT pg_catalog.current_setting(%s, true), pg_catalog.set_config('lock_timeout', "
            "coalesce(%s, pg_catalog.current_setting('lock_timeout')), true)",
            (_TOKEN, lock_seconds and f"{lock_seconds * 1000:.0f}ms"),
        ).fetchone()
        if row is None or row[0] != self.token:
            raise DatabaseError(POOLER)


def pin(connection: PinnedConnection, lock_seconds: float = 0.0, *, probe: bool = False) -> None:
    """Make the session ours: a token, and the settings that every statement relies on; commits.

    `lock_seconds` is how long a statement waits for a lock; 0: without end. With `probe` a pooler is asked by a second
    connection whether it keeps sessions apart; the token tells in each transaction anyway.

    Raises:
        DatabaseError: the server is too old, the session belongs to others as well, or triggers and foreign keys are
            switched off and this role can't switch them on.
        psycopg.Error: the server refused a setting.
    """
    if connection.info.server_version < LEAST_VERSION:
        version = connection.info.server_version
        shown = f"{version // 10_000}" if version >= 100_000 else f"{version // 10_000}.{version // 100 % 100}"
        msg = f"The server is PostgreSQL {shown}; {LEAST_VERSION // 10_000} or newer is needed."
        raise DatabaseError(msg)
    autocommit = connection.autocommit
    # Each statement by itself: a timeout of idle transactions may be as short as a few milliseconds.
    connection.autocommit = True
    try:
        is_pooled, schemas, replication = _take(connection, probe=probe)
        if is_pooled:
            _leave_nothing(connection)
        version = connection.info.server_version
        settings = {name: value for name, (value, since) in _PINNED.items() if version >= since}
        settings["lock_timeout"] = f"{max(0, int(lock_seconds * 1000))}"
        statements = [sql.SQL("SET {} = {}").format(sql.Identifier(n), sql.Literal(v)) for n, v in settings.items()]
        connection.execute(sql.SQL("; ").join([*statements, _search_path(schemas)]))
        if replication != "origin":
            _switch_triggers_on(connection)
        with suppress(psycopg.errors.InvalidParameterValue):
            # Where a pooler's session has had temporary tables before, the size that it has stays.
            connection.execute("SET temp_buffers = '64MB'")
    except psycopg.errors.ProtocolViolation as error:
        if "pooling" not in str(error):
            raise
        raise DatabaseError(POOLER) from None
    connection.autocommit = autocommit


def _take(connection: PinnedConnection, *, probe: bool) -> tuple[bool, list[str], str]:
    """Put a token into the session: whether a pooler is in between, the schemas that are searched, the triggers' role.

    Raises:
        DatabaseError: it holds another client's token, or somebody else finds ours.
    """
    row = connection.execute(
        "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting(%s, true), pg_catalog.current_schemas(false), "
        "pg_catalog.current_setting('session_replication_role')",
        (_TOKEN,),
    ).fetchone()
    assert row is not None
    backend, foreign, schemas, replication = row
    connection.token, connection.backend = secrets.token_hex(8), backend
    connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (_TOKEN, connection.token))
    if not connection.autocommit:
        connection.commit()
    # A pooler gives its clients other keys to cancel by.
    is_pooled = backend != connection.info.backend_pid
    if foreign or (probe and is_pooled and _is_shared(connection)):
        with suppress(psycopg.Error):
            connection.execute("SELECT pg_catalog.set_config(%s, '', false)", (_TOKEN,))
            connection.commit()
        raise DatabaseError(POOLER)
    return is_pooled, list(schemas), str(replication)


def _is_shared(connection: PinnedConnection) -> bool:
    """Whether a second client of the pooler comes into our session, or puts us into another."""
    try:
        second = psycopg.connect(connection.info.dsn, password=connection.info.password, connect_timeout=5)
    except psycopg.Error:
        # No room for a second one: each transaction is checked by the token anyway.
        return False
    try:
        second.pgconn.send_query(f"BEGIN; SELECT pg_catalog.current_setting('{_TOKEN}', true)".encode())
        while second.pgconn.is_busy():
            if not select.select([second.fileno()], [], [], _PROBE_SECONDS)[0]:
                # A pooler in session mode whose sessions are all taken lets it wait.
                connection.has_room = False
                return False
            second.pgconn.consume_input()
        found = None
        while (result := second.pgconn.get_result()) is not None:
            if result.status == pq.ExecStatus.TUPLES_OK:
                found = result.get_value(0, 0)
            elif result.status == pq.ExecStatus.FATAL_ERROR and b"pooling" in (
                result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
            ):
                # Statement mode knows no transactions at all.
                return True
        if found == connection.token.encode():
            return True
        connection.verify()
        if not connection.autocommit:
            connection.commit()
        return False
    except DatabaseError:
        return True
    finally:
        second.pgconn.finish()


def _leave_nothing(connection: PinnedConnection) -> None:
    """Drop what an earlier client of a pooler without server_reset_query may have left."""
    connection.execute("DISCARD TEMP")
    connection.execute("SELECT pg_catalog.pg_advisory_unlock_all()")


def _search_path(schemas: list[str]) -> sql.Composed:
    """The schemas that triggers may rely on, with PostgreSQL's own before them whatever the setting says."""
    names: list[sql.Composable] = [
        sql.Identifier(s) for s in schemas if s != "pg_catalog" and not s.startswith("pg_temp")
    ]
    return sql.SQL("SET search_path = {}").format(sql.SQL(", ").join(names or [sql.Literal("")]))


def _switch_triggers_on(connection: PinnedConnection) -> None:
    try:
        connection.execute("SET session_replication_role = origin")
    except psycopg.errors.InsufficientPrivilege:
        msg = (
            "session_replication_role is set to switch triggers and foreign keys off, and this role can't set it back: "
            "ALTER ROLE … RESET session_replication_role (or ALTER DATABASE) does it."
        )
        raise DatabaseError(msg) from None
