"""What happened since a moment: loads, changes by table, decisions; and what waits now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import sql

from target_crm.operations.health import Complete, Health, read_health
from target_crm.operations.history import current_status
from target_crm.operations.labels import natural_order
from target_crm.operations.overview import count_waiting, waiting_since
from target_crm.operations.session import Session
from target_crm.sql import rules

S = sql.SQL
MOST_COUNTED = 10_000


@dataclass(frozen=True)
class Digest:
    """A period and the state at its end.

    `runs`: how many runs there were by kind and status. `changes`: the counts of all loads together, by table in the
    natural order of tables, without those that are zero. `waiting`: what is open, counted up to `MOST_COUNTED` + 1;
    `oldest`: since when the oldest of each kind is.
    """

    since: datetime
    until: datetime
    health: Health
    runs: dict[tuple[str, str], int] = field(default_factory=dict)
    changes: dict[str, dict[str, int]] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    oldest: dict[str, datetime] = field(default_factory=dict)

    @property
    def late(self) -> list[Complete]:
        """The accounts whose last complete sync is overdue."""
        return [account for account in self.health.accounts if account.is_stale]

    @property
    def is_overdue(self) -> bool:
        """Whether a sync is overdue, or there has been no complete one."""
        return bool(self.late) or not self.health.accounts

    @property
    def has_failed(self) -> bool:
        """Whether the last load did not end well."""
        return self.health.last_status in ("failed", "incomplete", "interrupted")

    def ran(self, *kinds: str) -> dict[str, int]:
        """How many runs of these kinds there were, by status."""
        found: dict[str, int] = {}
        for (kind, status), number in self.runs.items():
            if kind in kinds:
                found[status] = found.get(status, 0) + number
        return found

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "since": self.since,
            "until": self.until,
            "is_overdue": self.is_overdue,
            **self.health.as_dict(),
            "runs": [{"kind": kind, "status": status, "number": n} for (kind, status), n in self.runs.items()],
            "changes": self.changes,
            "waiting": self.waiting,
            "waiting_since": self.oldest,
        }


def read_digest(session: Session, since: datetime, until: datetime) -> Digest:
    """What happened between two moments, and what waits now; nothing is written."""
    return Digest(
        since,
        until,
        read_health(session),
        _runs(session, since),
        _changes(session, since),
        count_waiting(session, MOST_COUNTED),
        waiting_since(session),
    )


def _runs(session: Session, since: datetime) -> dict[tuple[str, str], int]:
    found = session.rows(
        session.query("history.sql", "count_runs", current_status=current_status(session), since=sql.Literal(since))
    )
    return {(row["kind"], row["status"]): int(row["n"]) for row in found}


def _changes(session: Session, since: datetime) -> dict[str, dict[str, int]]:
    """The counts of loads and retries together, those left out that have been undone."""
    is_undone = rules.is_undone(session.control("sync_runs"), S("run.id"))
    found = session.rows(session.query("history.sql", "sum_counts", since=sql.Literal(since), is_undone=is_undone))
    counts: dict[str, dict[str, int]] = {}
    for row in found:
        counts.setdefault(row["table_name"], {})[row["kind"]] = int(row["n"])
    return {table: counts[table] for table in natural_order(session, counts)}
