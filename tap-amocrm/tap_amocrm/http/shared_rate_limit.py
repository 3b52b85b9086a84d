"""One limit for processes on several hosts: a bucket in PostgreSQL, by pyrate-limiter (the extra `shared-limit`)."""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING, Any

from tap_amocrm.errors import ConfigError, UnreachableError
from tap_amocrm.http.rate_limit import SlotStore, Throttle

if TYPE_CHECKING:
    import psycopg
    from pyrate_limiter import Limiter

logger = logging.getLogger("tap-amocrm")
# A request is delayed by a few milliseconds between its entry in the bucket and its arrival, which varies.
_MARGIN_MS = 40
# Interval of checks while the bucket is full.
_POLL_SECONDS = 0.015
_SECONDS_TO_CONNECT = 10.0
_SECONDS_WITHOUT_BUCKET = 15.0


class BucketThrottle(Throttle):
    """A throttle whose slots must also be free in a common bucket. It uses the database's clock, not the hosts'.

    Raises:
        ConfigError: the extra is not installed, or the database can't be used.
    """

    def __init__(self, requests_per_second: float, url: str, account: str, store: SlotStore | None = None) -> None:
        super().__init__(requests_per_second, store)
        self._limiter = _limiter(requests_per_second, url, account)
        self._account = account

    def acquire(self) -> float:
        """Wait for a slot that no process of any host has taken; returns the seconds waited.

        Raises:
            UnreachableError: the bucket's database was unavailable for too long.
        """
        started = time.monotonic()
        super().acquire()
        give_up = time.monotonic() + _SECONDS_WITHOUT_BUCKET
        while True:
            try:
                # Each attempt reads the database's time again: an entry is never older than the departure of the
                # request.
                if self._limiter.try_acquire(self._account, blocking=False):
                    return time.monotonic() - started
                give_up = time.monotonic() + _SECONDS_WITHOUT_BUCKET
                time.sleep(_POLL_SECONDS)
            except Exception as error:
                if time.monotonic() > give_up:
                    msg = (
                        f"The database of shared_limit_url is no longer reachable ({type(error).__name__}). Without "
                        f"it the limit can't be shared; the next run continues from the state."
                    )
                    raise UnreachableError(msg, host="shared_limit_url") from None
                time.sleep(0.5)

    def close(self) -> None:
        """Close the connections to the bucket."""
        self._limiter.close()


def _limiter(requests_per_second: float, url: str, account: str) -> Limiter:
    try:
        import psycopg
        from psycopg_pool import ConnectionPool, PoolTimeout
        from pyrate_limiter import Limiter, PostgresBucket, Rate

        from tap_amocrm.http.shared_limit_url import check_shared_limit_url, hide_secrets
    except ImportError:
        msg = "Setting shared_limit_url requires additional packages: pip install 'tap-amocrm[shared-limit]'."
        raise ConfigError(msg, setting="shared_limit_url", problem="packages") from None
    most = max(1, int(requests_per_second))
    second = 1000 * most / requests_per_second
    # The longer rate is the limit; the shorter one spaces requests, so that bursts do not occur.
    rates = [Rate(1, max(1, int(0.8 * second / most))), Rate(most, int(second) + _MARGIN_MS)]
    rates = rates[1:] if most == 1 else rates
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    logging.getLogger("pyrate_limiter").setLevel(logging.CRITICAL)
    check_shared_limit_url(url)
    pool: ConnectionPool[Any] | None = None
    try:
        # The pool does not report why it has no connection, so the first one is made without it.
        psycopg.connect(url, connect_timeout=int(_SECONDS_TO_CONNECT)).close()
        # Statements are not prepared, because they may be missing in the next transaction through a pooler.
        settings = {"prepare_threshold": None, "application_name": "tap-amocrm"}
        pool = ConnectionPool(
            url, min_size=1, max_size=2, timeout=3.0, open=False, kwargs=settings, configure=_configure
        )
        pool.open(wait=True, timeout=_SECONDS_TO_CONNECT)
        bucket = PostgresBucket(pool, table_of(account), rates)
    except (psycopg.Error, PoolTimeout) as error:
        if pool is not None:
            pool.close(0)
        reason = hide_secrets(" ".join(str(error).split()), url).rstrip(".")
        msg = (
            f"Setting shared_limit_url: the database can't be used: {reason}. It must be the postgresql:// URL of a "
            "role that may create a table."
        )
        raise ConfigError(msg, setting="shared_limit_url", problem="unusable") from None
    logger.info("The limit is shared through a database with all processes that name it.")
    return Limiter(bucket)


def _configure(connection: psycopg.Connection[Any]) -> None:
    """The bucket keeps times without a zone, so all sessions must mean the same; its lock needs fresh snapshots.

    Not by start-up options, which poolers refuse.
    """
    from psycopg import IsolationLevel

    connection.isolation_level = IsolationLevel.READ_COMMITTED
    connection.read_only = False
    connection.execute("SET timezone = 'UTC'")
    connection.commit()


def table_of(account: str) -> str:
    """The bucket's name in the database, common to all processes that read an account."""
    return f"tap_amocrm_{hashlib.sha256(account.encode()).hexdigest()[:16]}"
