"""Tries an operation until nobody is in its way: other sessions' row locks are waited for without hindering loads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg

from target_crm.errors import BusyError

logger = logging.getLogger("target-crm")
Result = TypeVar("Result")
# One wait for a lock within an attempt. Shorter than PostgreSQL's deadlock_timeout (1 s): who would be in a deadlock
# with us gets the row when we give up, and is not the one who is cancelled.
LOCK_WAIT_SECONDS = 0.5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
# A row that something refers to went away between the look and the write. More than that is not a coincidence.
_MOST_BROKEN_LINKS = 3

_IN_THE_WAY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)


class RowsHeldError(BusyError):
    """Another session holds rows of an operation and did not release them in time."""


def until_free(attempt: Callable[[float], Result], what: str, patience: float) -> Result:
    """Run `attempt` again and again until no lock is in its way; it gets the seconds that are left.

    Each attempt is to take its locks, do its work, and leave nothing behind when it fails.

    Args:
        attempt: The operation in one transaction.
        what: How messages call it, as `Undoing run 7`.
        patience: Seconds (`lock_timeout_seconds`).

    Raises:
        RowsHeldError: the rows did not become free in time.
        psycopg.Error: as the attempt.
    """
    deadline = time.monotonic() + patience
    pause, broken, told = _FIRST_PAUSE, 0, False
    while True:
        try:
            return attempt(max(deadline - time.monotonic(), 0.0))
        except psycopg.errors.ForeignKeyViolation:
            broken += 1
            if broken > _MOST_BROKEN_LINKS:
                raise
        except _IN_THE_WAY:
            left = deadline - time.monotonic()
            if left <= 0:
                raise RowsHeldError.of("E_ROWS_HELD", seconds=f"{patience:g}") from None
            if not told:
                logger.info("%s waits for rows that another session holds, at most %.0f seconds.", what, left)
                told = True
            pause = min(pause * 2, _LONGEST_PAUSE)
        time.sleep(max(min(pause, deadline - time.monotonic()), 0.0))
