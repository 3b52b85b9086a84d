"""Chooses between batches of parent ids and one scan by the requests that each will cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Estimated requests of each way; `scan` is None while no run has counted the list."""

    batch: int
    scan: int | None
    per_parent: int


def choose(strategy: str, costs: Costs) -> str:
    """`batch` or `scan`: as the setting says, or for `auto` the cheaper one.

    While the size of the list is unknown batches are taken: their cost is known, and a scan of an account with a
    small scope could cost any number of requests.
    """
    if strategy != "auto":
        return strategy
    return "scan" if costs.scan is not None and costs.scan < costs.batch else "batch"
