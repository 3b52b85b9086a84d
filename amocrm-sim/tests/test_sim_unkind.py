"""What a client must live with: limits, bans, tokens, faults, and data that changes while it is read."""

from __future__ import annotations

import time

import pytest
import requests

from amocrm_sim.gate import RateLimit


def test_the_eighth_request_of_a_second_is_refused(start):
    caller = start(rps=7)
    statuses = [caller.ask("account").status_code for _ in range(8)]
    assert statuses == [200] * 7 + [429]


def test_the_limit_holds_in_any_sliding_second_not_by_the_clock():
    limit = RateLimit(7)
    assert all(limit.admits(0.9 + n / 100) for n in range(7))
    assert not limit.admits(1.5)
    assert limit.admits(2.6)


def test_whoever_goes_on_after_refusals_is_banned_with_a_page_of_html(start):
    caller = start(rps=1)
    for _ in range(40):
        answer = caller.ask("account")
    assert answer.status_code == 403
    assert answer.headers["Content-Type"].startswith("text/html")
    caller.sim.control("unban", now=True)
    assert caller.ask("account").status_code == 200


def test_a_wrong_token_is_answered_401_as_a_problem(start):
    caller = start()
    caller.session.headers["Authorization"] = "Bearer wrong"
    answer = caller.ask("account")
    assert answer.status_code == 401
    assert answer.headers["Content-Type"].startswith("application/problem+json")


def test_an_address_that_is_too_long_is_answered_414(start):
    caller = start()
    query = "&".join(f"filter[id][]={i}" for i in range(20_000_000, 20_000_600))
    assert caller.ask(f"contacts?{query}").status_code == 414


def exchange(caller, **body):
    given = {"client_id": "sim-client", "client_secret": "sim-secret", "redirect_uri": "http://127.0.0.1/", **body}
    return requests.post(f"{caller.sim.url}/oauth2/access_token", json=given, timeout=30)


def test_an_authorisation_code_is_good_once(start):
    caller = start()
    first = exchange(caller, grant_type="authorization_code", code="sim-code")
    assert first.status_code == 200
    caller.session.headers["Authorization"] = f"Bearer {first.json()['access_token']}"
    assert caller.ask("account").status_code == 200
    assert exchange(caller, grant_type="authorization_code", code="sim-code").status_code == 400


def test_a_refresh_token_rotates_and_the_old_one_is_worth_nothing(start):
    caller = start()
    first = exchange(caller, grant_type="authorization_code", code="sim-code").json()["refresh_token"]
    second = exchange(caller, grant_type="refresh_token", refresh_token=first)
    assert second.status_code == 200
    assert second.json()["refresh_token"] != first
    assert exchange(caller, grant_type="refresh_token", refresh_token=first).status_code == 400


def test_an_access_token_ends_and_can_be_ended_by_the_controls(start):
    caller = start(access_token_lifetime=3600)
    token = exchange(caller, grant_type="authorization_code", code="sim-code").json()["access_token"]
    caller.session.headers["Authorization"] = f"Bearer {token}"
    assert caller.ask("account").status_code == 200
    caller.sim.control("expire_tokens", now=True)
    assert caller.ask("account").status_code == 401


@pytest.mark.parametrize(("kind", "status"), [("500", 500), ("502", 502), ("504", 504), ("429", 429), ("204", 204)])
def test_a_scripted_fault_spoils_just_that_answer(start, kind, status):
    caller = start()
    caller.sim.control("faults", script={"2": kind})
    assert [caller.ask("companies").status_code for _ in range(3)] == [200, status, 200]


def test_a_reset_gives_no_answer_at_all(start):
    caller = start()
    caller.sim.control("faults", script={"1": "reset"})
    with pytest.raises(requests.ConnectionError):
        caller.ask("companies")


def test_a_cut_body_is_not_json(start):
    caller = start()
    caller.sim.control("faults", script={"1": "cut"})
    with pytest.raises(requests.JSONDecodeError):
        caller.ask("companies").json()


def test_html_with_200_is_one_of_the_faults(start):
    caller = start()
    caller.sim.control("faults", script={"1": "html200"})
    answer = caller.ask("companies")
    assert answer.status_code == 200
    assert answer.text.startswith("<!DOCTYPE html>")


def test_a_broken_gzip_body_cannot_be_read(start):
    caller = start()
    caller.sim.control("faults", script={"1": "gzip"})
    with pytest.raises(requests.exceptions.ContentDecodingError):
        caller.ask("companies")


def test_rates_give_about_that_share_of_faults(start):
    caller = start(faults="500=0.3")
    statuses = [caller.ask("account").status_code for _ in range(200)]
    assert 30 < statuses.count(500) < 90


def test_latency_is_kept(start):
    caller = start(latency="200-300")
    started = time.monotonic()
    caller.ask("account")
    assert time.monotonic() - started > 0.19


def test_a_change_touches_updated_at_and_leaves_an_event(start):
    caller = start()
    contact = min(caller.sim.truth("contacts"))
    before = caller.sim.truth("contacts")[contact]["updated_at"]
    caller.sim.change("update", kind="contacts", ids=[contact], fields={"name": "Новое имя"})
    after = caller.sim.truth("contacts")[contact]
    assert after["name"] == "Новое имя"
    assert after["updated_at"] > before


def test_a_new_note_leaves_its_parent_as_it_was(start):
    caller = start()
    contact = min(caller.sim.truth("contacts"))
    before = caller.sim.truth("contacts")[contact]["updated_at"]
    caller.sim.change("create", kind="contacts/notes", fields={"entity_id": contact, "params": {"text": "Привет"}})
    assert caller.sim.truth("contacts")[contact]["updated_at"] == before
    assert any(n["params"] == {"text": "Привет"} for n in caller.records(f"contacts/{contact}/notes"))


def test_what_is_deleted_leaves_the_lists_and_an_event_tells(start):
    caller = start()
    contact = min(caller.sim.truth("contacts"))
    caller.sim.change("delete", kind="contacts", ids=[contact])
    assert contact not in caller.ids("contacts?limit=250")
    events = caller.records("events?filter[type]=contact_deleted")
    assert events[0]["entity_id"] == contact
    assert contact in caller.ids("contacts?with=only_deleted")


def test_what_is_restored_comes_back(start):
    caller = start()
    contact = min(caller.sim.truth("contacts"))
    caller.sim.change("delete", kind="contacts", ids=[contact])
    caller.sim.change("restore", kind="contacts", ids=[contact])
    assert contact in caller.ids("contacts?limit=250")
    assert next(e["type"] for e in caller.records("events?limit=100")) == "contact_restored"


def test_merging_leaves_the_survivor_and_an_event(start):
    caller = start()
    survivor, loser = sorted(caller.sim.truth("contacts"))[:2]
    caller.sim.change("merge", kind="contacts", into=survivor, ids=[loser])
    assert loser not in caller.sim.truth("contacts")
    assert "entity_merged" in [e["type"] for e in caller.records("events?limit=100")]


def test_events_come_at_most_a_hundred_a_page_and_late_when_so_asked(start):
    caller = start(event_delay=3600)
    before = caller.records("events?limit=100")
    caller.sim.change("delete", kind="contacts", ids=sorted(caller.sim.truth("contacts"))[:5])
    assert caller.records("events?limit=100") == before
    assert len(caller.records("events?limit=101")) <= 50


def test_a_scheduled_change_happens_between_two_requests(start):
    caller = start()
    first, second = sorted(caller.sim.truth("contacts"))[:2]
    body = {"kind": "contacts", "ids": [first]}
    caller.sim.control("schedule", request=2, action="delete", body=body)
    assert caller.ids("contacts?limit=1") == [first]
    assert caller.ids("contacts?limit=1") == [second]


def test_a_deletion_shifts_the_pages_after_it(start):
    caller = start()
    before = caller.ids("contacts?limit=10&page=2")
    caller.sim.change("delete", kind="contacts", ids=[caller.ids("contacts?limit=1")[0]])
    assert caller.ids("contacts?limit=10&page=2")[:9] == before[1:]


def test_the_next_link_of_some_accounts_names_another_host(start):
    href = start(foreign_next=True).ask("contacts?limit=1").json()["_links"]["next"]["href"]
    assert href.startswith("http://internal.amocrm.local/")


def test_what_the_user_may_not_see_is_in_no_list_and_has_no_page_of_its_own(start):
    caller = start(hidden_user=5_000_003)
    truth = caller.sim.truth("contacts")
    hidden = {i for i, r in truth.items() if r["responsible_user_id"] == 5_000_003}
    assert hidden
    assert set(caller.ids("contacts?limit=250")) == set(truth) - hidden
    assert caller.ask(f"contacts/{min(hidden)}").status_code == 204


@pytest.mark.parametrize(("touch", "changed"), [("child", (True, False)), ("company", (False, True))])
def test_a_link_changes_the_time_of_the_side_that_was_told(start, touch, changed):
    caller = start()
    contact, company = min(caller.sim.truth("contacts")), min(caller.sim.truth("companies"))
    before = [caller.sim.truth("contacts")[contact]["updated_at"], caller.sim.truth("companies")[company]["updated_at"]]
    caller.sim.change("link", kind="contacts", id=contact, company_id=company, touch=touch)
    after = [caller.sim.truth("contacts")[contact], caller.sim.truth("companies")[company]]
    assert [c["id"] for c in after[0]["_embedded"]["companies"]] == [company]
    assert tuple(a["updated_at"] > b for a, b in zip(after, before, strict=True)) == changed


def test_every_request_is_on_record_with_its_arrival(start):
    caller = start()
    caller.ask("companies?limit=1")
    caller.ask("account")
    paths = [(r["path"], r["status"]) for r in caller.sim.requests]
    assert paths == [("/api/v4/companies", 200), ("/api/v4/account", 200)]
    assert caller.sim.requests[0]["at"] < caller.sim.requests[1]["at"]
