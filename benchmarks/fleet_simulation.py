"""Ten thousand accounts, synced once an hour: hosts, connections, requests and how long a sync waits for its turn.

Nothing is synced here. The accounts are generated; what a sync costs is what `fleet` measured; whether the children of
a scoped account come by batches of parents or by one scan is decided by the tap's own planner; a queue of syncs then
runs event by event. `python benchmarks/fleet_simulation.py` writes benchmarks/results/fleet_simulation.json.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from harness import BenchmarkError, main, show
from page_parts import middle

from tap_amocrm.planning.planner import choose

RESULTS = Path(__file__).resolve().parent / "results"
ACCOUNTS, HOUR, HOURS = 10_000, 3600.0, 6
# Contacts of an account: a median of a firm of some 20 sales people, and a long tail.
MEDIAN_CONTACTS, SPREAD, LARGEST = 4_000, 1.1, 300_000
CHANGED_AN_HOUR, SCOPED = 0.01, 0.1
RECORDS_A_PAGE, PARENTS_A_BATCH, LISTS_OF_CHILDREN = 250, 50, 4
REQUESTS_A_SECOND, CORES, UTILISATION = 6.5, 2, 0.7
CONNECTIONS_A_LOAD = 2
# Places of a host for pairs, and the seconds that one in twenty syncs may wait for its turn.
FEWEST_PLACES, MOST_PLACES, LONGEST_WAIT = 4, 40, 60.0


@dataclass(frozen=True)
class Sync:
    """What one sync of an account asks for: requests, and CPU seconds of tap, target and PostgreSQL."""

    requests: int
    cpu: float

    @property
    def seconds(self) -> float:
        """How long it takes alone: its requests at the rate of one account, then its work."""
        return self.requests / REQUESTS_A_SECOND + self.cpu


@dataclass(frozen=True)
class Costs:
    """CPU seconds of a sync with nothing new, of each record, and of the orchestrator's step."""

    quiet: float
    record: float
    step: float


def measured(result: dict[str, Any], way: str) -> Costs:
    """The costs of one way to start commands, from the result of `fleet`."""
    size = max(result["accounts"], key=int)
    steps = result["accounts"][size]
    quiet, changed = (middle(steps[step][way], "cpu_seconds") for step in ("nothing_new", "hundredth_changed"))
    records = middle(steps["hundredth_changed"][way], "records")
    return Costs(quiet, max(0.0, changed - quiet) / records, result["empty_step_cpu_seconds"] or 0.0)


def account(contacts: int, costs: Costs, draw: random.Random) -> Sync:
    """An hour's sync of an account with that number of contacts."""
    changed = [int(size * CHANGED_AN_HOUR * draw.expovariate(1.0)) for size in (contacts, contacts // 3, 2 * contacts)]
    requests = 12 + sum(math.ceil(count / RECORDS_A_PAGE) for count in changed)
    if draw.random() < SCOPED:
        # Notes and tasks of the parents that changed: by batches of parents, or the whole list once.
        parents, pages = sum(changed[:2]), math.ceil(2 * contacts / RECORDS_A_PAGE)
        batches = math.ceil(parents / PARENTS_A_BATCH) * LISTS_OF_CHILDREN
        way, found = choose("auto", batches, parents, lambda most: min(pages, most))
        requests += found.batch if way == "batch" else found.scan
    return Sync(requests, costs.quiet + costs.record * sum(changed) + costs.step)


def simulate(syncs: list[Sync], hosts: int, slots: int) -> dict[str, float]:
    """Hours in which each account's sync comes due at its own second; each host runs `slots` syncs at a time."""
    draw = random.Random(2)
    due = sorted(
        (hour * HOUR + offset, number)
        for number, offset in enumerate(draw.uniform(0, HOUR) for _ in syncs)
        for hour in range(HOURS)
    )
    free = [0.0] * (hosts * slots)
    heapq.heapify(free)
    waits, ends = [], []
    # A busy host slows what runs on it: work takes longer by the share of the cores that others hold.
    load = sum(sync.cpu for sync in syncs) / (hosts * CORES * HOUR)
    slower = 1 / max(0.05, 1 - min(load, 0.95))
    for moment, number in due:
        started = max(moment, heapq.heappop(free))
        ended = started + syncs[number].requests / REQUESTS_A_SECOND + syncs[number].cpu * slower
        heapq.heappush(free, ended)
        if moment >= HOUR:
            waits.append(started - moment)
            ends.append((started, ended))
    at_once = most_at_once(ends)
    cuts = quantiles(waits, n=100)
    return {
        "cpu_share": load,
        "wait_p50": cuts[49],
        "wait_p95": cuts[94],
        "wait_p99": cuts[98],
        "pairs_at_once": at_once,
        "connections": at_once * CONNECTIONS_A_LOAD,
        "requests_a_second": sum(sync.requests for sync in syncs) / HOUR,
    }


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """The most spans that hold one moment."""
    moments = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    running = most = 0
    for _, change in moments:
        running += change
        most = max(most, running)
    return most


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Both ways to start commands."""
    source = (options.results if options.small else RESULTS) / "fleet.json"
    if not source.exists():
        source = RESULTS / "fleet.json"
    if not source.exists():
        raise BenchmarkError("run the benchmark fleet first: its costs are what is simulated")
    result = json.loads(source.read_text("utf-8"))
    count = 200 if options.small else ACCOUNTS
    draw = random.Random(1)
    sizes = [min(LARGEST, int(draw.lognormvariate(math.log(MEDIAN_CONTACTS), SPREAD))) for _ in range(count)]
    found: dict[str, Any] = {}
    for way in ("started", "loaded"):
        costs = measured(result, way)
        syncs = [account(contacts, costs, draw) for contacts in sizes]
        hosts = max(1, math.ceil(sum(sync.cpu for sync in syncs) / (CORES * HOUR * UTILISATION)))
        busy = sum(sync.seconds for sync in syncs) / HOUR
        slots = max(FEWEST_PLACES, math.ceil(busy / UTILISATION / hosts))
        while (took := simulate(syncs, hosts, slots))["wait_p95"] > LONGEST_WAIT and slots < MOST_PLACES:
            slots += 1
        found[way] = {"hosts": hosts, "places": slots, **{k: round(v, 3) for k, v in took.items()}}
    rows = [
        [way, *(found[way][k] for k in ("hosts", "places", "cpu_share", "wait_p95", "connections"))] for way in found
    ]
    show(
        "Accounts synced hourly", ["commands", "hosts", "places each", "CPU share", "wait p95, s", "connections"], rows
    )
    return {
        "accounts": count,
        "contacts": {"median": sorted(sizes)[count // 2], "sum": sum(sizes), "largest": max(sizes)},
        "cores": CORES,
        "ways": found,
    }


if __name__ == "__main__":
    sys.exit(main("fleet_simulation", __doc__, measure))
