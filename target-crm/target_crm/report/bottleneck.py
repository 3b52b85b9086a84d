"""What a run's time went to: the limit of requests, amoCRM's answers, or the database."""

from __future__ import annotations

from dataclasses import dataclass

from target_crm.presentation.texts import Texts
from target_crm.report.metrics import Metrics
from target_crm.report.plots import LIMIT

# From this share on the limit, or the database, is what a run waits for.
_MOST_OF_IT = 0.6


@dataclass(frozen=True)
class Bottleneck:
    """Shares of the run's time from 0 to 1, seconds for an answer; None for what is not known.

    `limit_share` is how much of the time the run needed at least under its limit of requests a second.
    """

    limit_share: float | None = None
    limit: float = LIMIT
    database_share: float | None = None
    answer_seconds: float | None = None
    refused: int = 0
    retries: int = 0


def find_bottleneck(metrics: Metrics | None, seconds: float | None, merge_seconds: float | None) -> Bottleneck:
    """Work out the shares from the tap's metrics and the run's own times, in seconds."""
    database = merge_seconds / seconds if merge_seconds is not None and seconds else None
    if metrics is None or not metrics.duration_seconds:
        return Bottleneck(database_share=database)
    limit = metrics.requests_per_second or LIMIT
    refused = sum(n for status, n in metrics.status_counts.items() if status == "429" or status.startswith("5"))
    return Bottleneck(
        limit_share=min(metrics.requests / limit / metrics.duration_seconds, 1.0) if metrics.requests else None,
        limit=limit,
        database_share=database,
        answer_seconds=metrics.seconds_waiting_for_api / metrics.requests if metrics.requests else None,
        refused=refused,
        retries=metrics.retries,
    )


def told(found: Bottleneck, t: Texts) -> list[str]:
    """The bottleneck in words: first what the run waited for, then the figures."""
    limit_share, database = found.limit_share or 0.0, found.database_share or 0.0
    sentences = []
    if limit_share >= _MOST_OF_IT:
        sentences.append(t("slow_limit", share=round(limit_share * 100), limit=_plain(found.limit)))
    elif database >= _MOST_OF_IT:
        sentences.append(t("slow_database", share=round(database * 100)))
    elif found.limit_share is not None:
        sentences.append(t("slow_answers", share=round(limit_share * 100), limit=_plain(found.limit)))
    if found.answer_seconds is not None:
        sentences.append(t("slow_answer", n=round(found.answer_seconds, 2)))
    if found.database_share is not None and database < _MOST_OF_IT:
        sentences.append(t("slow_merge", share=round(database * 100)))
    if found.refused or found.retries:
        sentences.append(t("slow_refused", refused=found.refused, retries=found.retries))
    return sentences


def _plain(limit: float) -> float:
    return int(limit) if limit == int(limit) else limit
