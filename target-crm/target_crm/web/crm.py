"""The CRM as the page needs it: a pool of connections, and the mapping compared with the tables once in a while."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import resources
from types import TracebackType
from typing import Any

import psycopg
from psycopg import sql
from psycopg_pool import ConnectionPool

from target_crm.config.settings import Settings
from target_crm.database.connection import Database, connection_settings, lock_seconds
from target_crm.database.lenient import read_everything
from target_crm.database.schema_version import schema_version
from target_crm.database.session import PinnedConnection
from target_crm.operations.conflict_lists import text_indexes
from target_crm.operations.conflicts import rule_indexes
from target_crm.operations.search import search_indexes
from target_crm.operations.session import NothingYetError, Session, prepare_session, require_server
from target_crm.operations.trigrams import install_trigrams
from target_crm.operations.users import User, find_user, has_users

logger = logging.getLogger("target-crm")
# Somebody waits before the screen: a load that is under way is named, and not waited for as long as by another load.
_PATIENCE_SECONDS = 10.0
_TABLES_GOOD_FOR_SECONDS = 60.0
_MOST_CONNECTIONS = 8
# Requests without a session do not make a query each time.
_PEOPLE_GOOD_FOR_SECONDS = 5.0
# How long a request waits for a connection before the reader learns that the database can't be reached.
POOL_SECONDS = 15.0


class Crm:
    """An open CRM; use it as a context.

    Raises:
        NothingYetError: there is no embedded database yet.
        ConfigError, DatabaseError, MappingError: as a load would.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = replace(settings, lock_timeout_seconds=min(settings.lock_timeout_seconds, _PATIENCE_SECONDS))
        self._database = Database(settings)
        self._pool: ConnectionPool[PinnedConnection] | None = None
        self._known: Session | None = None
        self._checked = 0.0
        self._has_people, self._counted = False, -_PEOPLE_GOOD_FOR_SECONDS
        self._lock = threading.Lock()

    def __enter__(self) -> Crm:
        require_server(self.settings)
        self._database.__enter__()
        try:
            with self._database.connect(name="target-crm-admin serve") as connection, suppress(NothingYetError):
                prepare_session(self.settings, self._database, connection)
            self._pool = ConnectionPool(
                self._database.url,
                min_size=1,
                max_size=_MOST_CONNECTIONS,
                kwargs=connection_settings(self._database.url, "target-crm-admin serve"),
                connection_class=PinnedConnection,
                configure=self._configure,
                check=ConnectionPool.check_connection,
                timeout=POOL_SECONDS,
                open=True,
            )
        except BaseException:
            self._database.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.close(timeout=5)
        self._database.__exit__(kind, error, trace)

    def _configure(self, connection: PinnedConnection) -> None:
        self._database.configure(connection, lock_seconds(self.settings))
        read_everything(connection)

    @contextmanager
    def session(self, *, before_first_load: bool = False) -> Iterator[Session]:
        """A session of its own for one request; what the request did not commit is rolled back.

        `before_first_load` shows the tables as the first load would make them, where there are none.
        """
        assert self._pool is not None
        with self._pool.connection() as connection:
            try:
                known = self._tables(connection)
            except NothingYetError:
                if not before_first_load:
                    raise
                self._database.prepare(connection, builtin=self.settings.mapping_file is None, commit=False)
                known = prepare_session(self.settings, self._database, connection, commit=False)
            yield Session(self.settings, connection, known.tables, known.sets, self._database)
            connection.rollback()

    def _tables(self, connection: PinnedConnection) -> Session:
        """The mapped tables, looked at again when a minute has passed: somebody may have altered them."""
        with self._lock:
            if self._known is None or time.monotonic() - self._checked > _TABLES_GOOD_FOR_SECONDS:
                self._known = prepare_session(self.settings, self._database, connection)
                self._checked = time.monotonic()
            return self._known

    def has_people(self) -> bool:
        """Whether anybody has their own name and password, as of a few seconds ago."""
        if time.monotonic() - self._counted > _PEOPLE_GOOD_FOR_SECONDS:
            with suppress(NothingYetError), self._people() as session:
                self._has_people = has_users(session)
            self._counted = time.monotonic()
        return self._has_people

    def person(self, name: str) -> User | None:
        """The person of a name."""
        with suppress(NothingYetError), self._people() as session:
            return find_user(session, name)
        return None

    @contextmanager
    def _people(self) -> Iterator[Session]:
        """A session for `sync_users`; a role that may not read it knows nobody, which is logged."""
        try:
            with self.session() as session:
                yield session
        except psycopg.errors.InsufficientPrivilege:
            logger.warning("The database role may not read sync_users, so users can't log in with their own passwords.")

    def make_indexes(self, tell: Callable[[str], None]) -> None:
        """Make the indexes that large tables need, where they are missing; without the right to, it is said."""
        schema = self.settings.crm_schema
        with self._database.connect(autocommit=True, name="target-crm-admin serve") as connection:
            if schema_version(connection, schema) is None:
                return
            install_trigrams(Session(self.settings, connection), tell)
            for name, statement in self._indexes(connection).items():
                if _is_valid(connection, schema, name):
                    continue
                tell(f"Creating the index {name}; waiting for running loads ...")
                try:
                    # What an earlier start left half made is not an index.
                    connection.execute(
                        sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(schema, name))
                    )
                    connection.execute(statement)
                except psycopg.errors.InsufficientPrivilege:
                    tell(
                        f"The database role does not own the tables in {schema}, so the indexes of the page can't be "
                        "created, and with many changes its lists are slow. Start serve once with the owner's role."
                    )
                    return

    def _indexes(self, connection: PinnedConnection) -> dict[str, sql.Composed]:
        """By name, what the page needs."""
        text = resources.files("target_crm.sql").joinpath("review.sql").read_text("utf-8")
        found: dict[str, sql.Composed] = {}
        for statement in re.sub(r"--[^\n]*", "", text).split(";"):
            if named := re.search(r"IF NOT EXISTS (\w+)", statement):
                found[named[1]] = sql.SQL(statement).format(schema=sql.Identifier(self.settings.crm_schema))
        session = Session(self.settings, connection)
        found |= rule_indexes(session) | text_indexes(session)
        if self.settings.mapping_file is None:
            session.tables = self._tables(connection).tables
            found |= search_indexes(session)
        return found


def _is_valid(connection: psycopg.Connection[Any], schema: str, index: str) -> bool:
    row = connection.execute(
        "SELECT i.indisvalid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid "
        "JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
        (schema, index),
    ).fetchone()
    return row is not None and bool(row[0])
