"""Warnings on the page: the records of a reason by name, loaded again together, or discarded."""

from __future__ import annotations

import pytest
from review_server import serving

GROUP = {"table": "leads", "column": "price", "code": "W_NOT_A_NUMBER"}
HOME = "https://romashka.amocrm.ru"


@pytest.fixture
def warned(crm):
    """Seven deals whose price is not a number, and one that is good."""
    crm.sync("leads", *({"id": n, "name": f"Поставка {n}", "price": f"много {n}"} for n in range(1, 8)), {"id": 9})
    crm.execute("UPDATE sync_accounts SET url = %s", HOME)
    return crm


def still_open(crm):
    return crm.execute("SELECT count(*) AS n FROM sync_warnings WHERE resolved_at IS NULL")[0]["n"]


def code_of(crm):
    return {**GROUP, "code": crm.execute("SELECT DISTINCT code FROM sync_warnings")[0]["code"]}


def test_a_reason_names_its_records_with_their_cards_and_shows_all_of_them(warned):
    with serving(warned.config) as served:
        browser = served.enter("ru")
        text = browser.text("/warnings")
        assert "7 записей" in text
        assert "Поставка 7" in text
        assert "Поставка 1 " not in text
        assert f"{HOME}/leads/detail/7" in browser.get("/warnings").text
        given = code_of(warned)
        shown = browser.get("/warnings", params=given).text
        assert f"{HOME}/leads/detail/1" in shown
        assert "Поставка 1" in shown


def test_records_of_a_reason_are_loaded_again_when_their_column_takes_the_value(crm):
    crm.load([])
    crm.execute("ALTER TABLE leads ALTER price TYPE numeric(6, 2)")
    crm.sync("leads", *({"id": n, "price": 5_000_000_000 + n} for n in range(1, 8)))
    given = code_of(crm)
    with serving(crm.config) as served:
        browser = served.enter("ru")
        assert "по-прежнему не подходит значений: 7" in browser.post("/warnings/retry", given).text
        assert still_open(crm) == 7
        crm.execute("ALTER TABLE leads ALTER price TYPE numeric")
        assert "Загружено ещё раз: 7." in browser.post("/warnings/retry", given).text
    assert still_open(crm) == 0
    assert crm.row("leads", 3)["price"] == 5_000_000_003
    assert [r["kind"] for r in crm.rows("sync_runs", "id")] == ["load", "load", "retry", "retry"]


def test_warnings_of_a_reason_are_discarded_together_with_who_did_it(warned):
    with serving(warned.config) as served:
        browser = served.enter()
        browser.post("/name", {"name": "Светлана", "back": "/"})
        assert "Warnings discarded: 7." in browser.post("/warnings/discard", code_of(warned)).text
        assert "No values were left out." in browser.text("/warnings")
    found = warned.execute("SELECT DISTINCT resolution FROM sync_warnings")
    assert found == [{"resolution": "discarded by Светлана"}]


def test_a_record_that_waits_for_another_one_can_not_be_discarded(crm):
    crm.load([])
    crm.execute(
        "INSERT INTO sync_warnings (run_id, stream, account_id, amo_id, table_name, column_name, code, value) "
        "VALUES (1, 'leads', 77, 5, 'leads', 'company_id', 'W_RECORD_WAITS', '{\"id\": 5}')"
    )
    with serving(crm.config) as served:
        browser = served.enter()
        assert "No action needed: the next load tries again" in browser.text("/warnings")
        given = {"table": "leads", "column": "company_id", "code": "W_RECORD_WAITS"}
        assert browser.post("/warnings/discard", given).status_code == 200
    assert still_open(crm) == 1
