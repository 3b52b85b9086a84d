"""Syncs of an account that changes at random moments between requests: nothing is missed, whatever the moments are.

Each example is a schedule: what changes before which request of which sync. After a last quiet sync the output of all
syncs together must hold every record of the account, or of the scope, in its last version. Pages are tiny, so that a
few records make many page boundaries, and the server's clock moves on by seconds with each request. More examples:
TAP_SCHEDULES=5000.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schedules import ACTIONS, KINDS, SCOPES, Account, Output, Turns, wrong
from survived import survived

from amocrm_sim.query import AccountOptions
from amocrm_sim.testing import SimulatorServer
from tap_amocrm.hooks.hints import hints_of
from tap_amocrm.hooks.queue import open_queue
from tap_amocrm.tap import TapAmoCRM

EXAMPLES = int(os.environ.get("TAP_SCHEDULES", "1000"))
# The examples are shared out over these tests, so that they run side by side.
SHARES = 5
SETTINGS = {
    "deadline": None,
    "database": None,
    "derandomize": "TAP_SCHEDULES" not in os.environ,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorServer]:
    with SimulatorServer(companies=1, rps=0) as running:
        yield running


CHANGE = st.tuples(st.integers(1, 40), st.sampled_from(ACTIONS), st.sampled_from(KINDS), st.integers(0, 30))
PACKAGED = tuple(AccountOptions(company_filter=f) for f in ("honour", "ignore", "400"))
ACCOUNTS = (
    *PACKAGED,
    AccountOptions(filter_package=False),
    AccountOptions(filter_package=False, id_filter_without_package="ignore"),
)
COMMON = {
    "syncs": st.lists(st.lists(CHANGE, max_size=8), min_size=1, max_size=2),
    "page_size": st.sampled_from((2, 3)),
    "step": st.sampled_from((0.0, 0.4, 7.0)),
    "options": st.sampled_from(ACCOUNTS),
}


def seeds(share):
    return st.integers(1, 10_000).map(lambda n: n * SHARES + share)


# Instead of which write to its output a run is killed; small accounts make some dozens.
KILLS = st.lists(st.integers(1, 70), min_size=1, max_size=3)


def play(account, output, syncs, kills=()):
    """The syncs with their changes, the first ones killed, then quiet ones; what the output lacks.

    A run that continues a killed one gives what the pages of that run held then. What changed in them since is the next
    run's.
    """
    for changes, kill in itertools.zip_longest(syncs, kills):
        account.plan(changes or [])
        ended = output.sync(kill)
        account.applied["a run was killed"] += not ended
    account.server.scheduled.clear()
    output.sync()
    if kills:
        output.sync()
    lost = wrong(account, output)
    survived("changes between two requests of a sync", account.applied, records=len(lost))
    return lost


@pytest.mark.parametrize("share", range(SHARES))
def test_nothing_is_missed_whenever_the_account_changes(sim, share, monkeypatch):
    monkeypatch.setattr(TapAmoCRM, "_setup_signal_handlers", lambda self: None, raising=False)

    @settings(max_examples=EXAMPLES // SHARES, **SETTINGS)
    @given(seed=seeds(share), **COMMON)
    def check(seed, syncs, page_size, step, options):
        account = Account(sim, seed, step, options)
        output = Output(sim.url, page_size=page_size, lookback_seconds=4)
        assert play(account, output, syncs) == []

    check()


@pytest.mark.parametrize("share", range(SHARES))
def test_nothing_is_missed_whenever_runs_are_killed(sim, share, monkeypatch):
    monkeypatch.setattr(TapAmoCRM, "_setup_signal_handlers", lambda self: None, raising=False)
    # Lists of a few pages: a STATE after each of them, so that runs are killed in the middle of lists.
    monkeypatch.setattr("tap_amocrm.streams.checkpoints._PAGES_BETWEEN_STATES", 1)

    @settings(max_examples=EXAMPLES // 4 // SHARES, **SETTINGS)
    @given(seed=seeds(share), kills=KILLS, **COMMON)
    def check(seed, kills, syncs, page_size, step, options):
        account = Account(sim, seed, step, options)
        output = Output(sim.url, page_size=page_size, lookback_seconds=4)
        assert play(account, output, syncs, kills) == []

    check()


# A tap that follows asks on: changes come during the first reading, and in the turns behind it.
LATER = st.tuples(st.integers(1, 110), st.sampled_from(ACTIONS), st.sampled_from(KINDS), st.integers(0, 30))
FOLLOWING = {
    **COMMON,
    "syncs": st.lists(st.lists(LATER, max_size=10), min_size=1, max_size=2),
    "kills": st.one_of(st.just([]), st.lists(st.integers(40, 160), min_size=1, max_size=2)),
    "hooks": st.sampled_from(("none", "all", "some twice", "few")),
    "scope": st.sampled_from(({}, {}, {}, *SCOPES)),
}


def hint(account, queue, which):
    """Let the account's webhooks come into a queue: all of them, some twice and some never, or hardly any."""
    said = []

    def changed(kind, action, record):
        said.append(None)
        times = {"all": 1, "some twice": len(said) % 3, "few": len(said) % 4 == 0}[which]
        body = account.server.webhooks.body(kind, action, record)
        for _ in range(times):
            queue.put(hints_of(body))

    account.store.on_change = changed


@pytest.mark.parametrize("share", range(SHARES))
def test_nothing_is_missed_whenever_the_account_changes_while_it_is_followed(sim, share, monkeypatch, tmp_path):
    monkeypatch.setattr(TapAmoCRM, "_setup_signal_handlers", lambda self: None, raising=False)

    @settings(max_examples=max(1, EXAMPLES // 60 // SHARES), **SETTINGS)
    @given(seed=seeds(share), **FOLLOWING)
    def check(seed, kills, hooks, scope, syncs, page_size, step, options):
        account = Account(sim, seed, step, options)
        given = {"page_size": page_size, "lookback_seconds": 4, "follow": True, **scope}
        if hooks != "none":
            given["hooks_queue"] = str(tmp_path / "hooks")
            hint(account, open_queue(given["hooks_queue"], sim.url), hooks)
        output = Output(sim.url, clock=lambda: Turns(account), **given)
        assert play(account, output, syncs, kills) == []

    check()


@pytest.mark.parametrize("share", range(SHARES))
def test_nothing_of_a_scope_is_missed_whenever_the_account_changes(sim, share, monkeypatch):
    monkeypatch.setattr(TapAmoCRM, "_setup_signal_handlers", lambda self: None, raising=False)

    @settings(max_examples=EXAMPLES // 2 // SHARES, **SETTINGS)
    @given(
        seed=seeds(share),
        scope=st.sampled_from(SCOPES),
        strategy=st.sampled_from(("auto", "batch", "scan")),
        batch=st.sampled_from((1, 3, 200)),
        **COMMON,
    )
    def check(seed, scope, strategy, batch, syncs, page_size, step, options):
        account = Account(sim, seed, step, options)
        sizes = {f"{name}_batch_size": batch for name in ("contacts", "notes", "tasks")}
        output = Output(sim.url, page_size=page_size, lookback_seconds=4, child_strategy=strategy, **sizes, **scope)
        assert play(account, output, syncs) == []

    check()
