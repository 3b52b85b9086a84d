"""Chooses between batches of parent ids and one scan by the requests that each will cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# Below this number of batches nothing is asked about the list: the question would cost as much as it saves.
_BATCHES_WITHOUT_QUESTION = 3


@dataclass(frozen=True)
class Costs:
    """Estimated requests: `batch` for batches of parent ids, `scan` for the whole list, `parents` for one each."""

    batch: int
    scan: int
    parents: int


def choose(strategy: str, batch: int, parents: int, pages: Callable[[int], int]) -> tuple[str, Costs]:
    """`batch` or `scan`: as the setting says, or for `auto` the cheaper one, never more than twice the better.

    Args:
        strategy: `child_strategy`.
        batch: Requests for the batches.
        parents: How many parents' children are wanted.
        pages: Pages of the whole list; given a number it may stop counting there (docs/request-planning.md).
    """
    if strategy == "batch" or (strategy == "auto" and batch < _BATCHES_WITHOUT_QUESTION):
        return "batch", Costs(batch, 0, parents)
    scan = pages(batch)
    if strategy == "scan":
        return "scan", Costs(batch, scan, parents)
    return ("scan" if scan < batch else "batch"), Costs(batch, scan, parents)
