"""The database sessions of a load: as many as can be had, and opened again when one was closed while it was idle."""

from __future__ import annotations

import logging
from contextlib import suppress

import psycopg

from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.database.errors import is_lost
from target_crm.database.session import PinnedConnection
from target_crm.errors import BusyError, TooManyConnectionsError
from target_crm.load import runs

logger = logging.getLogger("target-crm")


class LoadSessions:
    """The first session holds the run's and the accounts' locks and writes what belongs to the run; the others merge,
    and are opened when there is enough to merge: most loads bring little.

    Raises:
        DatabaseError: not even one session can be had.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._run_id: int | None = None
        self._accounts: set[int] = set()
        self.all: list[PinnedConnection] = [database.connect()]
        # How many there may be; nothing is shared in a dry run, which is one transaction.
        self._most = 1 if settings.dry_run else settings.parallel_merges

    @property
    def first(self) -> PinnedConnection:
        """The session of the run."""
        return self.all[0]

    @property
    def most(self) -> int:
        """How many sessions there may be (`parallel_merges`)."""
        return self._most

    def open_more(self) -> None:
        """Open all that there may be; where no more are allowed the load continues with fewer.

        Raises:
            DatabaseError: the server can't be reached any more, or not to a session of our own.
        """
        while len(self.all) < self._most and self._database.has_room:
            try:
                self.all.append(self._database.connect(name="target-crm merge"))
            except TooManyConnectionsError as error:
                logger.info("%s The load continues with %d of %d connections.", error, len(self.all), self._most)
                self._most = len(self.all)

    def belongs_to(self, run_id: int) -> None:
        """From now on the first session is that of a run."""
        self._run_id = run_id

    def hold(self, account: int) -> None:
        """Take the account's lock, now and whenever the session has to be opened again.

        Raises:
            BusyError: another load of it did not end within `lock_timeout_seconds`.
        """
        self._lock(account)
        self._accounts.add(account)

    def let_go(self) -> None:
        """Give the accounts' locks back: others may work on them. The caller commits."""
        for account in self._accounts:
            runs.unlock_account(self.first, self._settings.crm_schema, account)
        self._accounts.clear()

    def _lock(self, account: int) -> None:
        settings = self._settings
        patience = settings.lock_timeout_seconds
        runs.lock_account(self.first, settings.crm_schema, account, patience, keep_open=settings.dry_run)

    def renew(self) -> bool:
        """Check all sessions between two batches, and open those again that were closed; whether there were any.

        A dry run, whose one transaction is lost then, is left as it is.

        Raises:
            BusyError: another load of an account has run since.
            DatabaseError: no session can be had, or not one of our own.
        """
        if self._settings.dry_run:
            return False
        closed = [number for number, session in enumerate(self.all) if not _is_alive(session)]
        for number in closed:
            self.all[number].close()
            name = "target-crm merge" if number else "target-crm"
            self.all[number] = self._database.connect(name=name)
            if not number:
                self._take_up()
        if closed:
            logger.info("%d idle connections had been closed and were opened again.", len(closed))
        return bool(closed)

    def _take_up(self) -> None:
        """Be the run's session again: nobody must have worked on its accounts since."""
        if self._run_id is None:
            return
        schema = self._settings.crm_schema
        for account in sorted(self._accounts):
            self._lock(account)
        runs.reopen_run(self.first, schema, self._run_id)
        later = runs.find_later_run(self.first, schema, self._run_id, self._accounts)
        self.first.commit()
        if later is not None:
            msg = (
                f"The connection to the database was lost, and run {later} has worked on the same account since. This "
                "run stops, because its remaining data may be older. Run it again."
            )
            raise BusyError(msg)

    def renew_to_close(self) -> None:
        """Open the first session once more if need be, only for the run to be closed.

        Raises:
            DatabaseError: it can't be had.
        """
        if self._settings.dry_run or _is_alive(self.first):
            return
        self.first.close()
        self.all[0] = self._database.connect()

    def cancel(self) -> None:
        """Stop what the sessions are doing."""
        for session in self.all:
            with suppress(psycopg.Error):
                # Not cancel(): it waits without end for a server that is gone.
                session.cancel_safe(timeout=5)

    def close(self) -> None:
        """Close all sessions."""
        for session in self.all:
            session.close()


def _is_alive(session: PinnedConnection) -> bool:
    """Whether the session is there.

    Raises:
        DatabaseError: it is not ours: a pooler in transaction mode is in between.
    """
    if session.closed:
        return False
    try:
        session.rollback()
        session.verify()
        session.commit()
    except psycopg.Error as error:
        if is_lost(error) or session.closed:
            return False
        raise
    return True
