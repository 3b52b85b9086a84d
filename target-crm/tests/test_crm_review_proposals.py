"""Proposals on the review page: a record beside the rows that it is like, decided one by one, in bulk, and undone."""

from __future__ import annotations

import re

import pytest
import yaml
from firms import admin, crm_of_firms, record, sync, tied, typed, whole
from review_server import hidden, plain, serving

INN, OTHER_INN = "7707083893", "7728168971"


@pytest.fixture
def firms(crm):
    """Two firms with a phone in common, one of them with the record's ИНН; the record, and what the hands need."""
    crm = crm_of_firms(crm)(["phone", "name"])
    rows = [
        typed(crm, name="Ромашка Плюс", phone="+74951234567", city="Тверь"),
        typed(crm, name="ООО Ромашка", phone="8 495 123-45-67", inn=INN, city="Москва"),
    ]
    sync(crm, record(1, name="Ромашка", inn=INN, phones=["+7 495 1234567"], city="Тверь"))
    (one,) = crm.execute("SELECT id FROM sync_proposals")
    with serving(crm.config) as served:
        yield crm, served, rows, one["id"]


def decide(browser, number, take, **more):
    return by_page(browser, browser.get(f"/proposals/{number}").text, number, take, **more)


def by_page(browser, page, number, take, **more):
    fields = {name: hidden(page, name) for name in ("form_token", "seen")}
    return browser.send(f"/proposals/{number}", {**fields, "take": take, **more})


def resolutions(crm):
    return {p["id"]: p["resolution"] for p in crm.rows("sync_proposals", "id")}


def undo(browser, answer):
    """Press the button that takes back what was just done."""
    form = re.search(r'action="(/runs/\d+/undo)">(.*?)</form>', answer.text, re.DOTALL)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[2]))
    return browser.send(form[1], fields)


def bulk(browser):
    page = browser.post("/proposals/bulk", {}, page="/proposals").text
    shown = [("pair", pair) for pair in re.findall(r'name="pair" value="([^"]*)"', page)]
    fields = [("form_token", hidden(page, "form_token")), ("confirmed", "1"), *shown]
    return page, browser.send("/proposals/bulk", fields)


def test_the_list_names_record_rule_and_rows_and_home_and_navigation_count(firms):
    _, served, _, number = firms
    browser = served.enter()
    text = browser.text("/proposals")
    assert all(word in text for word in ("Ромашка", "Company", "Phone", "Ромашка Плюс", "ООО Ромашка", "Open: 1"))
    assert f'href="/proposals/{number}"' in browser.get("/proposals").text
    assert re.search(r'href="/proposals"[^>]*>Matches <span class="count">1<', browser.get("/").text)
    assert "Match records: 1" in browser.text("/")


def test_record_and_rows_are_side_by_side_and_differences_marked(firms):
    _, served, _, number = firms
    page = served.enter().get(f"/proposals/{number}").text
    assert "<mark>Москва</mark>" in page
    assert re.search(r">Тверь\s*<span class=\"hint\" role=\"img\" aria-label=\"the same\"", page)
    # Phones are the same whatever their spelling; the name's other words are marked.
    assert re.search(r"8 495 123-45-67\s*<span class=\"hint\" role=\"img\"", page)
    assert re.search(r"Ромашка\s*<mark>\s*Плюс</mark>", page)
    text = plain(page)
    assert "Matched by: Phone" in text
    assert all(word not in text for word in ("firm", "amo_id", "raw_fields"))


def test_a_page_that_there_is_not_says_so(firms):
    assert firms[1].enter().get("/proposals/999").status_code == 404


@pytest.mark.parametrize("choice", ["take", "insert", "ignore"])
def test_each_decision_is_one_run_with_a_name_and_is_undone_at_once(firms, choice):
    crm, served, rows, number = firms
    before, browser = whole(crm), served.enter()
    browser.post("/name", {"name": "Анна", "back": "/proposals"}, page="/proposals")
    answer = decide(browser, number, f"row:{rows[1]}" if choice == "take" else choice)
    assert answer.url.partition("?")[0].endswith("/proposals")
    assert resolutions(crm) == {number: "ignored" if choice == "ignore" else choice}
    given = tied(crm).get(1)
    assert given == rows[1] if choice == "take" else given not in rows
    (run,) = crm.execute("SELECT kind, made_by FROM sync_runs ORDER BY id DESC LIMIT 1")
    assert (run["kind"], run["made_by"]) == ("decide", "Анна")
    assert "No records to match" in plain(answer.text)
    back = undo(browser, answer)
    assert back.url.partition("?")[0].endswith(f"/proposals/{number}")
    assert resolutions(crm) == {number: None}
    assert whole(crm)["firm"] == before["firm"]


def test_a_record_that_was_left_out_can_still_be_matched(firms):
    crm, served, rows, number = firms
    browser = served.enter()
    decide(browser, number, "ignore")
    assert "not loaded by decision" in browser.text("/proposals?resolved=1")
    decide(browser, number, f"row:{rows[0]}")
    assert tied(crm) == {1: rows[0]}


def test_a_form_that_is_out_of_date_decides_nothing(firms):
    crm, served, rows, number = firms
    browser = served.enter()
    page = browser.get(f"/proposals/{number}").text
    crm.execute("UPDATE firm SET city = 'Казань' WHERE id = %s", rows[1])
    answer = by_page(browser, page, number, f"row:{rows[1]}")
    assert answer.status_code == 409
    assert "has changed since you opened this page" in plain(answer.text)
    assert "Казань" in answer.text
    assert (tied(crm), resolutions(crm)) == ({}, {number: None})


def test_the_second_of_two_people_learns_what_the_first_decided(firms):
    crm, served, rows, number = firms
    first, second = served.enter(), served.enter()
    page = second.get(f"/proposals/{number}").text
    decide(first, number, f"row:{rows[0]}")
    answer = by_page(second, page, number, "insert")
    assert answer.status_code == 409
    assert "Someone decided in the meantime: matched" in plain(answer.text)
    assert tied(crm) == {1: rows[0]}


def test_nothing_but_what_is_offered_can_be_taken(firms):
    crm, served, _, number = firms
    stranger = typed(crm, name="Другая")
    answer = decide(served.enter(), number, f"row:{stranger}")
    assert answer.status_code == 422
    assert (tied(crm), resolutions(crm)) == ({}, {number: None})


def test_the_only_candidates_with_the_same_inn_are_taken_together_and_undone_together(firms):
    crm, served, rows, _ = firms
    pair = [typed(crm, name="Лютик", inn=OTHER_INN), typed(crm, name="Лютик", inn=OTHER_INN)]
    sync(crm, record(2, name="Лютик", inn=OTHER_INN))
    before, browser = whole(crm), served.enter()
    page, answer = bulk(browser)
    assert "Match 1 record by INN?" in plain(page)
    assert "ООО Ромашка" in plain(page)
    assert tied(crm) == {1: rows[1]}
    assert not set(pair) & set(tied(crm).values())
    assert "Matched by INN: 1. Not changed: 0." in plain(answer.text)
    undo(browser, answer)
    assert whole(crm)["firm"] == before["firm"]
    assert set(resolutions(crm).values()) == {None}


def test_in_bulk_nothing_is_taken_that_changed_since_it_was_shown(firms):
    crm, served, rows, _ = firms
    browser = served.enter()
    page = browser.post("/proposals/bulk", {}, page="/proposals").text
    crm.execute("UPDATE firm SET inn = NULL WHERE id = %s", rows[1])
    fields = {"form_token": hidden(page, "form_token"), "confirmed": "1", "pair": hidden(page, "pair")}
    assert "Nothing was matched" in plain(browser.send("/proposals/bulk", fields).text)
    assert tied(crm) == {}


def test_more_candidates_than_fit_are_on_further_pages(firms):
    crm, served, _, _ = firms
    for _ in range(5):
        typed(crm, name="Клевер")
    sync(crm, record(3, name="Клевер"))
    (one,) = crm.execute("SELECT id, candidates FROM sync_proposals WHERE amo_id = 3")
    browser = served.enter()
    page = browser.get(f"/proposals/{one['id']}?from=4").text
    assert re.findall(r'value="row:(\d+)"', page) == one["candidates"][4:]
    by_page(browser, page, one["id"], f"row:{one['candidates'][4]}", **{"from": "4"})
    assert tied(crm) == {3: int(one["candidates"][4])}


def test_what_a_constraint_refused_is_reported_in_words_also_when_it_refuses_again(crm):
    crm = crm_of_firms(crm)([])
    crm.execute("CREATE UNIQUE INDEX firm_inn_once ON firm (inn)")
    typed(crm, name="Первая", inn=INN)
    sync(crm, record(1, name="Вторая", inn=INN))
    with serving(crm.config) as served:
        browser = served.enter("ru")
        (one,) = crm.execute("SELECT id FROM sync_proposals")
        text = browser.text(f"/proposals/{one['id']}")
        assert "значение, которое в CRM не может повторяться" in text
        assert "firm_inn_once" not in text
        answer = decide(browser, one["id"], "insert")
        assert "Запись не удалось загрузить" in plain(answer.text)
        assert tied(crm) == {}


def test_a_table_that_gets_no_rows_offers_none(crm):
    crm = crm_of_firms(crm)(["name"])
    path = crm.folder / "firms.yaml"
    company = {"table": "firm", "match": ["name"], "match_only": True, "columns": {"name": "name"}}
    path.write_text(yaml.safe_dump({"streams": {"companies": company}}))
    rows = [typed(crm, name="Дубль"), typed(crm, name="Дубль")]
    sync(crm, record(1, name="Дубль"))
    (one,) = crm.execute("SELECT id FROM sync_proposals")
    with serving(crm.config) as served:
        browser = served.enter()
        assert "Add as new" not in browser.text(f"/proposals/{one['id']}")
        assert decide(browser, one["id"], "insert").status_code == 422
        assert "Matched." in plain(decide(browser, one["id"], f"row:{rows[0]}").text)


def test_a_record_that_was_untied_waits_without_candidates(firms):
    crm, served, rows, number = firms
    browser = served.enter()
    decide(browser, number, f"row:{rows[0]}")
    admin(crm, "untie", "firm", "amo:1")
    (one,) = crm.execute("SELECT id FROM sync_proposals WHERE resolved_at IS NULL")
    assert "not compared yet" in browser.text("/proposals")
    assert "No similar records are left" in browser.text(f"/proposals/{one['id']}")


def test_phones_of_a_related_table_and_links_are_shown_by_what_people_call_them(crm):
    crm = crm_of_firms(crm)(["name"], sets=True)
    path = crm.folder / "firms.yaml"
    mapping = yaml.safe_load(path.read_text())
    mapping["streams"]["contacts"]["match"] = ["name"]
    path.write_text(yaml.safe_dump(mapping, allow_unicode=True))
    rows = [typed(crm, name="Дубль"), typed(crm, name="Дубль")]
    crm.execute("INSERT INTO firm_phone (firm_id, value) VALUES (%s, '8 495 123-45-67')", rows[0])
    crm.execute("INSERT INTO person (name, firm_id) VALUES ('Иван', %s), ('Иван', NULL)", rows[0])
    sync(crm, record(1, name="Дубль", phones=["+74951234567"]), record(2, name="Завод"))
    crm.sync("contacts", {"id": 5, "name": "Иван", "company_id": 2})
    firm, person = (p["id"] for p in crm.rows("sync_proposals", "id"))
    with serving(crm.config) as served:
        browser = served.enter()
        page = browser.get(f"/proposals/{firm}").text
        assert re.search(r"8 495 123-45-67\s*<span class=\"hint\" role=\"img\"", page)
        page = browser.get(f"/proposals/{person}").text
        assert "Завод" in page
        assert "<mark>Дубль</mark>" in page
