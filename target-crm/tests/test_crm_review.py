"""The review page over HTTP: what it shows, what it writes, and whom it tells. Safety: test_crm_review_safety.py."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import review_data
from review_desk import at_desk
from review_server import plain, serving

from target_crm.presentation.texts.page import TEXTS


@pytest.fixture
def desk(crm):
    with at_desk(crm) as found:
        yield found


# the queue


def test_a_conflict_is_shown_with_its_record_and_its_three_values(desk):
    text = desk.browser.text(f"/conflicts/{desk.conflict(501)}")
    assert "Соколова Анна" in text
    assert "amoCRM before Директор по закупкам In the CRM" in text
    assert "Company ООО «Северный ветер-2»" in text
    assert "Responsible Дмитрий Орлов" in text
    assert re.search(r"Changed in amoCRM 1 Jan 2026, 03:\d\d by Светлана Белова", text)
    assert re.search(r"Changed in the CRM \d+ \w{3} \d{4}, \d\d:\d\d", text)


def test_what_differs_from_the_value_before_is_marked(desk):
    page = desk.browser.get(f"/conflicts/{desk.conflict(501)}").text
    assert "Директор по закупкам<mark> и логистике</mark>" in page


def test_taking_amocrms_value_writes_the_row_and_the_journal_and_goes_on(desk):
    number = desk.conflict(501)
    answer = desk.browser.settle(number, "amo")
    assert desk.position(501) == "Руководитель отдела закупок"
    (entry,) = desk.journal(desk.last_run())
    assert entry["old_value"] == "Директор по закупкам и логистике"
    assert entry["new_value"] == "Руководитель отдела закупок"
    assert number not in desk.open()
    assert f"Conflict {number}: amoCRM's value was saved." in plain(answer.text)
    assert f"/conflicts/{desk.conflict(502)}?" in answer.url


def test_keeping_ours_writes_no_row_but_is_journalled(desk):
    number, before = desk.conflict(501), desk.crm.row("contacts", 501)
    desk.browser.settle(number, "crm")
    assert desk.crm.row("contacts", 501) == before
    (entry,) = desk.journal(desk.last_run())
    assert entry["old_value"] == entry["new_value"] == "Директор по закупкам и логистике"
    assert number not in desk.open()


def test_another_value_is_read_as_its_column_requires(desk):
    (number,) = [c["id"] for c in desk.crm.conflicts() if c["column_name"] == "price"]
    desk.browser.settle(number, "value", value=" 510 000 ")
    assert desk.crm.row("leads", 701)["price"] == 510000


@pytest.mark.parametrize(("typed", "said"), [("много", "Enter a number."), ("  ", "Enter a value")])
def test_what_can_be_no_value_of_the_column_is_reported_and_not_written(desk, typed, said):
    (number,) = [c["id"] for c in desk.crm.conflicts() if c["column_name"] == "price"]
    answer = desk.browser.settle(number, "value", value=typed)
    assert answer.status_code == 422
    assert said in plain(answer.text)
    assert desk.crm.row("leads", 701)["price"] == 520000
    assert number in desk.open()


def test_what_the_database_refuses_is_reported_and_not_written(desk):
    desk.crm.execute("ALTER TABLE leads ADD CONSTRAINT cheap CHECK (price < 600000)")
    (number,) = [c["id"] for c in desk.crm.conflicts() if c["column_name"] == "price"]
    answer = desk.browser.settle(number, "value", value="700000")
    assert answer.status_code == 422
    assert "cheap" in plain(answer.text)
    assert desk.crm.row("leads", 701)["price"] == 520000
    assert number in desk.open()


def test_of_two_people_at_one_conflict_the_second_is_informed(desk):
    number, other = desk.conflict(501), desk.served.enter()
    page = other.get(f"/conflicts/{number}").text
    desk.browser.settle(number, "crm")
    runs = desk.last_run()
    answer = other.decide(page, number, "amo")
    assert answer.status_code == 409
    assert "Someone has already resolved this conflict" in plain(answer.text)
    assert "CRM's value kept" in plain(answer.text)
    assert desk.position(501) == "Директор по закупкам и логистике"
    assert desk.last_run() == runs


def test_of_two_decisions_at_the_same_moment_one_counts_and_the_other_is_informed(desk):
    number, barrier = desk.conflict(501), threading.Barrier(2)
    people = [(desk.served.enter(), take) for take in ("amo", "crm")]
    pages = [person.get(f"/conflicts/{number}").text for person, _ in people]

    def decide(place):
        person, take = people[place]
        barrier.wait()
        return person.decide(pages[place], number, take).status_code

    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(decide, range(2)))
    assert sorted(codes) == [200, 409]
    taken = people[codes.index(200)][1]
    (found,) = [c for c in desk.crm.conflicts() if c["id"] == number]
    assert found["resolution"] == taken
    decisions = desk.crm.execute("SELECT max(id) AS id, count(*) AS n FROM sync_runs WHERE kind = 'resolve'")[0]
    assert [e["new_value"] for e in desk.journal(decisions["id"])] == [desk.position(501)]


def test_who_decides_by_a_value_that_was_edited_meanwhile_is_informed_and_decides_again(desk):
    number = desk.conflict(501)
    page = desk.browser.get(f"/conflicts/{number}").text
    desk.crm.execute("UPDATE contacts SET position = 'Совладелица' WHERE amo_id = 501")
    answer = desk.browser.decide(page, number, "amo")
    assert answer.status_code == 409
    assert "changed the value in the CRM in the meantime" in plain(answer.text)
    assert "Совладелица" in plain(answer.text)
    assert desk.position(501) == "Совладелица"
    desk.browser.decide(answer.text, number, "amo")
    assert desk.position(501) == "Руководитель отдела закупок"
    assert desk.journal(desk.last_run())[0]["old_value"] == "Совладелица"


def test_a_decision_is_taken_back_from_the_page(desk):
    number = desk.conflict(501)
    desk.browser.settle(number, "amo")
    run = desk.last_run()
    answer = desk.browser.post(f"/runs/{run}/undo", {"conflict": number})
    assert f"/conflicts/{number}" in answer.url
    assert desk.position(501) == "Директор по закупкам и логистике"
    assert number in desk.open()


def test_two_decisions_on_one_record_are_taken_back_each_alone(desk):
    crm = desk.crm
    crm.sync("contacts", review_data.contact(0, "Руководитель отдела закупок"))
    crm.execute("UPDATE contacts SET first_name = 'Аня' WHERE amo_id = 501")
    crm.sync("contacts", {**review_data.contact(0, "Руководитель отдела закупок"), "first_name": "Анна-Мария"})
    numbers = {
        c["column_name"]: c["id"]
        for c in crm.conflicts()
        if c["resolved_at"] is None and c["column_name"] in ("position", "first_name") and c["id"] not in (3, 4)
    }
    desk.browser.settle(numbers["position"], "amo")
    first = desk.last_run()
    desk.browser.settle(numbers["first_name"], "amo")
    desk.browser.post(f"/runs/{first}/undo", {})
    row = crm.row("contacts", 501)
    assert (row["position"], row["first_name"]) == ("Директор по закупкам и логистике", "Анна-Мария")
    assert numbers["position"] in desk.open()
    assert numbers["first_name"] not in desk.open()


def test_a_decision_whose_value_was_edited_since_stays_resolved_when_taken_back(desk):
    number = desk.conflict(501)
    desk.browser.settle(number, "amo")
    run = desk.last_run()
    desk.crm.execute("UPDATE contacts SET position = 'Совладелица' WHERE amo_id = 501")
    desk.browser.post(f"/runs/{run}/undo", {})
    assert desk.position(501) == "Совладелица"
    assert number not in desk.open()


def test_taking_a_decision_back_can_be_taken_back_too(desk):
    number = desk.conflict(501)
    desk.browser.settle(number, "amo")
    desk.browser.post(f"/runs/{desk.last_run()}/undo", {})
    desk.browser.post(f"/runs/{desk.last_run()}/undo", {"confirmed": "1"})
    assert desk.position(501) == "Руководитель отдела закупок"
    (found,) = [c for c in desk.crm.conflicts() if c["id"] == number]
    assert found["resolution"] == "amo"


def test_a_resolved_conflict_comes_back_with_a_new_value_of_amocrm_alone(desk):
    number = desk.conflict(501)
    desk.browser.settle(number, "crm")
    desk.crm.sync("contacts", review_data.contact(0, "Руководитель отдела закупок"))
    assert desk.conflict(501) == number
    assert f"/conflicts/{number}" not in desk.browser.get("/conflicts").text
    desk.crm.sync("contacts", review_data.contact(0, "Коммерческий директор"))
    again = desk.conflict(501)
    assert again > number
    assert "Коммерческий директор" in desk.browser.text(f"/conflicts/{again}")
    assert again in desk.open()


def test_a_conflict_whose_record_is_gone_can_be_closed(desk):
    number = desk.conflict(501)
    desk.crm.execute("DELETE FROM contacts WHERE amo_id = 501")
    text = desk.browser.text(f"/conflicts/{number}")
    assert "is no longer in the CRM" in text
    assert "Use amoCRM's value" not in text
    desk.browser.settle(number, "crm")
    assert number not in desk.open()
    assert len(desk.journal(desk.last_run())) == 1


def test_the_last_conflict_leads_back_to_the_list(desk):
    for number in desk.open():
        answer = desk.browser.settle(number, "crm")
    assert answer.url.startswith(f"{desk.served.url}/conflicts?")
    assert "No conflicts: both sides agree." in plain(answer.text)


# in bulk


def test_conflicts_are_resolved_in_bulk_by_column_after_their_number_was_shown(desk):
    fields = {"table": "contacts", "column": "position", "take": "amo"}
    asked = desk.browser.post("/conflicts/bulk", fields)
    assert "Use amoCRM's value for 3 conflicts?" in plain(asked.text)
    assert len(desk.open()) == 5
    desk.browser.post("/conflicts/bulk", {**fields, "confirmed": "1"})
    assert desk.position(502) == "Ведущий инженер"
    assert {c["column_name"] for c in desk.crm.conflicts() if c["resolved_at"] is None} == {"name", "price"}
    assert len(desk.journal(desk.last_run())) == 3


@pytest.mark.parametrize(
    ("rule", "amo_ids"),
    [("same_but_spelling", {504}), ("amo_says_more", set()), ("crm_says_more", set()), ("base_was_empty", set())],
)
def test_conflicts_are_resolved_in_bulk_by_rule(desk, rule, amo_ids):
    desk.browser.post("/conflicts/bulk", {"table": "contacts", "rule": rule, "take": "amo", "confirmed": "1"})
    settled = [c for c in desk.crm.conflicts() if c["resolved_at"]]
    assert {desk.conflict(n) for n in amo_ids} == {c["id"] for c in settled}


def test_rules_tell_which_side_says_more(desk):
    crm, made = desk.crm, []
    for number, (base, ours, theirs) in enumerate(
        [("A", "Иван", "Иван Петров"), ("B", "Иван Петров", "иван"), ("", "x", "y")]
    ):
        key = {"id": 900 + number}
        crm.sync("contacts", {**key, "last_name": base or None})
        crm.execute("UPDATE contacts SET last_name = %s WHERE amo_id = %s", ours, 900 + number)
        crm.sync("contacts", {**key, "last_name": theirs})
        made.append(crm.conflicts()[-1]["id"])
    for rule, number in zip(("amo_says_more", "crm_says_more", "base_was_empty"), made, strict=True):
        page = desk.browser.get(f"/conflicts?table=contacts&column=last_name&rule={rule}").text
        assert re.findall(r'name="id" value="(\d+)"', page) == [str(number)]


def test_chosen_conflicts_are_resolved_together(desk):
    chosen = desk.open()[:2]
    desk.browser.post("/conflicts/bulk", {"id": chosen, "chosen": "1", "take": "crm", "confirmed": "1"})
    assert desk.open() == [n for n in range(1, 6) if n not in chosen]


def test_nothing_chosen_resolves_nothing(desk):
    answer = desk.browser.post("/conflicts/bulk", {"chosen": "1", "take": "crm", "confirmed": "1"})
    assert "Nothing was resolved" in plain(answer.text)
    assert len(desk.open()) == 5


def test_conflicts_that_came_after_the_number_was_shown_stay_open(desk):
    fields = {"table": "contacts", "column": "position", "take": "crm"}
    asked = desk.browser.post("/conflicts/bulk", fields).text
    up_to = re.search(r'name="up_to" value="(\d+)"', asked)[1]
    desk.crm.execute("UPDATE contacts SET position = 'Вручную' WHERE amo_id = 506")
    desk.crm.sync("contacts", review_data.contact(5, "Директор склада"))
    desk.browser.post("/conflicts/bulk", {**fields, "up_to": up_to, "confirmed": "1"})
    assert desk.conflict(506) in desk.open()
    assert desk.conflict(501) not in desk.open()


def test_a_decision_in_bulk_is_taken_back_as_one(desk):
    before = desk.open()
    answer = desk.browser.post("/conflicts/bulk", {"take": "amo", "confirmed": "1"})
    assert "Resolved: 5" in plain(answer.text)
    desk.browser.post(f"/runs/{desk.last_run()}/undo", {"to": "conflicts"})
    assert desk.open() == before
    assert desk.position(501) == "Директор по закупкам и логистике"


# runs


def figures(page: str, section: str) -> dict[str, int]:
    """The names and figures of a list."""
    part = re.search(rf'<h2 id="{section}">.*?</section>', page, re.DOTALL)[0]
    found = re.findall(r"<li><a [^>]*>(.*?) <span class=\"figure\">([\d,]+)</span>", part)
    return {name: int(number.replace(",", "")) for name, number in found}


def test_a_runs_figures_are_what_queries_on_the_tables_give(desk):
    run = desk.last_run()
    page = desk.browser.get(f"/runs/{run}").text
    names = {"contacts.position": "Contact · Position", "contact_phones.*": "Contact · Phones · whole record"}
    names["leads.*"] = "Lead · whole record"
    counted = desk.crm.execute(
        "SELECT table_name, column_name, count(*) AS n FROM sync_changes WHERE run_id = %s GROUP BY 1, 2", run
    )
    expected = {
        names[f"{c['table_name']}.{c['column_name']}"]: c["n"] for c in counted if c["column_name"] != "raw_fields"
    }
    assert figures(page, "by-column") == expected
    (row,) = desk.crm.execute("SELECT counts FROM sync_runs WHERE id = %s", run)
    section = re.search(r'<h2 id="by-table">.*?</section>', page, re.DOTALL)[0]
    told = {name.lower(): part for name, part in re.findall(r"<li><b>(\w+)</b>(.*?)</li>", section, re.DOTALL)}
    assert list(told) == ["companies", "contacts", "leads", "users"]
    assert set(told) == set(row["counts"])
    for table, counts in row["counts"].items():
        shown = dict(re.findall(r"<span>([a-z ]+) <b>([\d,]+)</b></span>", told[table]))
        words = {TEXTS[f"count_{name}"][0]: str(n) for name, n in counts.items() if n}
        assert shown == words


def test_the_conflicts_figures_are_what_queries_on_the_tables_give(desk):
    page = desk.browser.get("/conflicts").text
    found = re.findall(r"<li><a [^>]*>([^<]*·[^<]*) <span class=\"figure\">(\d+)</span>", page)
    counted = desk.crm.execute("SELECT table_name, column_name, count(*) AS n FROM sync_conflicts GROUP BY 1, 2")
    names = {"companies": "Company · Name", "contacts": "Contact · Position", "leads": "Lead · Budget"}
    assert {n: int(f) for n, f in found} == {names[c["table_name"]]: c["n"] for c in counted}
    assert "Open: 5" in plain(page)


def test_the_changes_of_a_column_are_shown_with_both_values(desk):
    text = desk.browser.text(f"/runs/{desk.last_run()}?table=contacts&column=position")
    assert "Contact Кузнецова Мария Position Бухгалтер Главный бухгалтер" in text
    assert "Contact Попова Елена Position empty Старший юрист" in text


def test_a_set_rows_change_leads_to_the_record_it_belongs_to(desk):
    page = desk.browser.get(f"/runs/{desk.last_run()}?table=contact_phones&column=*").text
    key = desk.crm.row("contacts", 502)["id"]
    assert re.search(rf'<a href="/records/contacts/{key}">\+79030000001</a>', page)


def test_runs_are_filtered(desk):
    desk.browser.settle(desk.conflict(501), "amo")
    run = desk.last_run()

    def shown(query):
        return [int(n) for n in re.findall(r'<a href="/runs/(\d+)">', desk.browser.get(f"/runs{query}").text)]

    assert shown("") == [run - 1, run - 2]
    assert f'<a href="/runs/{run}">' in desk.browser.get("/decisions").text
    assert shown("?status=failed") == []
    assert shown("?table=users") == [run - 1, run - 2]
    assert shown("?since=2099-01-01") == []
    assert shown("?until=2099-01-01&kind=load") == [run - 1, run - 2]


def test_an_undo_is_previewed_with_what_it_would_leave_alone_and_then_done(desk):
    run = desk.last_run()
    desk.crm.execute("UPDATE contacts SET position = 'Вручную' WHERE amo_id = 503")
    before = desk.crm.rows("contacts")
    text = desk.browser.text(f"/runs/{run}/undo")
    assert "not changed: edited since then 1" in text
    assert "Кузнецова Мария Contact · Position Главный бухгалтер Вручную" in text
    assert desk.crm.rows("contacts") == before
    assert desk.last_run() == run
    desk.browser.post(f"/runs/{run}/undo", {"confirmed": "1"})
    assert desk.position(506) == "Кладовщик"
    assert desk.position(503) == "Вручную"
    assert f"Rolled back by Rollback {desk.last_run()}" in desk.browser.text(f"/runs/{run}")


def test_a_load_is_never_undone_without_its_preview(desk):
    run = desk.last_run()
    answer = desk.browser.post(f"/runs/{run}/undo", {})
    assert answer.url.endswith(f"/runs/{run}/undo")
    assert desk.last_run() == run


def test_while_a_load_holds_the_account_the_page_says_so(desk, monkeypatch):
    monkeypatch.setattr("target_crm.web.crm._PATIENCE_SECONDS", 0.3)
    with psycopg.connect(desk.crm.url, autocommit=True) as load, serving(desk.crm.config) as served:
        load.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"target-crm:{desk.crm.schema}:77",))
        answer = served.enter().settle(desk.conflict(501), "amo")
    assert answer.status_code == 503
    assert "A load is running" in plain(answer.text)
    assert desk.position(501) == "Директор по закупкам и логистике"


def test_a_page_that_gave_up_waiting_for_one_account_holds_no_other(desk, monkeypatch):
    monkeypatch.setattr("target_crm.web.crm._PATIENCE_SECONDS", 0.3)
    desk.crm.execute("UPDATE sync_runs SET account_ids = '{76, 77}' WHERE id = 1")
    lock = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0)) AS free"
    names = [f"target-crm:{desk.crm.schema}:{account}" for account in (76, 77)]
    with psycopg.connect(desk.crm.url, autocommit=True) as load, serving(desk.crm.config) as served:
        load.execute(lock, (names[1],))
        assert served.enter().settle(desk.conflict(501), "amo").status_code == 503
        assert load.execute(lock, (names[0],)).fetchone() == (True,)


# records


def test_a_record_tells_where_each_value_comes_from_and_what_was_before(desk):
    desk.browser.settle(desk.conflict(501), "amo")
    run = desk.last_run()
    answer = desk.browser.get("/records?table=contacts&key=501")
    assert str(desk.crm.row("contacts", 501)["id"]) in answer.url
    text = plain(answer.text)
    assert "Company ООО «Северный ветер-2» amoCRM ООО «Северный ветер-2»" in text
    assert re.search(rf"Position Руководитель отдела закупок amoCRM Руководитель отдела закупок run {run} ", text)
    assert re.search(rf"decision № {run} Position Директор по закупкам и логистике Руководитель отдела закупок", text)
    assert "Phones +79160000000 +79160000000, +79030000000" in text


def test_a_phone_that_amocrm_took_away_is_in_the_history(desk):
    desk.crm.sync("contacts", review_data.contact(1, "Ведущий инженер", "+79030000001"))
    text = desk.browser.text("/records?table=contacts&key=502")
    assert "Phones +79160000001, +79030000001 +79030000001" in text


def test_a_record_that_is_not_there_is_said(desk):
    assert desk.browser.get("/records?table=contacts&key=99").status_code == 404
    assert desk.browser.get("/records?table=contacts&key=no-key").status_code == 404
    assert desk.browser.get("/records/clients/1").status_code == 404
    assert desk.browser.get("/conflicts/99999").status_code == 404
    assert desk.browser.get("/runs/99999").status_code == 404


# rejects


def test_rejects_say_in_plain_words_what_is_wrong(desk):
    text = desk.browser.text("/rejects")
    assert "Not loaded Open: 2" in text
    assert 'id must be a whole number, got "x9".' in text
    assert 'Свойство id должно быть целым числом, получено "x9".' in desk.served.enter("ru").text("/rejects")


def test_one_reject_is_tried_again_and_then_all(desk):
    first, second = [r["id"] for r in desk.crm.execute("SELECT id FROM sync_rejects ORDER BY id")]
    answer = desk.browser.post("/rejects/retry", {"id": first})
    assert "Tried again: 1; still not loaded: 1" in plain(answer.text)
    still = [r["id"] for r in desk.crm.execute("SELECT id FROM sync_rejects WHERE resolved_at IS NULL ORDER BY id")]
    assert still == [first, second]
    assert "Tried again: 2; still not loaded: 2" in plain(desk.browser.post("/rejects/retry", {"all": "1"}).text)


def test_a_reject_whose_cause_is_gone_is_loaded_by_trying_again(desk):
    desk.crm.execute("ALTER TABLE leads ADD CONSTRAINT cheap CHECK (price < 1000000)")
    desk.crm.sync("leads", {"id": 777, "price": 5000000}, {"id": 778, "price": 5})
    number = desk.crm.execute("SELECT max(id) AS id FROM sync_rejects")[0]["id"]
    assert "The table Leads does not allow such a row (rule cheap)." in desk.browser.text("/rejects")
    desk.crm.execute("ALTER TABLE leads DROP CONSTRAINT cheap")
    assert "still not loaded: 0" in plain(desk.browser.post("/rejects/retry", {"id": number}).text)
    assert desk.crm.row("leads", 777)["price"] == 5000000


def test_a_reject_is_dropped_with_a_reason_and_never_without(desk):
    number = desk.crm.execute("SELECT min(id) AS id FROM sync_rejects")[0]["id"]
    assert desk.browser.post("/rejects/drop", {"id": number, "reason": " "}).status_code == 422
    desk.browser.post("/name", {"name": "Светлана", "back": "/rejects"})
    desk.browser.post("/rejects/drop", {"id": number, "reason": "тестовая"})
    (row,) = desk.crm.execute("SELECT * FROM sync_rejects WHERE id = %s", number)
    assert (row["resolution"], row["resolved_by"]) == ("dropped: тестовая", "Светлана")
    assert ", Светлана: discarded: тестовая" in desk.browser.text("/rejects?resolved=1")
    again = desk.browser.post("/rejects/drop", {"id": number, "reason": "ещё раз"})
    assert "Already closed" in plain(again.text)


# warnings


def test_values_that_were_left_out_are_listed_by_column_and_code(desk):
    text = desk.browser.text("/warnings")
    assert "Lead · Budget" in text
    assert 'Example: "сто тысяч" is not a number. Correct the value in amoCRM' in text
    assert "W_NOT_A_NUMBER Ремонт" in text
    assert '"сто тысяч" — не число.' in desk.served.enter("ru").text("/warnings")
