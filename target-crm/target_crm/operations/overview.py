"""What the first page says beside the health: how fresh each stream is, what the last load did, the trend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from target_crm.operations.history import RunFilter, find_runs
from target_crm.operations.labels import natural_order
from target_crm.operations.session import Row, Session
from target_crm.presentation.texts import Texts
from target_crm.presentation.values import as_moment

S = sql.SQL
TREND = 30
_OPEN = ("conflicts", "proposals", "rejects", "warnings")


@dataclass(frozen=True)
class Fresh:
    """A stream: the newest change that has come, and the last load that read records of it."""

    stream: str
    table: str
    newest: datetime | None
    run: int | None
    read: int
    at: datetime | None


@dataclass(frozen=True)
class Done:
    """What a load did, over all tables."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    kept: int = 0
    conflicts: int = 0
    rejected: int = 0
    warnings: int = 0

    @property
    def written(self) -> int:
        """Rows that were written."""
        return self.inserted + self.updated + self.deleted


def done_by(run: Mapping[str, Any]) -> Done:
    """What a run did, by its counts."""
    tables = [counts for counts in run["counts"].values() if isinstance(counts, dict)]
    names = Done.__dataclass_fields__
    return Done(**{name: sum(counts.get(name, 0) for counts in tables) for name in names})


def told_of(texts: Texts, done: Done) -> list[str]:
    """What a load did, in three sentences."""
    found = [texts.many("night_read", done.read)]
    if done.written:
        parts = [texts.many(f"night_{kind}", n) for kind, n in _written(done) if n]
        found.append(texts("night_wrote", what=", ".join(parts)))
    else:
        found.append(texts("night_unchanged"))
    kept = (
        ("kept", done.kept),
        ("conflicts", done.conflicts),
        ("rejected", done.rejected),
        ("left_out", done.warnings),
    )
    parts = [texts.many(f"night_{kind}", n) for kind, n in kept if n]
    found.append(texts("night_kept_all", what=", ".join(parts)) if parts else texts("night_smooth"))
    return found


def _written(done: Done) -> tuple[tuple[str, int], ...]:
    return (("inserted", done.inserted), ("updated", done.updated), ("deleted", done.deleted))


def count_waiting(session: Session, most: int = 1000) -> dict[str, int]:
    """How much of each kind waits for a person, counted up to `most` + 1."""
    parts = [
        S("(SELECT count(*) FROM (SELECT FROM {} WHERE resolved_at IS NULL LIMIT {}) AS opened) AS {}").format(
            session.control(f"sync_{kind}"), sql.Literal(most + 1), sql.Identifier(kind)
        )
        for kind in _OPEN
    ]
    (found,) = session.rows(S("SELECT {}").format(S(", ").join(parts)))
    return {kind: int(found[kind]) for kind in _OPEN}


def waiting_since(session: Session) -> dict[str, datetime]:
    """Since when the oldest open thing of each kind waits."""
    found = {}
    for kind in _OPEN:
        rows = session.rows(
            S("SELECT created_at FROM {} WHERE resolved_at IS NULL ORDER BY id LIMIT 1").format(
                session.control(f"sync_{kind}")
            )
        )
        if rows:
            found[kind] = rows[0]["created_at"]
    return found


def last_loads(session: Session, limit: int = TREND) -> list[Row]:
    """The last loads with what each did, the newest first."""
    runs = find_runs(session, limit=limit, which=RunFilter(kind="load"))
    return [{**run, "done": done_by(run)} for run in runs]


def freshness(session: Session, loads: list[Row]) -> list[Fresh]:
    """The mapped streams in their natural order, by the last STATE and the last loads."""
    bookmarks: dict[str, datetime] = {}
    for row in session.rows(S("SELECT state FROM {}").format(session.control("sync_state"))):
        for stream, mark in ((row["state"] or {}).get("bookmarks") or {}).items():
            value = mark.get("replication_key_value") if isinstance(mark, dict) else None
            moment = as_moment(value) if value is not None else None
            if moment is not None:
                bookmarks[stream] = max(moment, bookmarks.get(stream, moment))
    found = []
    for table in natural_order(session, session.tables):
        stream = session.tables[table].mapping.stream
        run = next((r for r in loads if (r["counts"].get(table) or {}).get("read")), None)
        read = run["counts"][table]["read"] if run else 0
        at = run["finished_at"] or run["started_at"] if run else None
        found.append(Fresh(stream, table, bookmarks.get(stream), run["id"] if run else None, read, at))
    return found
