"""Rows that other sessions have locked: the holders, and the records that wait without delaying the load.

A record whose row is locked is stored completely in sync_warnings, in the transaction that releases its batch's STATE.
It is merged at the end of the run if the row is free by then, otherwise at the end of a later run.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import errors

from target_crm.database.session import PinnedConnection
from target_crm.errors import BusyError
from target_crm.mapping.check import LiveTable
from target_crm.problems import Problem, as_jsonb
from target_crm.records.envelope import SeenRecord
from target_crm.sql import held as statements
from target_crm.sql.queries import query

logger = logging.getLogger("target-crm")
Done = TypeVar("Done")
# Seconds that a merge waits for a row before the wait is reported, and afterwards.
_SECONDS_TO_NOTICE, _SECONDS_TO_LOOK = 5.0, 0.5
# Maximum seconds of the search for records whose merges block one another.
_SECONDS_TO_DIVIDE = 15.0
_SECONDS_BETWEEN_NOTES = 30.0
_MOST_AT_ONCE = 20_000
# Kinds of waiting entries: a whole record, or its deletion; names have no record.
RECORD, DELETION, NAMES = "*", "amo_deleted_at", "sync_lookups"


class Holder(NamedTuple):
    """A locked row, and the session that holds the lock."""

    table: str
    row: str
    session: int = 0
    application: str = "-"
    user: str = "-"
    seconds: float = 0.0

    def told(self) -> str:
        """For a message."""
        since = f", in a transaction of {self.seconds:.0f} s" if self.seconds else ""
        if not self.session:
            return f"row {self.row} of {self.table} is held by another session"
        return (
            f"row {self.row} of {self.table} is held by session {self.session} (application {self.application}, user "
            f"{self.user}{since})"
        )


class Waiting(NamedTuple):
    """What waits for a row. `column` is RECORD, DELETION, or the key of a name; `zone` that of the account."""

    stream: str
    account_id: int
    amo_id: int
    table: str
    column: str
    document: bytes
    zone: str
    holder: Holder | None
    # The reason of the wait, if no session holds the row.
    problem: Problem | None = None

    @property
    def cell(self) -> tuple[int, str, int, str]:
        """The identity of a waiting entry."""
        return self.account_id, self.table, self.amo_id, self.column


@dataclass
class HeldRows:
    """Finds out who holds what, for one run.

    `own` gives the backends of the load's own sessions: what these hold is free in a moment.
    """

    live: dict[str, LiveTable]
    patience: float
    own: Callable[[], set[int]]
    _noticed: bool = False
    _since: dict[str, float] = field(default_factory=dict)
    _told: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long a merge may wait for a lock."""
        return _SECONDS_TO_LOOK if self._noticed else max(min(self.patience, _SECONDS_TO_NOTICE), 0.2)

    def merge_free(
        self,
        connection: PinnedConnection,
        stream: str,
        records: Sequence[SeenRecord],
        merge: Callable[[Sequence[SeenRecord]], Done],
        keep: Callable[[SeenRecord, Holder], None],
    ) -> list[Done]:
        """Merge the records whose rows are free; `keep` receives the others.

        Raises:
            BusyError: the whole table is locked for longer than `lock_timeout_seconds`.
            psycopg.Error: as the merge.
        """
        return self._divide(connection, stream, list(records), merge, keep, time.monotonic() + _SECONDS_TO_DIVIDE)

    def _divide(
        self,
        connection: PinnedConnection,
        stream: str,
        records: list[SeenRecord],
        merge: Callable[[Sequence[SeenRecord]], Done],
        keep: Callable[[SeenRecord, Holder], None],
        deadline: float,
    ) -> list[Done]:
        tried = False
        while records:
            try:
                return [merge(records)]
            except errors.LockNotAvailable as error:
                found = self.find(connection, stream, [record.key for record in records])
                if found is None:
                    continue
                for record in records:
                    if record.key in found:
                        keep(record, found[record.key])
                if found:
                    records = [record for record in records if record.key not in found]
                elif not tried and time.monotonic() < deadline:
                    # It may have been one of our own sessions.
                    tried = True
                elif len(records) == 1 or time.monotonic() > deadline:
                    holder = self.holder_of(connection, error)
                    self._tell(holder)
                    for record in records:
                        keep(record, holder)
                    return []
                else:
                    # A row that some of them reference is locked: these records are found by halving.
                    middle = len(records) // 2
                    halves = records[:middle], records[middle:]
                    done = [self._divide(connection, stream, half, merge, keep, deadline) for half in halves]
                    return [*done[0], *done[1]]
        return []

    def find(
        self, connection: PinnedConnection, stream: str, keys: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], Holder] | None:
        """Which of these records' rows are held, and by whom; None: the table itself was, try again.

        Raises:
            BusyError: the table is locked for longer than `lock_timeout_seconds`.
        """
        self._noticed = True
        live = self.live[stream]
        if not live.mapping.account or not live.mapping.amo_id or live.mapping.match_only:
            return {}
        columns = [key[0] for key in keys], [key[1] for key in keys]
        try:
            with connection.transaction(force_rollback=True):
                self.limit(connection, _SECONDS_TO_LOOK)
                rows = connection.execute(statements.rows_of(live), columns).fetchall()
                free = {row[0] for row in connection.execute(statements.free_rows_of(live), columns)}
                found: dict[tuple[int, int], Holder] = {}
                for row_id, account, amo_id, transaction in rows:
                    if row_id not in free:
                        holder = self._who(connection, live.mapping.table, row_id, transaction)
                        if holder.session not in self.own():
                            found[account, amo_id] = holder
                if not found and (blocker := self._blocker(connection, live)):
                    self._wait_for_table(live, blocker)
                    return None
        except errors.LockNotAvailable:
            with connection.transaction(force_rollback=True):
                blocker = self._blocker(connection, live)
            self._wait_for_table(live, blocker)
            return None
        self._since.pop(live.mapping.table, None)
        for holder in list(found.values())[:3]:
            self._tell(holder)
        return found

    def limit(self, connection: PinnedConnection, seconds: float) -> None:
        """Until the transaction ends, stop waiting for a lock after this time."""
        connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", (f"{seconds * 1000:.0f}ms",))

    def holder_of(self, connection: PinnedConnection, error: psycopg.Error) -> Holder:
        """The row for which a statement waited in vain, if the server names it."""
        place = re.search(r"(\(\d+,\d+\))[^\"]*\"([^\"]+)\"", error.diag.context or "")
        if place is not None:
            for live in self.live.values():
                if live.name == place[2]:
                    with connection.transaction(force_rollback=True):
                        row = connection.execute(statements.row_at(live), (place[1],)).fetchone()
                        if row is not None:
                            return self._who(connection, live.mapping.table, *row)
            return Holder(place[2], "-")
        return Holder("-", "-")

    def _who(self, connection: PinnedConnection, table: str, row_id: str, transaction: str) -> Holder:
        row = connection.execute(statements.HOLDER_OF_TRANSACTION, (transaction,)).fetchone()
        if row is None:
            try:
                with connection.transaction():
                    row = connection.execute(statements.HOLDERS_OF_GROUP, (transaction,)).fetchone()
            except psycopg.Error:
                # No group has that number.
                row = None
        if row is None:
            return Holder(table, row_id)
        session, application, user, seconds = row
        return Holder(table, row_id, session or 0, application, user, seconds or 0.0)

    def _tell(self, holder: Holder) -> None:
        """Log a line, but not too often for one session."""
        key, now = f"{holder.table} {holder.session}", time.monotonic()
        if now - self._told.get(key, -_SECONDS_BETWEEN_NOTES) >= _SECONDS_BETWEEN_NOTES:
            self._told[key] = now
            logger.warning(
                "Waiting: %s. The record is merged when the row is released; meanwhile the load continues.",
                holder.told(),
            )

    def _blocker(self, connection: PinnedConnection, live: LiveTable) -> str | None:
        """The session that blocks writes to a table."""
        name = live.identifier.as_string(connection)
        row = connection.execute(statements.HOLDERS_OF_TABLE, (name,)).fetchone()
        return None if row is None else f"session {row[0]} (application {row[1]}, user {row[2]})"

    def _wait_for_table(self, live: LiveTable, blocker: str | None) -> None:
        table, now, who = live.mapping.table, time.monotonic(), blocker or "another session"
        since = self._since.setdefault(table, now)
        if now - since > self.patience:
            msg = (
                f"Table {table} is locked by {who}, which did not release it within lock_timeout_seconds = "
                f"{self.patience:g}. What was committed stays; run again later."
            )
            raise BusyError(msg)
        if now - self._told.get(table, -_SECONDS_BETWEEN_NOTES) >= _SECONDS_BETWEEN_NOTES:
            self._told[table] = now
            logger.warning(
                "Waiting: table %s is locked by %s; at most %.0f seconds.", table, who, self.patience - now + since
            )
        time.sleep(0.2)


def when_free(connection: PinnedConnection, patience: float, work: Callable[[], Done]) -> Done:
    """Do what a load begins with; tables that others lock are waited for, and the log says for whom.

    `work` is done again from its beginning each time.

    Raises:
        BusyError: a table stayed locked for longer than `patience` seconds (`lock_timeout_seconds`).
    """
    started, noted = time.monotonic(), -_SECONDS_BETWEEN_NOTES
    try:
        while True:
            _limit_session(connection, max(min(patience / 2, _SECONDS_TO_NOTICE), 0.2))
            # A setting of a transaction that is rolled back is lost.
            connection.commit()
            try:
                return work()
            except errors.LockNotAvailable:
                connection.rollback()
                row = connection.execute(statements.LOCKED_TABLES).fetchone()
                connection.rollback()
                what = "A lock is held by another session"
                if row is not None:
                    what = f"Table {row[0]} is locked by session {row[1]} (application {row[2]}, user {row[3]})"
                waited = time.monotonic() - started
                if waited >= patience:
                    msg = (
                        f"{what}, which did not release it within lock_timeout_seconds = {patience:g}. Nothing was "
                        "written; run again later."
                    )
                    raise BusyError(msg) from None
                if waited - noted >= _SECONDS_BETWEEN_NOTES:
                    noted = waited
                    logger.warning("Waiting: %s; at most %.0f seconds.", what, patience - waited)
    finally:
        if not connection.closed:
            is_open = connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE
            _limit_session(connection, max(patience, 0.2))
            if not is_open:
                connection.commit()


def _limit_session(connection: PinnedConnection, seconds: float) -> None:
    with suppress(psycopg.Error):
        connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, false)", (f"{seconds * 1000:.0f}ms",))


def problem_of(holder: Holder) -> Problem:
    """The warning's code and arguments."""
    return Problem(statements.CODE, {"table": holder.table, "row": holder.row, "session": str(holder.session or "-"),
                                     "application": holder.application, "user": holder.user})  # fmt: skip


def write_waiting(connection: PinnedConnection, schema: str, run_id: int, waiting: Sequence[Waiting]) -> None:
    """Store waiting entries, one for each record. The caller commits."""
    if not waiting:
        return
    statement = query("warnings.sql", "write_waiting", schema)
    try:
        with connection.transaction():
            connection.execute(statement, _parameters(run_id, waiting, lambda document: document.decode()))
    except psycopg.DataError:
        # Characters that the database's encoding lacks are stored in another spelling.
        connection.execute(statement, _parameters(run_id, waiting, _armoured))


def _parameters(run_id: int, waiting: Sequence[Waiting], spell: Callable[[bytes], str]) -> tuple[Any, ...]:
    return (
        run_id,
        [w.stream for w in waiting],
        [w.account_id for w in waiting],
        [w.amo_id for w in waiting],
        [w.table for w in waiting],
        [w.holder.row if w.holder else None for w in waiting],
        [w.column for w in waiting],
        [spell(w.document) for w in waiting],
        [as_jsonb({**_why(w).args, "zone": w.zone}) for w in waiting],
        [_why(w).code for w in waiting],
    )


def _why(waiting: Waiting) -> Problem:
    if waiting.problem is not None:
        return waiting.problem
    return problem_of(waiting.holder or Holder(waiting.table, "-"))


def _armoured(document: bytes) -> str:
    return json.dumps({"base64": base64.b64encode(document).decode()})


def read_waiting(connection: PinnedConnection, schema: str, accounts: set[int] | None) -> list[Waiting]:
    """What waits of these accounts (None: of all), the oldest first."""
    wanted = None if accounts is None else sorted(accounts)
    rows = connection.execute(query("warnings.sql", "find_waiting", schema), (wanted, wanted, _MOST_AT_ONCE)).fetchall()
    return [
        Waiting(
            stream,
            account,
            amo_id,
            table,
            column,
            _document(value),
            args.get("zone", "UTC"),
            Holder(table, "-") if code == statements.CODE else None,
            None if code == statements.CODE else Problem(code, args),
        )
        for stream, account, amo_id, table, column, value, args, code in rows
    ]


def _document(value: str) -> bytes:
    if value.startswith('{"base64"'):
        return base64.b64decode(json.loads(value)["base64"])
    return value.encode()


def close_waiting(connection: PinnedConnection, schema: str, cells: Sequence[tuple[int, str, int, str]]) -> None:
    """Close entries that have been loaded. The caller commits."""
    if cells:
        columns = [[cell[place] for cell in cells] for place in range(4)]
        connection.execute(query("warnings.sql", "close_waiting", schema), columns)
