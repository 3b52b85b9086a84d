"""`child_strategy: auto` beside the better of its two ways, over many shapes of accounts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_amocrm.planning.planner import choose

PAGE = 250


class List:
    """A list of the API: how many children each wanted parent has, and how many records belong to others."""

    def __init__(self, children, others):
        self.children, self.others = children, others
        self.asked = 0

    @property
    def pages(self):
        return max(1, math.ceil((sum(self.children) + self.others) / PAGE))

    def batches(self, size):
        """Requests that the batches really cost: a page for each, more where a batch has more."""
        parts = [self.children[i : i + size] for i in range(0, len(self.children), size)]
        return sum(max(1, math.ceil(sum(part) / PAGE)) for part in parts)

    def count(self, enough):
        """What the tap does while it knows nothing of the list: ask for the page that would decide."""
        self.asked += 1
        return enough if self.pages >= enough else max(1, enough - 1)


CHILDREN = st.one_of(
    st.lists(st.integers(0, 3), min_size=1, max_size=3000),
    st.lists(st.sampled_from((0, 1, 5, 400)), min_size=1, max_size=800),
    st.integers(1, 5000).map(lambda n: [1] * n),
)


@settings(max_examples=400, deadline=None)
@given(
    children=CHILDREN, others=st.integers(0, 400_000), size=st.sampled_from((1, 20, 50, 200, 250)), known=st.booleans()
)
def test_auto_is_never_more_than_twice_the_better_way(children, others, size, known):
    listing = List(children, others)
    exact = lambda enough: listing.pages  # noqa: E731
    strategy, _ = choose("auto", math.ceil(len(children) / size), len(children), exact if known else listing.count)
    batch, scan = listing.batches(size), listing.pages
    cost = (batch if strategy == "batch" else scan) + listing.asked
    # One question more, where nothing was known, belongs to neither way.
    assert cost <= 2 * min(batch, scan) + listing.asked


@pytest.mark.parametrize(
    ("account", "wanted"),
    [
        ({"companies": 800, "contacts": 2400, "notes": 4000, "tasks": 1500, "company_filter": "honour"}, 12),
        ({"companies": 1000, "contacts": 300, "notes": 100, "tasks": 50}, 12),
        ({"companies": 100, "contacts": 3000, "notes": 6000, "tasks": 100, "company_filter": "honour"}, 1),
    ],
)
def test_auto_costs_at_most_twice_the_better_way_on_accounts_of_many_shapes(start, account, wanted):
    tap = start(**account, leads=200)
    users = list(range(5_000_001, 5_000_001 + wanted))
    runs, costs = {}, {}
    for strategy in ("batch", "scan", "auto"):
        tap.sim.reset()
        runs[strategy] = tap.run(responsible_user_ids=users, child_strategy=strategy)
        costs[strategy] = tap.sim.stats["requests"]
    for kind in ("contacts", "leads", "notes", "tasks"):
        assert runs["auto"].ids(kind) == runs["batch"].ids(kind) == runs["scan"].ids(kind)
    assert costs["auto"] <= 2 * min(costs["batch"], costs["scan"])


def test_what_a_scan_counted_is_remembered_and_not_asked_for_again(start):
    tap = start(companies=800)
    users = list(range(5_000_001, 5_000_013))
    first = tap.run(responsible_user_ids=users)
    assert first.state["tap_amocrm"]["totals"]["tasks"] == len(tap.sim.truth("tasks"))
    tap.sim.reset()
    # Another scope reads all again, now knowing how long the lists are.
    tap.run(first.state, responsible_user_ids=users[:11])
    probes = [r for r in tap.sim.requests if r["path"] == "/api/v4/tasks" and "order" not in r["query"]]
    assert probes == []
