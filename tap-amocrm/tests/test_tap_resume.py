"""Runs that end in the middle: the next one continues where the last STATE was, and nothing is missed."""

from __future__ import annotations

import copy
import json
import signal
import subprocess

import pytest
from bent_api import CONTACTS, read

from tap_amocrm.positions import ListPosition, PageBoundary, Way

LONG_AGO = "2001-01-01T00:00:00Z"


def cut(bent, page):
    """Refuse the token from a page of the contacts on."""

    def bend(request, path, query):
        if path == CONTACTS and is_behind(query, page):
            return request.answer(401, {"title": "Unauthorized"})
        return False

    bent.bend = bend


def is_behind(query, page):
    return int(query.get("page", 1)) >= page or int(query.get("filter[updated_at][from]", 0)) > page * 10**8


def asked(bent):
    """The pages of contacts that were requested since the last look."""
    found = [int(s.query["page"]) for s in bent.seen if s.path == CONTACTS]
    bent.seen.clear()
    return found


def interrupted(bent, page=3, **settings):
    """The state of a run whose token was refused at a page of the contacts."""
    cut(bent, page)
    first = read(bent, **settings)
    assert "token" in str(first.error)
    bent.bend = None
    asked(bent)
    return first


def test_a_run_after_an_expired_token_asks_for_the_pages_that_are_left(bent):
    first = interrupted(bent)
    second = read(bent, first.state)
    assert second.error is None
    assert asked(bent) == [3]
    assert sorted([*first.names(), *second.names()]) == list(range(1, 31))


def test_what_was_deleted_meanwhile_hides_nothing(bent):
    first = interrupted(bent)
    (gone,) = [r for r in bent.lists["contacts"] if r["id"] == 5]
    bent.lists["contacts"].remove(gone)
    bent.lists["events"] = [
        {"id": "e1", "type": "contact_deleted", "entity_id": 5, "entity_type": "contact", "created_at": int(bent.now())}
    ]
    second = read(bent, first.state)
    # Record 21 is on page 2 now, which the interrupted run has read.
    assert set(first.names()) | set(second.names()) == set(range(1, 31))
    assert 21 in second.names()


def test_the_bookmark_is_the_time_at_which_the_interrupted_run_began(bent):
    first = interrupted(bent)
    bent.change(2)
    bent.ahead += 3600
    second = read(bent, first.state)
    assert 2 not in second.names()
    third = read(bent, second.state)
    assert third.names()[2] == "changed"


def test_a_finished_stream_is_not_read_again(bent):
    first = interrupted(bent)
    assert first.bookmark("companies")
    bent.seen.clear()
    read(bent, first.state)
    (companies,) = [s.query for s in bent.seen if s.path == "/api/v4/companies"]
    assert "filter[updated_at][from]" in companies


def test_the_rest_of_a_keyset_scan_is_read(bent):
    begun = bent.lists["contacts"][0]["updated_at"]
    seen = []

    def bend(request, path, query):
        if path != CONTACTS:
            return False
        seen.append(query)
        return len(seen) > 2 and request.answer(401, {"title": "Unauthorized"})

    bent.bend = bend
    settings = {"start_date": LONG_AGO, "max_concurrent_requests": 1}
    first = read(bent, **settings)
    bent.bend = None
    bent.seen.clear()
    second = read(bent, first.state, **settings)
    lows = [int(s.query["filter[updated_at][from]"]) for s in bent.seen if s.path == CONTACTS]
    assert min(lows) >= begun
    assert set(first.names()) | set(second.names()) == set(range(1, 31))
    assert len(second.names()) < 30


def test_with_another_start_date_the_list_is_read_from_its_beginning(bent):
    first = interrupted(bent)
    assert set(read(bent, first.state, start_date=LONG_AGO).names()) == set(range(1, 31))


def test_with_another_page_size_nothing_is_missed(bent):
    first = interrupted(bent)
    second = read(bent, first.state, page_size=7)
    assert asked(bent)[0] == 3  # 20 records were read: the third page of 7 begins at the 15th
    assert set(first.names()) | set(second.names()) == set(range(1, 31))


@pytest.mark.parametrize(
    "odd",
    [
        {"began": "x"}, {"since": "x"}, {"lists": []}, {"lists": {"contacts": []}},
        {"lists": {"contacts": {"way": "pages", "place": "many"}}}, {"lists": {"contacts": {"way": "by foot"}}},
        {"lists": {"contacts": {"way": "pages", "boundaries": "damaged"}}},
        {"lists": {"contacts": {"way": "keyset", "ranges": [[1]]}}},
    ],
)  # fmt: skip
def test_a_position_that_cannot_be_read_costs_a_full_scan(bent, odd, caplog):
    state = copy.deepcopy(interrupted(bent).state)
    state["bookmarks"]["contacts"]["unfinished"] |= odd
    assert set(read(bent, state).names()) == set(range(1, 31))
    assert "position of an interrupted reading can't be read" in caplog.text


def test_a_time_ahead_of_the_service_costs_a_full_scan(bent):
    first = interrupted(bent)
    state = copy.deepcopy(first.state)
    state["bookmarks"]["contacts"]["unfinished"]["began"] += 10**6
    assert set(read(bent, state).names()) == set(range(1, 31))


def test_a_position_survives_the_state():
    boundaries = tuple(PageBoundary(250 * n, 1000 * n, 1000 * n + n, 1.7e9 + n, 1.7e9 + n + 2) for n in range(1, 4000))
    position = ListPosition(Way.PAGES, 10**6, 4 * 10**6, 1.7e9, 1.7e9 + 1, 5, (), boundaries)
    text = json.dumps(position.to_json())
    again = ListPosition.from_json(json.loads(text))
    assert again.place, again.last == (position.place, position.last)
    assert [b[:3] for b in again.boundaries] == [b[:3] for b in boundaries]
    assert all(a.since <= b.since and a.until >= b.until for a, b in zip(again.boundaries, boundaries, strict=True))
    assert len(text) < 12 * len(boundaries)


@pytest.mark.parametrize("stream", ["contacts", "notes"])
def test_after_a_kill_hardly_more_pages_are_read_than_without(start, stream):
    tap = start(companies=300)
    tap.settings |= {"page_size": 10}
    whole = tap.run()
    undisturbed = pages(tap)
    messages, state = [], None
    process = subprocess.Popen(tap.command(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in process.stdout:
        messages.append(json.loads(line))
        state = messages[-1]["value"] if messages[-1]["type"] == "STATE" else state
        if messages[-1]["type"] == "STATE" and (state["bookmarks"].get(stream) or {}).get("unfinished"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    killed = {m["record"]["id"] for m in messages if m["type"] == "RECORD" and m["stream"] == stream}
    before = pages(tap)
    second = tap.run(state)
    assert second.code == 0
    assert killed | second.ids(stream) == whole.ids(stream)
    # What was written up to that STATE is not read again; the last eight pages before it may be.
    assert pages(tap)[stream] - before[stream] <= undisturbed[stream] - len(killed) // 10 + 16


def pages(tap):
    """Requests so far by stream."""
    found = {"contacts": 0, "notes": 0}
    for path, count in tap.sim.stats["by_path"].items():
        name = path.rsplit("/", 1)[-1]
        if name in found:
            found[name] += count
    return found
