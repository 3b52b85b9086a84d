"""Loads that an operation runs beside its own session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from target_crm.database.connection import Database
from target_crm.load.load import Load
from target_crm.operations.session import Session
from target_crm.problems import Problem


@contextmanager
def database_of(session: Session) -> Iterator[Database]:
    """The session's database, which stays open; another holder would stop the embedded server under the session."""
    if session.database is not None:
        yield session.database
        return
    with Database(session.settings) as database:
        yield database


def load_again(session: Session, records: Sequence[tuple[str, bytes]]) -> Load:
    """Load records (stream and JSON) in a run of kind `retry`, the same way as any others; the load, finished.

    Raises:
        TargetError: as any load; the run is then closed as failed.
    """
    with database_of(session) as database:
        load = Load.open(session.settings, database, kind="retry")
        status, error, failure = "failed", None, None
        try:
            for stream, record in records:
                if load.knows(stream):
                    load.add(stream, record)
                else:
                    load.reject(stream, record, Problem("E_STREAM_NOT_MAPPED", {"stream": stream}))
            load.drain()
            status = "succeeded"
        except Exception as fault:
            error, failure = str(fault), getattr(fault, "problem", None)
            raise
        finally:
            load.finish(status, error, failure)
    return load
