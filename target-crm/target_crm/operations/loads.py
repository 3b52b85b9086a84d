"""Loads that an operation runs beside its own session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from target_crm.database.connection import Database
from target_crm.operations.session import Session


@contextmanager
def database_of(session: Session) -> Iterator[Database]:
    """The session's database, which stays open; another holder would stop the embedded server under the session."""
    if session.database is not None:
        yield session.database
        return
    with Database(session.settings) as database:
        yield database
