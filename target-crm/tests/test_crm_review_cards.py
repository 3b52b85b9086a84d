"""Conflicts by record: all of a record's conflicts on one card, settled field by field or as a whole."""

from __future__ import annotations

import re

import pytest
import review_data
from review_server import hidden, plain, serving


@pytest.fixture
def served(crm):
    review_data.fill_three_each(crm, 3)
    with serving(crm.config) as found:
        yield found


def decide(browser, page, address, **fields):
    given = dict(re.findall(r'name="(seen-\d+)" value="([^"]*)"', page))
    return browser.send(address, {"form_token": hidden(page, "form_token"), **given, **fields})


def first_card(browser):
    answer = browser.get("/cards")
    return answer.text, answer.url.removeprefix(browser.url).partition("?")[0]


def numbers_on(page):
    return [int(n) for n in re.findall(r'name="seen-(\d+)"', page)]


def resolutions(crm):
    return {c["id"]: c["resolution"] for c in crm.conflicts() if c["resolution"]}


def test_a_card_holds_all_conflicts_of_a_record_and_says_where_one_is(served):
    page, _ = first_card(served.enter())
    assert len(numbers_on(page)) == 3
    text = plain(page)
    assert "1–3 of 9" in text
    assert all(label in text for label in ("First name", "Last name", "Position"))


def test_everything_is_taken_from_amocrm_as_one_run_and_the_next_card_comes(crm, served):
    browser = served.enter()
    page, address = first_card(browser)
    answer = decide(browser, page, address, all="amo")
    assert resolutions(crm) == dict.fromkeys(numbers_on(page), "amo")
    assert len(crm.execute("SELECT id FROM sync_runs WHERE kind = 'resolve'")) == 1
    assert "4–6 of 9" in plain(answer.text)
    assert not set(numbers_on(answer.text)) & set(numbers_on(page))


def test_each_field_is_decided_on_its_own(crm, served):
    browser = served.enter()
    page, address = first_card(browser)
    first, second, third = numbers_on(page)
    fields = {f"take-{first}": "amo", f"take-{second}": "crm", f"take-{third}": "value", f"value-{third}": "Третье"}
    decide(browser, page, address, **fields)
    assert resolutions(crm) == {first: "amo", second: "crm", third: "value"}
    assert "Третье" in [row["position"] for row in crm.rows("contacts")]
    (run,) = crm.execute("SELECT counts FROM sync_runs WHERE kind = 'resolve'")
    assert run["counts"]["contacts"]["settled"] == 3


def test_what_was_left_open_keeps_its_card(crm, served):
    browser = served.enter()
    page, address = first_card(browser)
    first, *others = numbers_on(page)
    answer = decide(browser, page, address, **{f"take-{first}": "crm"})
    assert numbers_on(answer.text) == others
    assert "2–3 of 9" in plain(answer.text)


def test_a_card_decided_by_what_somebody_has_changed_since_writes_nothing_of_it(crm, served):
    browser = served.enter()
    page, address = first_card(browser)
    key = address.rpartition("/")[2]
    crm.execute("UPDATE contacts SET position = 'Только что' WHERE id = %s", key)
    answer = decide(browser, page, address, all="amo")
    assert answer.status_code == 409
    assert len(resolutions(crm)) == 2
    assert crm.execute("SELECT position FROM contacts WHERE id = %s", key) == [{"position": "Только что"}]
    assert "Not saved" in plain(answer.text)


def test_a_card_is_taken_back_as_one(crm, served):
    browser, before = served.enter(), crm.rows("contacts")
    page, address = first_card(browser)
    decide(browser, page, address, all="amo")
    (run,) = crm.execute("SELECT id FROM sync_runs WHERE kind = 'resolve'")
    browser.post(f"/runs/{run['id']}/undo", {"to": "conflicts"})
    assert resolutions(crm) == {}
    strip = [{k: v for k, v in row.items() if k != "updated_at"} for row in crm.rows("contacts")]
    assert strip == [{k: v for k, v in row.items() if k != "updated_at"} for row in before]


def test_nothing_chosen_is_said_and_writes_nothing(crm, served):
    browser = served.enter()
    page, address = first_card(browser)
    answer = decide(browser, page, address)
    assert answer.status_code == 422
    assert "Nothing was selected" in plain(answer.text)
    assert resolutions(crm) == {}


def test_skipped_cards_come_again_after_the_last_one(served):
    browser = served.enter()
    page, address = first_card(browser)
    seen = [address]
    while found := re.search(r'href="([^"]*)" rel="next"', page):
        page = browser.get(found[1].replace("&amp;", "&")).text
        seen.append(found[1].partition("?")[0])
    assert len(set(seen)) == 3
    last = decide(browser, page, seen[-1], all="crm")
    assert last.url.removeprefix(browser.url).startswith(seen[0])
