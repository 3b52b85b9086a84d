"""Stretches of a list read by pages that overlap: nothing hides between two of them, whatever comes and goes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedules import Account, Output

from amocrm_sim.query import AccountOptions
from amocrm_sim.testing import SimulatorServer
from tap_amocrm.reading.overlapping_pages import OverlappingPages
from tap_amocrm.tap import TapAmoCRM

STREAMS = ("contacts", "deleted_records")
PLAIN = AccountOptions(filter_package=False)


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorServer]:
    with SimulatorServer(companies=1, rps=0) as running:
        yield running


@pytest.fixture(autouse=True)
def no_signals(monkeypatch):
    monkeypatch.setattr(TapAmoCRM, "_setup_signal_handlers", lambda self: None, raising=False)


def missing(account, output):
    """Contacts of the account that the output lacks."""
    return [i for i in account.store.kinds["contacts"].ids if ("contacts", i) not in output.records]


def requests_of_a_sync(account, output):
    """How many requests a sync takes when nothing happens."""
    account.server.log.entries.clear()
    output.sync()
    return len(account.server.log.entries)


def test_a_record_that_comes_back_while_a_border_is_read_again_hides_no_other(sim):
    usual = requests_of_a_sync(Account(sim, 9, 0.4, PLAIN), Output(sim.url, streams=STREAMS, page_size=2))
    lost = {}
    for gone in range(3, usual):
        for back in range(gone + 1, usual + 5):
            account = Account(sim, 9, 0.4, PLAIN)
            output = Output(sim.url, streams=STREAMS, page_size=2, lookback_seconds=4)
            account.plan([(gone, "delete", "contacts", 1), (back, "restore", "contacts", 0)])
            output.sync()
            account.server.scheduled.clear()
            output.sync()
            if missing(account, output):
                lost[gone, back] = missing(account, output)
    assert usual > 7
    assert lost == {}


def test_a_second_with_many_pages_is_read_whole_while_records_leave_it_and_come_back(sim):
    def changed():
        account = Account(sim, 9, 0.4, AccountOptions())
        kind = account.store.kinds["contacts"]
        for _ in range(20):
            account.store.create("contacts")
        output = Output(sim.url, streams=STREAMS, page_size=8, lookback_seconds=4)
        output.sync()
        output.records.clear()
        account.store.update("contacts", list(kind.ids), updated_at=account.store.now() + 1)
        account.server.log.entries.clear()
        return account, output

    usual = requests_of_a_sync(*changed())
    lost = {}
    for gone in range(1, usual + 1):
        for back in range(gone, usual + 2):
            account, output = changed()
            moved = list(account.store.kinds["contacts"].ids)[2]
            account.plan([(gone, "delete", "contacts", 2), (back, "restore", "contacts", 0)])
            output.sync()
            others = [i for i in missing(account, output) if i != moved]
            if others:
                lost[gone, back] = others
    assert usual > 6
    assert lost == {}


def test_without_events_and_filters_a_deletion_during_a_full_reading_hides_nothing(sim):
    def refused():
        account = Account(sim, 9, 0.4, PLAIN)
        output = Output(sim.url, streams=("contacts",), page_size=8)
        for _ in range(40):
            account.store.create("contacts")
        output.state = {"tap_amocrm": {"events_refused": True}}
        return account, output

    account, output = refused()
    usual = requests_of_a_sync(account, output)
    assert missing(account, output) == []
    for gone in range(2, usual + 1):
        account, output = refused()
        account.plan([(gone, "delete", "contacts", 1), (gone, "delete", "contacts", 2)])
        output.sync()
        assert missing(account, output) == [], gone
    assert usual > 8


def test_records_that_the_user_may_not_see_stop_no_reading_by_overlapping_pages(sim):
    account = Account(sim, 9, 0.4, PLAIN)
    for _ in range(60):
        account.store.create("contacts", {"responsible_user_id": 5_000_001})
    kind = account.store.kinds["contacts"]
    hidden = list(kind.ids)[15:45]
    account.store.update("contacts", hidden, {"responsible_user_id": 5_000_002})
    account.server.options.account = AccountOptions(filter_package=False, hidden_user=5_000_002)
    output = Output(sim.url, streams=("contacts",), page_size=8)
    output.state = {"tap_amocrm": {"events_refused": True}}
    output.sync()
    assert set(missing(account, output)) == {i for i in kind.ids if kind.responsible(i) == 5_000_002} >= set(hidden)


def page_at(place, size, margin=None):
    """The first and the last place of the page asked for, and its limit."""
    client = SimpleNamespace(settings=SimpleNamespace(page_size=size))
    number, limit = OverlappingPages(client, SimpleNamespace(), []).page_at(place, margin)
    return (number - 1) * limit, number * limit, limit


@given(place=st.integers(1, 1_000_000), size=st.integers(1, 250), quarter=st.booleans())
def test_a_page_begins_in_front_of_its_place_and_reaches_behind_it(place, size, quarter):
    begin, end, limit = page_at(place, size, size // 4 if quarter else None)
    assert begin < place < end
    largest = max(size, 8)
    # Where all sizes up to `largest` divide the place, no page of such a size begins in front of it and reaches behind.
    assert limit <= (largest if place % math.lcm(*range(1, largest + 1)) else 250)


@pytest.mark.parametrize(
    ("place", "size"), [(840, 1), (840, 8), (2520, 8), (2520, 10), (27_720, 12), (360_360, 15), (720_720, 16)]
)
def test_a_page_reaches_behind_a_place_that_every_page_size_divides(place, size):
    begin, end, limit = page_at(place, size)
    assert begin < place < end
    assert limit <= 17


@pytest.mark.parametrize(("place", "size", "margin"), [(456, 8, 2), (840, 8, 2)])
def test_a_page_that_shows_much_in_front_of_its_place_still_reaches_behind_it(place, size, margin):
    begin, end, _ = page_at(place, size, margin)
    assert begin < place < end
