"""Answers that are not what was asked for: asked again, then an error; never taken for an empty list."""

from __future__ import annotations

import gzip
import json

import pytest
from bent_api import CONTACTS, read
from survived import survived

from tap_amocrm.http import transport as wire

NO_LISTS = {
    "an error as 200": {"status": "error", "message": "maintenance"},
    "an empty object": {},
    "no _embedded": {"_page": 1, "_links": {}},
    "_embedded a list": {"_embedded": []},
    "_embedded without the list": {"_embedded": {"leads": []}},
    "the list an object": {"_embedded": {"contacts": {"a": 1}}},
    "the list null": {"_embedded": {"contacts": None}},
    "records that are numbers": {"_embedded": {"contacts": [1, 2]}},
    "next a number": {"_embedded": {"contacts": []}, "_links": {"next": {"href": 5}}},
    "a list": [],
    "null": None,
}
ANSWERS = {
    **{name: (200, json.dumps(body).encode()) for name, body in NO_LISTS.items()},
    "html": (200, b"<html>login</html>"),
    "nested too deep": (200, b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "304": (304, b""),
    "204": (204, b""),
}


def bend_contacts(api, answer, times=1000, path=CONTACTS):
    """Answer the next requests for contacts so; the requests that were bent."""
    bent = []

    def bend(request, asked, query):
        if asked != path or len(bent) >= times:
            return False
        bent.append(query)
        return request.answer(*answer)

    api.bend = bend
    return bent


@pytest.mark.parametrize("filters", [True, False], ids=["filters", "newest first"])
@pytest.mark.parametrize("kind", ANSWERS)
def test_a_change_is_not_missed_when_its_list_answers_something_else(bent, kind, filters):
    bent.filters = filters
    first = read(bent)
    bent.ahead = 600
    bent.change(5)
    bent.ahead = 1200
    bent_requests = bend_contacts(bent, ANSWERS[kind], times=1)
    once = read(bent, first.state)
    assert bent_requests
    bend_contacts(bent, ANSWERS[kind])
    always = read(bent, first.state)
    assert kind == "204" or always.error is not None
    bent.bend, bent.ahead = None, 1800
    after = read(bent, always.state or first.state)
    lost = [done for done in (once, after) if done.names().get(5) != "changed"]
    survived("malformed answers", {kind: 2}, records=len(lost))
    assert lost == []


def test_a_list_that_comes_as_an_object_with_indexes_as_keys_is_read(bent):
    records = {str(number): record for number, record in enumerate(bent.lists["contacts"][:10], 1)}
    bend_contacts(bent, (200, json.dumps({"_embedded": {"contacts": records}}).encode()))
    assert len(read(bent).names()) == 10


def test_a_first_run_does_not_take_a_list_for_empty_for_ever(bent):
    bend_contacts(bent, (204, b""))
    first = read(bent)
    bent.bend = None
    assert len(read(bent, first.state).names()) == 30


def test_an_empty_answer_of_a_list_that_had_records_is_reported(bent, caplog):
    first = read(bent)
    bend_contacts(bent, (204, b""))
    second = read(bent, first.state)
    assert second.bookmark() == first.bookmark()
    assert "contacts: amoCRM returned an empty list" in caplog.text


def test_a_list_that_was_emptied_is_believed_in_the_end(bent, caplog):
    first = read(bent)
    bent.lists["contacts"] = []
    second = read(bent, read(bent, first.state).state)
    caplog.clear()
    read(bent, second.state)
    assert "held records" not in caplog.text


def test_a_quiet_run_asks_no_list_twice(bent):
    first = read(bent)
    bent.seen.clear()
    assert read(bent, first.state).names() == {}
    assert [seen.path for seen in bent.seen].count(CONTACTS) == 1


def test_events_that_answer_nothing_at_once_are_asked_again(bent):
    bent.lists["events"] = [
        {"id": "e1", "type": "contact_deleted", "entity_id": 4, "entity_type": "contact", "created_at": 1_780_000_000}
    ]
    first = read(bent)
    assert len(first.records["deleted_records"]) == 1
    bend_contacts(bent, (204, b""), path="/api/v4/events")
    second = read(bent, first.state)
    assert second.bookmark("deleted_records") == first.bookmark("deleted_records")


def test_an_account_that_answers_nothing_is_one_sentence(bent):
    bend_contacts(bent, (204, b""), path="/api/v4/account")
    assert "/api/v4/account" in str(read(bent).error)


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity", b"1" * 5000])
def test_a_record_with_nan_does_not_stop_the_run_and_leaves_that_property_out(bent, constant, caplog):
    body = b'{"_embedded":{"contacts":[{"id":1,"name":"a","updated_at":5,"price":' + constant + b"}]}}"
    bend_contacts(bent, (200, body))
    (record,) = read(bent).records["contacts"]
    assert record["name"] == "a"
    assert "price" not in record
    assert "NaN or Infinity" in caplog.text


def test_a_record_with_a_control_character_in_a_text_does_not_stop_the_run(bent):
    bend_contacts(bent, (200, b'{"_embedded":{"contacts":[{"id":1,"name":"a\x01b","updated_at":5}]}}'))
    assert read(bent).names() == {1: "a\x01b"}


def test_no_cookie_of_an_answer_is_sent_with_the_next_request(bent):
    def with_cookie(request, path, query):
        return request.answer(*bent.page(path, query), Set_Cookie="session=theirs; Path=/")

    bent.bend = with_cookie
    assert len(read(bent).names()) == 30
    assert not any("Cookie" in seen.headers for seen in bent.seen)


def test_a_body_that_unpacks_to_more_than_the_limit_is_refused_with_the_limit(bent, monkeypatch):
    monkeypatch.setattr(wire, "LARGEST_ANSWER", 3 * 1024 * 1024)
    monkeypatch.setattr("tap_amocrm.http.faults.LARGEST_ANSWER", 3 * 1024 * 1024)
    bomb = gzip.compress(b" " * 30_000_000)
    bent.bend = lambda request, path, query: path == CONTACTS and request.answer(200, bomb, Content_Encoding="gzip")
    assert "a body of more than 3 MB once unpacked" in str(read(bent).error)
    assert sum(seen.path == CONTACTS for seen in bent.seen) <= 3
