"""Wrong clocks, the service's or this machine's: a change between two runs arrives in the second, or in the third."""

from __future__ import annotations

import os
import time
from datetime import datetime
from types import SimpleNamespace

import pytest
from bent_api import BentApi, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from survived import survived

from tap_amocrm.tap import TapAmoCRM

ACCOUNT, USERS = "/api/v4/account", "/api/v4/users"
HOURS = 3600.0
EXAMPLES = int(os.environ.get("TAP_CLOCKS", "40"))


def came_after(api, first, *, change_at=600, second_at=1200):
    """Contacts that changed between two runs and came in the second."""
    api.date = lambda path: api.now()
    api.ahead = change_at
    api.change(5)
    api.ahead = second_at
    return {i for i, name in read(api, first.state).names().items() if name == "changed"}


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize("path", [ACCOUNT, USERS, "/api/v4/contacts", "/api/v4/events"])
@pytest.mark.parametrize("ahead", [0.5 * HOURS, 2 * HOURS, 650_000 * HOURS])
def test_one_answer_with_a_clock_that_is_ahead_loses_nothing(bent, path, ahead):
    bent.date = lambda p: bent.now() + (ahead if p == path else 0)
    first = read(bent)
    assert seconds(first.bookmark()) <= bent.now() + 1
    assert came_after(bent, first) == {5}


@pytest.mark.parametrize("ahead", [900, 0.5 * HOURS])
def test_a_whole_run_with_a_clock_that_is_ahead_loses_nothing_while_this_machine_s_is_right(bent, ahead):
    bent.date = lambda p: bent.now() + ahead
    assert came_after(bent, read(bent)) == {5}


def test_a_clock_that_is_behind_only_repeats_records(bent):
    bent.date = lambda p: bent.now() - (2 * HOURS if p == USERS else 0)
    assert came_after(bent, read(bent)) == {5}


def test_a_step_of_this_machine_s_clock_does_not_move_bookmarks_into_the_future(bent, monkeypatch):
    begun = time.monotonic()

    def stepped():
        return time.time() + (HOURS if time.monotonic() - begun > 0.1 else 0)

    monkeypatch.setattr("tap_amocrm.http.server_clock.time", SimpleNamespace(time=stepped, monotonic=time.monotonic))
    bent.bend = lambda request, path, query: time.sleep(0.15) if path == ACCOUNT else False
    first = read(bent)
    assert seconds(first.bookmark()) <= bent.now() + 1


def test_answers_without_a_date_leave_the_bookmarks_where_they_are(bent, caplog):
    first = read(bent)
    bent.date = lambda path: None
    second = read(bent, first.state)
    assert second.bookmark() == first.bookmark()
    assert "carry no date" in caplog.text


def test_a_bookmark_ahead_of_the_service_s_clock_is_drawn_back_with_a_warning(bent, caplog):
    first = read(bent)
    first.state["bookmarks"]["contacts"]["replication_key_value"] = "2100-01-01T00:00:00+00:00"
    second = read(bent, first.state)
    assert len(second.names()) == 30
    assert "contacts: the bookmark 2100-01-01" in caplog.text
    assert "is ahead of amoCRM's clock" in caplog.text
    assert seconds(second.bookmark()) <= bent.now() + 1


def test_a_bookmark_that_only_later_answers_show_to_be_ahead_loses_nothing(bent):
    first = read(bent)
    bent.ahead = -2 * HOURS
    # The account's answer alone still has the wrong clock that set the bookmark.
    bent.date = lambda path: bent.now() + (2 * HOURS + 60 if path == ACCOUNT else 0)
    second = read(bent, first.state)
    bent.date = lambda path: bent.now()
    third = read(bent, second.state)
    assert len({**second.names(), **third.names()}) == 30
    assert seconds(third.bookmark()) <= bent.now() + 1


def test_a_time_of_definitions_ahead_of_the_service_s_clock_makes_them_be_read_again(bent, caplog):
    first = read(bent, definitions_lifetime=3600)
    assert read(bent, first.state, definitions_lifetime=3600).names("users") == {}
    first.state["tap_amocrm"]["definitions"]["users"]["read_at"] = 4_102_444_800
    assert read(bent, first.state, definitions_lifetime=3600).names("users") == {1: "Anna"}
    assert "users: the time of the last reading is later" in caplog.text


@pytest.mark.parametrize("odd", [[None], [None] * 3, [1_000_000_000]])
def test_odd_times_at_the_top_do_not_end_a_reading_newest_first(bent, odd):
    bent.filters = False
    first = read(bent)
    bent.ahead = 600
    for number in range(8, 23):
        bent.change(number)
    for number, at in enumerate(odd, 1):
        bent.lists["contacts"][number - 1]["updated_at"] = at
    top = [r["id"] for r in bent.lists["contacts"][: len(odd)]]

    def odd_first(request, path, query):
        if path != "/api/v4/contacts":
            return False
        records = sorted(bent.lists["contacts"], key=lambda r: (r["id"] not in top, -(r["updated_at"] or 0)))
        size, number = int(query["limit"]), int(query["page"])
        links = {"next": {"href": f"x?page={number + 1}"}} if len(records) > size * number else {}
        part = records[size * (number - 1) : size * number]
        return request.answer(200, {"_links": links, "_embedded": {"contacts": part}})

    bent.bend = odd_first
    bent.ahead = 1200
    names = read(bent, first.state).names()
    assert {i for i, name in names.items() if name == "changed"} == set(range(8, 23))


OFFSETS = st.sampled_from([0.0, 0.0, 0.0, 0.0, -7200.0, -60.0, -2.0, 2.0, 90.0, 1800.0, 7200.0, 2.3e9])
RUNS = st.lists(
    st.tuples(
        st.lists(st.integers(1, 12), max_size=3),  # which contacts change before the run
        st.lists(st.integers(1, 12), max_size=2),  # and which while it reads
        st.lists(OFFSETS, min_size=1, max_size=8),  # by how much the Date of each answer in turn is wrong
        st.sampled_from([0.0, -7200.0, 7200.0, -90_000.0]),  # by how much this machine's clock is wrong
    ),
    min_size=1,
    max_size=3,
)


ONCE = {"deadline": None, "database": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=EXAMPLES, **ONCE)
@given(runs=RUNS, filters=st.booleans())
def test_nothing_is_missed_whatever_clocks_say_as_long_as_one_answer_of_a_run_is_right(runs, filters):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TapAmoCRM, "_setup_signal_handlers", lambda self: None, raising=False)
        api = BentApi(contacts=12)
        try:
            lost = play(api, runs, patch, filters=filters)
        finally:
            api.close()
    kinds = {"answers with a wrong date": sum(bool(o) for r in runs for o in r[2]), "own clock": len(runs)}
    survived("clocks", kinds, records=len(lost))
    assert lost == []


def play(api, runs, patch, *, filters):
    """The runs with their changes, then a quiet one; the contacts whose last version did not come."""
    api.filters = filters
    seen, state = {}, None
    for number, (before, meanwhile, offsets, own) in enumerate([*runs, ([], [], [0.0], 0.0)]):
        api.ahead = 900.0 * number
        own_clock = SimpleNamespace(time=lambda own=own: time.time() + own, monotonic=time.monotonic)
        patch.setattr("tap_amocrm.http.server_clock.time", own_clock)
        for contact in before:
            api.change(contact, f"before {number}")
        api.ahead += 300
        asked, late = [], iter(meanwhile)

        def date(path, offsets=offsets, asked=asked):
            # The last answer of a run, that of the deletions, is right.
            asked.append(path)
            right = path == "/api/v4/events" or len(asked) > 20
            return api.now() + (0 if right else offsets[len(asked) % len(offsets)])

        def bend(request, path, query, late=late, number=number):
            contact = next(late, None) if path == "/api/v4/tasks" else None
            if contact is not None:
                api.change(contact, f"meanwhile {number}")
            return False

        api.date, api.bend = date, bend
        done = read(api, state)
        assert done.error is None
        state = done.state
        seen |= done.names()
    return [r["id"] for r in api.lists["contacts"] if seen.get(r["id"]) != r["name"]]


def test_a_clock_of_this_machine_that_is_behind_costs_no_second_reading(bent, monkeypatch):
    gone = {"id": "e1", "type": "contact_deleted", "entity_id": 99, "entity_type": "contact"}
    bent.lists["events"] = [{**gone, "created_at": int(bent.now()) - 600}]
    behind = SimpleNamespace(time=lambda: time.time() - HOURS, monotonic=time.monotonic)
    monkeypatch.setattr("tap_amocrm.http.server_clock.time", behind)
    for contact in bent.lists["contacts"]:
        contact["id"] *= 3  # between two ids there may be another
    assert len(read(bent).names()) == 30
    # Three pages: no page boundary is read again for a deletion that was long before.
    assert [seen.path for seen in bent.seen].count("/api/v4/contacts") == 3
