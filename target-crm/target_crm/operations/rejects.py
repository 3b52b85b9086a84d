"""Rejects: records that were put aside, tried again or dropped."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from target_crm.database import Database
from target_crm.load import Load
from target_crm.operations.session import Row, Session

S = sql.SQL


def find_rejects(
    session: Session, *, ids: Sequence[int] | None = None, resolved: bool = False, after: int = 0, limit: int = 50
) -> list[Row]:
    """Rejects with an id above `after`, open ones unless `resolved`."""
    return session.rows(
        S(
            "SELECT * FROM {} WHERE (resolved_at IS NULL OR %s) AND id > %s AND (%s::bigint[] IS NULL OR id = ANY(%s)) "
            "ORDER BY id LIMIT %s"
        ).format(session.control("sync_rejects")),
        resolved,
        after,
        None if ids is None else list(ids),
        None if ids is None else list(ids),
        limit,
    )


def retry(session: Session, ids: Sequence[int] | None = None) -> tuple[int, int, int]:
    """Load open rejects again, the same way as any record; run, how many were tried, how many are still bad.

    Those that are bad again are put aside anew, with what is wrong now; the old entries are closed.
    """
    waiting = find_rejects(session, ids=ids, limit=1_000_000)
    tried = [r for r in waiting if r["stream"] and r["record"]]
    with Database(session.settings) as database:
        load = Load(session.settings, database, kind="retry")
        status, error = "failed", None
        try:
            for reject in tried:
                if load.knows(reject["stream"]):
                    load.add(reject["stream"], reject["record"].encode("utf-8", "surrogatepass"))
                else:
                    load.reject(reject["stream"], reject["record"].encode(), "the mapping knows no such stream")
            load.drain()
            status = "succeeded"
        except Exception as fault:
            error = str(fault)
            raise
        finally:
            load.finish(status, error)
    _close(session, [r["id"] for r in tried], f"retried in run {load.run_id}")
    return load.run_id, len(tried), load.rejected


def drop(session: Session, ids: Sequence[int], reason: str) -> int:
    """Close open rejects with a reason; how many."""
    return _close(session, ids, f"dropped: {reason}")


def _close(session: Session, ids: Sequence[int], resolution: str) -> int:
    closed = session.execute(
        S("UPDATE {} SET resolved_at = now(), resolution = %s WHERE id = ANY(%s) AND resolved_at IS NULL").format(
            session.control("sync_rejects")
        ),
        resolution,
        list(ids),
    )
    session.connection.commit()
    return closed
