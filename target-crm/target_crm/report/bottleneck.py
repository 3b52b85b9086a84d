"""What a run's time went to: the limit of requests, amoCRM's answers, or the database."""

from __future__ import annotations

from dataclasses import dataclass

from target_crm.presentation.texts import Texts
from target_crm.report.metrics import Metrics
from target_crm.report.plots import LIMIT

# From this share on it is what a run waits for.
_MOST_OF_IT = 0.6
_MUCH_OF_IT = 0.3


@dataclass(frozen=True)
class Bottleneck:
    """Shares of the run's time from 0 to 1, seconds for an answer; None for what is not known.

    `limit_share` is the time in which requests waited for a slot of the limit, where the tap measured that; else how
    much of the time the run needed at least under its limit of requests a second. `answer_share` is the time in which
    it waited for nothing but answers.
    """

    limit_share: float | None = None
    limit: float = LIMIT
    answer_share: float | None = None
    database_share: float | None = None
    answer_seconds: float | None = None
    refused: int = 0
    retries: int = 0

    @property
    def shares(self) -> list[tuple[str, float]]:
        """What was measured, each with its share of the time."""
        found = (("slots", self.limit_share), ("answers", self.answer_share), ("database", self.database_share))
        return [(name, share) for name, share in found if share is not None]


def find_bottleneck(metrics: Metrics | None, seconds: float | None, merge_seconds: float | None) -> Bottleneck:
    """Work out the shares from the tap's metrics and the run's own times, in seconds."""
    database = min(merge_seconds / seconds, 1.0) if merge_seconds is not None and seconds else None
    if metrics is None or not metrics.duration_seconds:
        return Bottleneck(database_share=database)
    limit, whole = metrics.requests_per_second or LIMIT, metrics.duration_seconds
    refused = sum(n for status, n in metrics.status_counts.items() if _is_refusal(status))
    at_least = min(metrics.requests / limit / whole, 1.0) if metrics.requests else None
    is_measured = metrics.seconds_for_slots is not None and metrics.seconds_for_answers is not None
    return Bottleneck(
        limit_share=min((metrics.seconds_for_slots or 0) / whole, 1.0) if is_measured else at_least,
        limit=limit,
        answer_share=min((metrics.seconds_for_answers or 0) / whole, 1.0) if is_measured else None,
        database_share=database,
        answer_seconds=metrics.seconds_waiting_for_api / metrics.requests if metrics.requests else None,
        refused=refused,
        retries=metrics.retries,
    )


def _is_refusal(status: str) -> bool:
    return status in ("429", "error") or status.startswith("5")


def told(found: Bottleneck, t: Texts) -> list[str]:
    """The bottleneck in words: first what the run waited for, then the figures."""
    sentences = (
        [_first(found, t)] if found.limit_share is not None or (found.database_share or 0) >= _MOST_OF_IT else []
    )
    if found.answer_seconds is not None:
        sentences.append(t("slow_answer", n=round(found.answer_seconds, 2)))
    if found.database_share is not None and found.database_share < _MOST_OF_IT:
        sentences.append(t("slow_merge", share=_percent(found.database_share)))
    if found.refused or found.retries:
        sentences.append(t("slow_refused", refused=found.refused, retries=found.retries))
    return sentences


def _first(found: Bottleneck, t: Texts) -> str:
    limit, database = found.limit_share or 0.0, found.database_share or 0.0
    answers = found.answer_share or 0.0
    most = _MOST_OF_IT if found.answer_share is None else _MUCH_OF_IT
    if limit >= most and limit >= max(answers, database):
        return t("slow_limit", share=_percent(limit), limit=_plain(found.limit))
    if database >= most and database >= answers:
        return t("slow_database", share=_percent(database))
    if answers >= most:
        return t("slow_waiting", share=_percent(answers))
    if found.answer_share is not None:
        return t("slow_nothing")
    return t("slow_answers", share=_percent(limit), limit=_plain(found.limit))


def _percent(share: float) -> int:
    return round(share * 100)


def _plain(limit: float) -> float:
    return int(limit) if limit == int(limit) else limit
