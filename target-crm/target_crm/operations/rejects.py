"""Rejects: records that were rejected, tried again or dropped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from psycopg import sql

from target_crm.operations.listed import count_up_to, find_listed, fits
from target_crm.operations.loads import load_again
from target_crm.operations.session import Row, Session

S = sql.SQL


def find_rejects(
    session: Session,
    *,
    ids: Sequence[int] | None = None,
    stream: str | None = None,
    run: int | None = None,
    code: str | None = None,
    resolved: bool = False,
    after: int = 0,
    limit: int = 50,
) -> list[Row]:
    """Rejects with an id above `after`, open ones unless `resolved`."""
    wanted = {"id": None if ids is None else list(ids), "stream": stream, "run_id": run, "code": code}
    return find_listed(session, "sync_rejects", fits(resolved=resolved, **wanted), after=after, limit=limit)


def read_record(text: str | None) -> dict[str, Any]:
    """A rejected record out of its text; empty for anything else."""
    try:
        found = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    if isinstance(found, dict) and isinstance(found.get("record"), dict):
        found = found["record"]
    return found if isinstance(found, dict) else {}


def record_name(record: dict[str, Any]) -> str:
    """How people call a record, by what amoCRM sent; empty where it says nothing."""
    parts = [record.get(key) for key in ("last_name", "first_name")]
    name = " ".join(part for part in parts if isinstance(part, str) and part.strip())
    if name:
        return name
    return next((t for key in ("name", "text") if isinstance(t := record.get(key), str) and t.strip()), "")


def count_rejects(session: Session, most: int = 1000) -> int:
    """How many rejects are open, counted up to `most` + 1."""
    return count_up_to(session, "sync_rejects", fits(), most)


def grouped_rejects(session: Session, limit: int = 50) -> list[Row]:
    """Open rejects by stream and code, the largest group first: how many, since when, and one as an example."""
    return session.rows(session.query("rejects.sql", "group", most=sql.Literal(limit)))


def retry(session: Session, ids: Sequence[int] | None = None) -> tuple[int, int, int]:
    """Load open rejects again, the same way as any record; run, how many were tried, how many are still bad.

    Those that are bad again stay open, with what is wrong now; the load closes the others. Those that somebody else is
    trying again just then are left to them.
    """
    waiting = _claim(session, find_rejects(session, ids=ids, limit=1_000_000))
    tried = [r for r in waiting if r["stream"] and r["record"]]
    try:
        load = load_again(session, [(r["stream"], r["record"].encode("utf-8", "surrogatepass")) for r in tried])
    finally:
        session.rows(S("SELECT pg_advisory_unlock_all()"))
        session.connection.hold_staging()
        session.connection.commit()
    return load.run_id, len(tried), load.rejected


def _claim(session: Session, rejects: Sequence[Row]) -> list[Row]:
    """Those of open rejects that nobody else holds; the session holds them by advisory locks, since the load that
    follows writes to their rows over a separate connection."""
    name = f"target-crm reject:{session.settings.crm_schema}"
    claimed = [
        row["id"] for row in session.rows(session.query("rejects.sql", "claim"), [r["id"] for r in rejects], name)
    ]
    # Whoever held one until now may have closed it.
    held = session.rows(session.query("rejects.sql", "still_open"), claimed)
    session.connection.commit()
    ours = {r["id"] for r in held}
    return [r for r in rejects if r["id"] in ours]


def drop(session: Session, ids: Sequence[int], reason: str) -> int:
    """Close open rejects with a reason, by whoever works with the session; how many."""
    closed = session.execute(
        S(
            "UPDATE {} SET resolved_at = now(), resolution = %s, resolved_by = %s "
            "WHERE id = ANY(%s) AND resolved_at IS NULL"
        ).format(session.control("sync_rejects")),
        f"dropped: {reason}",
        session.made_by,
        list(ids),
    )
    session.connection.commit()
    return closed
