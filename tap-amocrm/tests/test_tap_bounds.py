"""What a server may ask for and how long it may take: pages, pauses, answers."""

from __future__ import annotations

import time

import pytest
from bent_api import CONTACTS, read

from tap_amocrm.auth.oauth import LongLivedToken
from tap_amocrm.config.settings import Settings
from tap_amocrm.errors import PausedError
from tap_amocrm.http import transport as wire
from tap_amocrm.http.answers import Ask
from tap_amocrm.http.client import Client
from tap_amocrm.http.metrics import Metrics
from tap_amocrm.http.retry_after import retry_after
from tap_amocrm.http.server_clock import ServerClock

USER = {"id": 1, "name": "Anna"}
EVENT = {"id": "e", "type": "contact_deleted", "entity_type": "contact", "entity_id": 1, "created_at": 1}


@pytest.mark.parametrize("filters", [True, False])
@pytest.mark.parametrize(
    ("path", "records"), [(CONTACTS, None), ("/api/v4/users", [USER]), ("/api/v4/events", [EVENT])]
)
def test_pages_that_repeat_for_ever_end_in_an_error(bent, path, records, filters):
    bent.filters = filters
    name = path.rpartition("/")[2]
    page = records or bent.lists["contacts"][:10]
    body = {"_links": {"next": {"href": f"{bent.url}{path}?page=1"}}, "_embedded": {name: page}}
    bent.bend = lambda request, asked, query: asked == path and request.answer(200, body)
    assert f"{path}: amoCRM announces further pages, but they repeat" in str(read(bent).error)
    assert sum(seen.path == path for seen in bent.seen) < 40


def test_a_list_newest_first_whose_pages_repeat_ends_in_an_error(bent):
    bent.filters = False
    first = read(bent)
    for number in range(1, 31):
        bent.change(number)
    body = {"_links": {"next": {"href": "x?page=1"}}, "_embedded": {"contacts": bent.lists["contacts"][:10]}}
    bent.bend = lambda request, asked, query: asked == CONTACTS and request.answer(200, body)
    assert "they repeat" in str(read(bent, first.state).error)


def test_empty_pages_that_announce_more_for_ever_end_in_an_error(bent, monkeypatch):
    monkeypatch.setattr("tap_amocrm.api.listing._MOST_EMPTY", 20)
    body = {"_links": {"next": {"href": "x?page=2"}}, "_embedded": {"contacts": []}}
    bent.bend = lambda request, asked, query: asked == CONTACTS and request.answer(200, body)
    assert "they are empty" in str(read(bent).error)


def test_new_pages_without_end_end_in_an_error(bent, monkeypatch):
    monkeypatch.setattr("tap_amocrm.api.listing._MOST_PAGES", 50)

    def bend(request, path, query):
        if path != CONTACTS:
            return False
        number = int(query["page"])
        body = {"_links": {"next": {"href": f"x?page={number + 1}"}}}
        return request.answer(200, {**body, "_embedded": {"contacts": [bent.record(number, 1)]}})

    bent.bend = bend
    assert "the list does not end" in str(read(bent).error)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("0", 0.5), ("3", 3), ("2.5", 2.5), ("120", 120), ("86400", 86_400), ("9" * 15, 86_400),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30), ("Wed, 21 Oct 2099 07:28:00 GMT", 86_400),
        ("Wed, 21 Oct 2020 07:28:00 GMT", None),
        ("inf", None), ("nan", None), ("-5", None), ("1e300", None), ("abc", None), ("", None), ("9" * 400, None),
    ],
)  # fmt: skip
def test_retry_after_is_read_within_bounds(told, seconds):
    headers = {"Retry-After": told, "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    assert retry_after(headers, ServerClock()) == seconds


@pytest.mark.parametrize("told", ["inf", "nan", "-5", "1e300", "abc"])
def test_a_retry_after_that_cannot_be_read_is_a_short_wait(bent, told):
    refused = []
    bent.bend = lambda request, path, query: (
        path == CONTACTS and not refused and (refused.append(1) or request.answer(429, Retry_After=told))
    )
    begun = time.monotonic()
    assert len(read(bent).names()) == 30
    assert time.monotonic() - begun < 20


def limited(api, **settings):
    config = {"api_url": api.url, "access_token": "t", "requests_per_second": 7, **settings}
    return Client(Settings.from_config(config), Metrics(), lambda _: LongLivedToken("sim-token"))


def test_a_pause_of_two_minutes_stops_all_requests_of_all_processes(bent, caplog):
    bent.bend = lambda request, path, query: request.answer(429, Retry_After="120")
    clients = [limited(bent) for _ in range(2)]
    clients[0].submit(Ask("account", "/api/v4/account"))
    while not bent.seen:
        time.sleep(0.01)
    for client in clients:
        for _ in range(6):
            client.submit(Ask("account", "/api/v4/account"))
    time.sleep(1.5)
    asked = len(bent.seen)
    for client in clients:
        client.close()
    assert asked == 1
    assert "Waiting 120 s: amoCRM requested a pause" in caplog.text or "Waiting 119 s" in caplog.text


@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_of_a_day_ends_the_run_and_the_next_process_sends_nothing(bent, status):
    bent.bend = lambda request, path, query: request.answer(status, Retry_After="86400")
    with pytest.raises(PausedError, match="requests a wait of 86,400 s"):
        limited(bent).get(Ask("account", "/api/v4/account"))
    bent.bend = None
    with pytest.raises(PausedError, match="No request is sent before"):
        limited(bent).get(Ask("account", "/api/v4/account"))
    assert len(bent.seen) == 1


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"], ids=["headers", "body"])
def test_an_answer_of_a_byte_at_a_time_does_not_hold_the_run(bent, monkeypatch, head):
    monkeypatch.setattr(wire, "_BEFORE_PACE", 0.3)

    def drip(request, path, query):
        if path != CONTACTS:
            return False
        request.raw(head)
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100:
            if not request.raw(bytes([byte])) or request.close_connection:
                break
            time.sleep(0.05)
        request.close_connection = True
        return True

    bent.bend = drip
    begun = time.monotonic()
    assert "an answer that takes too long" in str(read(bent).error)
    assert time.monotonic() - begun < 20


def test_an_answer_as_a_whole_has_a_time_limit(bent, monkeypatch):
    monkeypatch.setattr(wire, "LONGEST_ANSWER", 0.3)
    monkeypatch.setattr(wire, "_SLOWEST_PACE", 0)

    def slow(request, path, query):
        if path != CONTACTS:
            return False
        request.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
        for _ in range(9):
            request.raw(b" " * 1000)
            time.sleep(0.1)
        return True

    bent.bend = slow
    assert "an answer that takes too long" in str(read(bent).error)
