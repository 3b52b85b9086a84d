"""The page's lists: order, text search, export, decisions with names, rejects by reason, undo row by row."""

from __future__ import annotations

import csv
import html
import io
import re

import pytest
from review_desk import at_desk
from review_server import plain

from target_crm.web.page import link


@pytest.fixture
def desk(crm):
    with at_desk(crm) as found:
        yield found


def listed(page):
    return [int(n) for n in re.findall(r'name="id" value="(\d+)"', page)]


def test_conflicts_are_listed_from_the_oldest_or_from_the_newest(desk):
    oldest = listed(desk.browser.get("/conflicts").text)
    assert oldest == desk.open()
    assert listed(desk.browser.get("/conflicts?sort=newest").text) == oldest[::-1]


@pytest.mark.parametrize(
    ("typed", "columns"),
    [
        ("соколова", ["position"]),
        ("ЛОГИСТИКЕ", ["position"]),
        ("насосов", ["price"]),
        ("505000", ["price"]),
        ("zz%", []),
    ],
)
def test_conflicts_are_found_by_their_record_or_by_a_value(desk, typed, columns):
    found = listed(desk.browser.get(f"/conflicts?q={typed}").text)
    by_id = {c["id"]: c["column_name"] for c in desk.crm.conflicts()}
    assert [by_id[n] for n in found] == columns


def test_a_search_also_decides_what_is_resolved_in_bulk(desk):
    number = desk.conflict(501)
    desk.browser.post("/conflicts/bulk", {"q": "соколова", "take": "crm", "confirmed": "1"})
    assert number not in desk.open()
    assert len(desk.open()) == 4


@pytest.mark.parametrize(("language", "delimiter"), [("en", ","), ("ru", ";")])
def test_conflicts_are_exported_for_a_spreadsheet(desk, language, delimiter):
    desk.crm.execute("UPDATE sync_conflicts SET crm_value = '\"=1+1\"' WHERE column_name = 'name'")
    answer = desk.served.enter(language).get("/conflicts.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    lines = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=delimiter))
    assert len(lines) == 6
    assert all(len(line) == 8 for line in lines)
    cells = {cell for line in lines for cell in line}
    assert {"Соколова Анна", "'=1+1"} <= cells
    assert "=1+1" not in cells


def test_a_decision_names_who_made_it_and_is_not_a_load(desk):
    desk.browser.post("/name", {"name": "  Ольга   Крылова ", "back": "/"})
    desk.browser.settle(desk.conflict(501), "amo")
    run = desk.last_run()
    assert desk.crm.execute("SELECT made_by FROM sync_runs WHERE id = %s", run) == [{"made_by": "Ольга Крылова"}]
    assert f"Decision {run}" in desk.browser.text("/decisions")
    assert "Ольга Крылова" in desk.browser.text("/decisions")
    assert f"/runs/{run}" not in desk.browser.get("/runs").text


def test_a_decision_without_a_name_says_so(desk):
    desk.browser.settle(desk.conflict(501), "amo")
    assert "no name" in desk.browser.text("/decisions")


def test_a_name_of_another_site_is_not_taken(desk):
    answer = desk.browser.send("/name", {"name": "Чужой", "back": "/", "form_token": "x"})
    assert answer.status_code == 403


def test_an_undo_shows_every_value_from_and_to(desk):
    text = desk.browser.text(f"/runs/{desk.last_run()}/undo")
    assert "Contact · Position Главный бухгалтер Бухгалтер" in text
    assert "Roll back load 2 Keep it" in text


def test_a_row_that_is_taken_out_of_an_undo_stays_as_it_is(desk):
    run, keys = desk.last_run(), {n: str(desk.crm.row("contacts", n)["id"]) for n in (503, 506)}
    before = desk.crm.row("contacts", 503)
    page = desk.browser.get(f"/runs/{run}/undo").text
    shown = set(re.findall(r'name="shown" value="([^"]*)"', page))
    assert {f"contacts|{key}" for key in keys.values()} <= shown
    fields = {"confirmed": "1", "shown": sorted(shown), "row": sorted(shown - {f"contacts|{keys[503]}"})}
    desk.browser.post(f"/runs/{run}/undo", fields)
    assert desk.crm.row("contacts", 503) == before
    assert desk.position(506) == "Кладовщик"
    phones = desk.crm.execute("SELECT value FROM contact_phones WHERE contact_id = %s", before["id"])
    assert len(phones) == 2, "the phone that the run added stays with its contact"
    (last,) = desk.crm.execute("SELECT counts FROM sync_runs ORDER BY id DESC LIMIT 1")
    assert last["counts"]["contacts"]["left_rewritten"] == 0


def test_rejects_are_grouped_by_reason_and_discarded_together(desk):
    desk.crm.sync("leads", {"id": "y1"}, {"id": "y2"}, {"id": "y3"}, {"id": 900, "name": "Хорошая"})
    page = desk.browser.get("/rejects").text
    assert "Leads : 5 records" in plain(page)
    assert "Discard 5 records" in plain(page)
    (code,) = {r["code"] for r in desk.crm.execute("SELECT code FROM sync_rejects")}
    desk.browser.post("/rejects/drop", {"group": "1", "stream": "leads", "code": code, "reason": "тест"})
    assert {r["resolution"] for r in desk.crm.execute("SELECT resolution FROM sync_rejects")} == {"dropped: тест"}
    assert "All records were loaded." in desk.browser.text("/rejects")


def test_a_retry_that_fails_is_not_shown_as_a_success(desk):
    first = desk.crm.execute("SELECT min(id) AS id FROM sync_rejects")[0]["id"]
    answer = desk.browser.post("/rejects/retry", {"id": first})
    assert 'class="done is-bad"' in answer.text


def test_a_reject_shows_its_record_and_leads_to_its_card(desk):
    desk.crm.execute(
        "INSERT INTO sync_accounts (account_id, url) VALUES (77, 'https://romashka.amocrm.ru') "
        "ON CONFLICT (account_id) DO UPDATE SET url = excluded.url"
    )
    desk.crm.execute("ALTER TABLE leads ADD CONSTRAINT cheap CHECK (price < 1000000)")
    desk.crm.sync("leads", {"id": 777, "name": "Большая", "price": 5000000})
    page = desk.browser.get("/rejects").text
    assert "https://romashka.amocrm.ru/leads/detail/777" in page
    assert "Lead Большая" in plain(page)


def order(browser, sort, table=None):
    """The numbers of the conflicts in an order, over all pages."""
    numbers, path = [], link("/conflicts", sort=sort, table=table)
    while path:
        page = browser.get(path).text
        numbers += listed(page)
        more = re.search(r'rel="next" href="([^"]+)"', page)
        path = html.unescape(more[1]) if more else None
    return numbers


def test_conflicts_are_listed_in_every_order_without_a_gap_from_page_to_page(desk, monkeypatch):
    monkeypatch.setattr("target_crm.web.views.conflicts.PER_PAGE", 2)
    rows = {c["id"]: c for c in desk.crm.conflicts()}
    keys = {
        "oldest": lambda c: c["id"],
        "newest": lambda c: -c["id"],
        "record": lambda c: (c["table_name"], c["row_id"], c["id"]),
        "column": lambda c: (c["table_name"], c["column_name"], c["id"]),
        "run": lambda c: (c["run_id"], c["id"]),
    }
    for sort, key in keys.items():
        assert order(desk.browser, sort) == [c["id"] for c in sorted(rows.values(), key=key)], sort
    contacts = [c for c in rows.values() if c["table_name"] == "contacts"]
    assert order(desk.browser, "record", "contacts") == [c["id"] for c in sorted(contacts, key=keys["record"])]


def test_everything_that_the_filter_leaves_is_resolved_though_single_ones_are_chosen(desk):
    number = desk.conflict(501)
    fields = {"chosen": "1", "id": [str(number)], "everything": "1", "table": "contacts"}
    desk.browser.post("/conflicts/bulk", {**fields, "take": "crm", "confirmed": "1"})
    assert {c["table_name"] for c in desk.crm.conflicts() if c["resolved_at"] is None} == {"companies", "leads"}


def test_taking_back_a_decision_in_bulk_keeps_the_filter(desk):
    page = desk.browser.post("/conflicts/bulk", {"table": "contacts", "take": "crm", "confirmed": "1"})
    run = re.search(r"run=(\d+)", page.url)[1]
    back = html.unescape(re.search(r'name="back" value="([^"]+)"', page.text)[1])
    answer = desk.browser.post(f"/runs/{run}/undo", {"to": "conflicts", "back": back})
    assert "table=contacts" in answer.url
    assert "Rolled back" in plain(answer.text)
    elsewhere = desk.browser.post(f"/runs/{run}/undo", {"to": "conflicts", "back": "https://evil.example/conflicts"})
    assert elsewhere.url.startswith(desk.served.url)
