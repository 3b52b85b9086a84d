"""Is everything all right? When the last complete sync was, and what is open."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

from psycopg import sql

from target_crm.operations.history import current_status
from target_crm.operations.session import Row, Session
from target_crm.presentation.texts.rendering import problem_text

S = sql.SQL
# Complete syncs whose distances tell the usual interval, and how many distances are the least to tell it.
_SYNCS_LOOKED_AT = 20
_LEAST_INTERVALS = 2
_MOST_COUNTED = 10_000
_FULL_REFRESH = "meltano run --full-refresh tap-amocrm target-crm"


@dataclass(frozen=True)
class Gap:
    """A run that started from a state which this database never released, and no complete reading since."""

    run: int
    tap: str
    streams: str
    text: str
    command: str = _FULL_REFRESH

    @property
    def notice(self) -> dict[str, Any]:
        """As `sync_runs.notices` holds it."""
        return {"code": "W_STATE_GAP", "args": {"streams": self.streams}}


@dataclass(frozen=True)
class Complete:
    """The last complete sync of an account (None: of a source that names none). Times are in seconds;
    `usual_interval` is None before the third sync."""

    account_id: int | None
    run: int
    at: datetime
    age_seconds: float
    usual_interval: float | None
    max_age_seconds: float | None = None

    @property
    def longest_seconds(self) -> float | None:
        """How old it may become: what the setting `max_sync_age_hours` says, or else twice the usual interval."""
        usual = None if self.usual_interval is None else 2 * self.usual_interval
        return self.max_age_seconds or usual

    @property
    def is_stale(self) -> bool:
        """Whether it is older than that."""
        return self.longest_seconds is not None and self.age_seconds > self.longest_seconds


@dataclass(frozen=True)
class Health:
    """What a person needs to know first.

    `accounts`: first the one whose last complete sync is overdue or the oldest. `last_run`: the last load, whatever
    became of it. Open things are counted up to 10,001.
    """

    accounts: list[Complete]
    last_run: int | None
    last_status: str | None
    conflicts: int
    rejects: int
    warnings: int
    proposals: int = 0
    gaps: list[Gap] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        accounts = [{**vars(account), "is_stale": account.is_stale} for account in self.accounts]
        return {
            "last_complete": accounts[0] if accounts else None,
            "accounts": accounts,
            "last_run": self.last_run,
            "last_status": self.last_status,
            "open": {
                "conflicts": self.conflicts,
                "rejects": self.rejects,
                "warnings": self.warnings,
                "proposals": self.proposals,
            },
            "gaps": [vars(gap) for gap in self.gaps],
        }


def read_health(session: Session) -> Health:
    """The state of the CRM now; nothing is written."""
    last = session.rows(session.query("history.sql", "last_load", current_status=current_status(session)))
    return Health(
        accounts=_last_complete(session),
        last_run=last[0]["id"] if last else None,
        last_status=last[0]["status"] if last else None,
        conflicts=_count_open(session, "sync_conflicts"),
        rejects=_count_open(session, "sync_rejects"),
        warnings=_count_open(session, "sync_warnings"),
        proposals=_count_open(session, "sync_proposals"),
        gaps=_gaps(session),
    )


def _last_complete(session: Session) -> list[Complete]:
    found = session.rows(session.query("history.sql", "last_complete", most=sql.Literal(_SYNCS_LOOKED_AT)))
    by_account: dict[int | None, list[Row]] = {}
    for row in found:
        by_account.setdefault(row["account_id"], []).append(row)
    if len(by_account) > 1:
        by_account.pop(None, None)
    most = session.settings.max_sync_age_hours * 3600 or None
    complete = [
        Complete(account, runs[0]["id"], runs[0]["finished_at"], max(runs[0]["age"], 0.0), _usual_interval(runs), most)
        for account, runs in by_account.items()
    ]
    return sorted(complete, key=lambda c: (not c.is_stale, -c.age_seconds))


def _usual_interval(runs: list[Row]) -> float | None:
    starts = [run["started_at"] for run in runs]
    distances = [(later - earlier).total_seconds() for later, earlier in pairwise(starts)]
    return median(distances) if len(distances) >= _LEAST_INTERVALS else None


def _count_open(session: Session, table: str) -> int:
    (found,) = session.rows(
        S("SELECT count(*) AS n FROM (SELECT FROM {} WHERE resolved_at IS NULL LIMIT {}) AS opened").format(
            session.control(table), sql.Literal(_MOST_COUNTED + 1)
        )
    )
    return int(found["n"])


def _gaps(session: Session) -> list[Gap]:
    """Gaps that no complete run from the beginning of the same tap and account has closed since."""
    found = session.rows(session.query("history.sql", "find_gaps"))
    return [
        Gap(row["id"], row["tap"] or "", row["args"]["streams"], problem_text("W_STATE_GAP", row["args"]))
        for row in found
    ]


def age_text(seconds: float) -> str:
    """A time span as people say it: 40 seconds, 12 minutes, 7 hours, 3 days."""
    for unit, size in (("day", 86_400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= 2 * size or (unit == "minute" and seconds >= size):
            number = int(seconds // size)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    number = int(seconds)
    return f"{number} second{'' if number == 1 else 's'}"
