"""Syncs of an account that changes at random moments between requests: nothing is missed, whatever the moments are.

Each example is a schedule: what changes before which request of which sync. After a last quiet sync the output of all
syncs together must hold every record of the account in its last version. Pages are tiny, so that a few records make
many borders, and the server's clock moves on by seconds with each request. More examples: TAP_SCHEDULES=5000.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from survived import survived

from amocrm_sim.query import AccountOptions
from amocrm_sim.store import Store
from amocrm_sim.testing import SimulatorServer
from tap_amocrm.tap import TapAmoCRM

EXAMPLES = int(os.environ.get("TAP_SCHEDULES", "1000"))
# The examples are shared out over these tests, so that they run side by side.
SHARES = 5
BIG = ("companies", "contacts", "leads", "notes", "tasks", "deleted_records")
KINDS = ("companies", "contacts", "leads", "tasks", "companies/notes", "contacts/notes", "leads/notes")
SIZES = {"companies": 4, "contacts": 11, "leads": 5, "notes": 12, "tasks": 9, "customers": 0}


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorServer]:
    with SimulatorServer(companies=1, rps=0) as running:
        yield running


class Account:
    """A fresh account on the running server, whose clock moves with its requests."""

    def __init__(self, sim: SimulatorServer, seed: int, step: float, options: AccountOptions) -> None:
        assert sim.simulator is not None
        self.sim, self.server = sim, sim.simulator
        self.store = Store(seed, SIZES)
        self.server.store = self.store
        self.server.options.account = options
        self.server.log.entries.clear()
        self.server.scheduled.clear()
        # Ahead of this machine's clock by some seconds more with each request, and never slower than it.
        self.store.now = lambda: int(time.time() + step * len(self.server.log.entries))  # type: ignore[method-assign]
        self.store.change = self.apply  # type: ignore[method-assign]
        self.deleted: dict[str, list[int]] = {kind: [] for kind in KINDS}
        self.applied: Counter[str] = Counter()

    def plan(self, changes: list[tuple[int, str, str, int]]) -> None:
        """Make changes right before the given requests from now."""
        done = len(self.server.log.entries)
        for request, action, kind, pick in changes:
            self.server.scheduled.setdefault(done + request, []).append(
                {"action": action, "body": {"kind": kind, "pick": pick}}
            )

    def apply(self, action: str, body: dict[str, Any]) -> None:
        """Make a change to whichever record the pick falls on; none if there is nothing to change."""
        kind, pick = body["kind"], body["pick"]
        self.applied[action] += 1
        ids = sorted(self.store.kinds[kind].ids)
        if action == "restore":
            gone = [i for i in self.deleted[kind] if i in self.store.kinds[kind].gone]
            if gone and kind in ("companies", "contacts", "leads"):
                self.store.restore(kind, [gone[pick % len(gone)]])
            return
        if action == "create":
            fields: dict[str, Any] = {}
            if "/" in kind:
                parents = sorted(self.store.kinds[kind.split("/")[0]].ids)
                if not parents:
                    return
                fields = {"entity_id": parents[pick % len(parents)]}
            self.store.create(kind, fields)
            return
        if not ids:
            return
        chosen = ids[pick % len(ids)]
        if action == "delete":
            self.store.delete(kind, [chosen])
            self.deleted[kind].append(chosen)
        elif action == "merge" and kind in ("companies", "contacts") and len(ids) > 1:
            other = ids[(pick + 1) % len(ids)]
            self.store.merge(kind, chosen, [other])
        else:
            field = "text" if kind == "tasks" else "name"
            fields = (
                {"params": {"text": f"{pick}"}} if "/" in kind else {field: f"changed {pick} {len(self.store.events)}"}
            )
            self.store.update(kind, [chosen], fields)


class Output:
    """What all syncs of an example gave, the last version of each record."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.config = {"api_url": url, "access_token": "sim-token", "requests_per_second": 5000, **settings}
        self.records: dict[tuple[str, int], dict[str, Any]] = {}
        self.state: dict[str, Any] = {}

    def sync(self) -> None:
        tap = TapAmoCRM(config=self.config, state=self.state)
        for stream in tap.streams.values():
            if stream.name not in BIG:
                stream.selected = False
        written, out = io.BytesIO(), sys.stdout
        sys.stdout = SimpleNamespace(buffer=written, flush=lambda: None)  # type: ignore[assignment]
        try:
            tap.sync_all()
        finally:
            sys.stdout = out
        for line in written.getvalue().split(b"\n"):
            if line:
                self._add(json.loads(line))

    def _add(self, message: dict[str, Any]) -> None:
        if message["type"] == "STATE":
            self.state = message["value"]
        elif message["type"] == "RECORD" and message["stream"] != "deleted_records":
            record = message["record"]
            kind = message["stream"] if message["stream"] != "notes" else f"{record['entity_type']}/notes"
            self.records[kind, record["id"]] = record


def wrong(account: Account, output: Output) -> list[str]:
    """Records that the output lacks, or has in another version than the account's last."""
    found = []
    for kind in KINDS:
        store = account.store.kinds[kind]
        for record_id in store.ids:
            record = store.get(record_id)
            seen = output.records.get((kind, record_id))
            if seen is None:
                found.append(f"{kind} {record_id} is missing")
                continue
            for name in ("name", "text", "params"):
                if name in record and seen[name] != record[name]:
                    found.append(f"{kind} {record_id}.{name} is {seen[name]!r}, last was {record[name]!r}")
    return found


CHANGE = st.tuples(
    st.integers(1, 40),
    st.sampled_from(("update", "update", "delete", "delete", "create", "merge", "restore")),
    st.sampled_from(KINDS),
    st.integers(0, 30),
)
ACCOUNTS = (
    AccountOptions(),
    AccountOptions(filter_package=False),
    AccountOptions(filter_package=False, id_filter_without_package="ignore"),
)


@pytest.mark.parametrize("share", range(SHARES))
def test_nothing_is_missed_whenever_the_account_changes(sim, share, monkeypatch):
    monkeypatch.setattr(TapAmoCRM, "_setup_signal_handlers", lambda self: None, raising=False)

    @settings(
        max_examples=EXAMPLES // SHARES,
        deadline=None,
        database=None,
        derandomize="TAP_SCHEDULES" not in os.environ,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(
        seed=st.integers(1, 10_000).map(lambda n: n * SHARES + share),
        syncs=st.lists(st.lists(CHANGE, max_size=8), min_size=1, max_size=2),
        page_size=st.sampled_from((2, 3)),
        step=st.sampled_from((0.0, 0.4, 7.0)),
        options=st.sampled_from(ACCOUNTS),
    )
    def check(seed, syncs, page_size, step, options):
        account = Account(sim, seed, step, options)
        output = Output(sim.url, page_size=page_size, lookback_seconds=4)
        for changes in syncs:
            account.plan(changes)
            output.sync()
        account.server.scheduled.clear()
        output.sync()
        lost = wrong(account, output)
        survived("changes between two requests of a sync", account.applied, records=len(lost))
        assert lost == []

    check()
