"""The queue between the receiver of webhooks and the tap: a file of SQLite, or a table in a PostgreSQL database."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from tap_amocrm.config.private_files import check_file
from tap_amocrm.config.user_path import user_path
from tap_amocrm.errors import ConfigError
from tap_amocrm.hooks.hints import Hint

if TYPE_CHECKING:
    import psycopg

# What nobody reads must not fill a disk: beyond this many hints new ones are dropped, and the poll finds the rest.
MOST_WAITING = 50_000
_TAKEN_AT_ONCE = 1000
_SECONDS_TO_CONNECT = 5
# The receiver has two seconds for its answer.
_SECONDS_FOR_LOCK = 0.7
# How often a file is looked at for hints of others: SQLite tells nobody.
_SECONDS_BETWEEN_LOOKS = 0.05
# Where a database tells of new hints.
_CHANNEL = "amocrm_hooks"


class QueueError(Exception):
    """The queue can't be used at the moment; says why, without secrets."""


class Queue(Protocol):
    """Hints that wait to be read; safe to use from several threads and processes."""

    def put(self, hints: Sequence[Hint]) -> None:
        """Add hints. Raises QueueError."""
        ...

    def take(self) -> tuple[int, list[Hint]]:
        """The hints that have waited longest, each once, and a number for `done`. Raises QueueError."""
        ...

    def done(self, number: int) -> None:
        """Hints up to a number of `take` have been read. Raises QueueError."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait until others put hints, at most for these seconds; may end sooner. Raises QueueError."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


def open_queue(given: str, api_url: str) -> Queue:
    """The queue that a setting names, for one account.

    Raises:
        ConfigError: the setting is wrong, or a package is missing.
    """
    account = urlsplit(api_url).netloc.rpartition("@")[2].lower()
    if given.startswith(("postgresql://", "postgres://")):
        return PostgresQueue(given, account)
    if "://" in given:
        msg = "Setting hooks_queue: the value must be the path of a file or a postgresql:// URL."
        raise ConfigError(msg, setting="hooks_queue", problem="format")
    return FileQueue(user_path("hooks_queue", given), account)


_MAKE = (
    "CREATE TABLE IF NOT EXISTS amocrm_hooks (id {identity}, account text NOT NULL, kind text NOT NULL, "
    "record_id bigint NOT NULL)"
)
_COUNT = "SELECT count(*) FROM amocrm_hooks WHERE account = {0}"
_PUT = "INSERT INTO amocrm_hooks (account, kind, record_id) VALUES ({0}, {0}, {0})"
_TAKE = "SELECT id, kind, record_id FROM amocrm_hooks WHERE account = {0} ORDER BY id LIMIT {0}"
_DONE = "DELETE FROM amocrm_hooks WHERE account = {0} AND id <= {0}"


def _taken(rows: Sequence[Any]) -> tuple[int, list[Hint]]:
    last = max((int(row[0]) for row in rows), default=0)
    return last, list(dict.fromkeys(Hint(str(row[1]), int(row[2])) for row in rows))


class FileQueue:
    """A queue in a file that belongs to this user alone.

    Raises:
        ConfigError: the file can't be used.
    """

    def __init__(self, path: Path, account: str) -> None:
        self._path, self._account = path, account
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            check_file(path)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            with closing(self._open()) as connection, connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(_MAKE.format(identity="integer PRIMARY KEY AUTOINCREMENT"))
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            msg = f"Setting hooks_queue: {path} can't be used: {reason}."
            raise ConfigError(msg, setting="hooks_queue", problem="unusable") from None
        self._reader: sqlite3.Connection | None = None
        self._taken_at: int | None = None

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_SECONDS_FOR_LOCK, check_same_thread=False)

    def put(self, hints: Sequence[Hint]) -> None:
        """Add hints."""
        try:
            with closing(self._open()) as connection, connection:
                (waiting,) = connection.execute(_COUNT.format("?"), (self._account,)).fetchone()
                some = hints[: max(0, MOST_WAITING - waiting)]
                connection.executemany(_PUT.format("?"), [(self._account, *hint) for hint in some])
        except sqlite3.Error as error:
            raise QueueError(str(error)) from None

    def take(self) -> tuple[int, list[Hint]]:
        """The hints that have waited longest."""
        try:
            self._reader = self._reader or self._open()
            self._taken_at = self._version(self._reader)
            return _taken(self._reader.execute(_TAKE.format("?"), (self._account, _TAKEN_AT_ONCE)).fetchall())
        except sqlite3.Error as error:
            raise QueueError(str(error)) from None

    def done(self, number: int) -> None:
        """Hints up to a number have been read."""
        try:
            self._reader = self._reader or self._open()
            with self._reader:
                self._reader.execute(_DONE.format("?"), (self._account, number))
        except sqlite3.Error as error:
            raise QueueError(str(error)) from None

    @staticmethod
    def _version(reader: sqlite3.Connection) -> int:
        """A number that changes whenever another connection has changed the file."""
        return int(reader.execute("PRAGMA data_version").fetchone()[0])

    def wait(self, seconds: float) -> None:
        """Wait until the file has changed since hints were taken from it."""
        end = time.monotonic() + seconds
        try:
            self._reader = self._reader or self._open()
            while self._version(self._reader) == self._taken_at and (left := end - time.monotonic()) > 0:
                time.sleep(min(left, _SECONDS_BETWEEN_LOOKS))
        except sqlite3.Error as error:
            raise QueueError(str(error)) from None

    def close(self) -> None:
        """Close the file."""
        if self._reader is not None:
            self._reader.close()


class PostgresQueue:
    """A queue in a database, such as the CRM's: table `amocrm_hooks` in the first schema of the search path.

    Raises:
        ConfigError: psycopg is not installed.
    """

    def __init__(self, url: str, account: str) -> None:
        try:
            import psycopg
        except ImportError:
            msg = "Setting hooks_queue: a database requires additional packages: pip install 'tap-amocrm[hooks]'."
            raise ConfigError(msg, setting="hooks_queue", problem="packages") from None
        self._psycopg, self._url, self._account = psycopg, url, account
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        # The connection that listens for new hints.
        self._told: psycopg.Connection[Any] | None = None

    def _run(self, work: Callable[[psycopg.Connection[Any]], Any]) -> Any:
        """Do something over the connection, which is opened again where it was lost."""
        with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._psycopg.connect(
                        self._url, autocommit=True, connect_timeout=_SECONDS_TO_CONNECT, application_name="tap-amocrm"
                    )
                    self._connection.execute("SET lock_timeout = '700ms'")
                    if self._connection.execute("SELECT to_regclass('amocrm_hooks')").fetchone() == (None,):
                        identity = "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
                        self._connection.execute(_MAKE.format(identity=identity))
                return work(self._connection)
            except self._psycopg.Error as error:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                # The driver's own text may hold the address.
                raise QueueError(f"the database of hooks_queue: {type(error).__name__}") from None

    def put(self, hints: Sequence[Hint]) -> None:
        """Add hints."""

        def put(connection: psycopg.Connection[Any]) -> None:
            row = connection.execute(_COUNT.format("%s"), (self._account,)).fetchone()
            some = hints[: max(0, MOST_WAITING - (row[0] if row else 0))]
            with connection.cursor() as cursor:
                cursor.executemany(_PUT.format("%s"), [(self._account, *hint) for hint in some])
            connection.execute("SELECT pg_notify(%s, '')", (_CHANNEL,))

        self._run(put)

    def take(self) -> tuple[int, list[Hint]]:
        """The hints that have waited longest."""
        statement, values = _TAKE.format("%s"), (self._account, _TAKEN_AT_ONCE)
        return _taken(self._run(lambda connection: connection.execute(statement, values).fetchall()))

    def done(self, number: int) -> None:
        """Hints up to a number have been read."""
        self._run(lambda connection: connection.execute(_DONE.format("%s"), (self._account, number)))

    def wait(self, seconds: float) -> None:
        """Wait until the database tells of new hints. Behind a pooler of transactions it does not: time passes then."""

        def wait(connection: psycopg.Connection[Any]) -> None:
            if self._told is not connection:
                connection.execute(f"LISTEN {_CHANNEL}")
                self._told = connection
                return  # what was put before that is taken first
            for _ in connection.notifies(timeout=seconds, stop_after=1):
                pass

        self._run(wait)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
