"""The whole way, by the real commands: what the database holds is what the account holds, on every kind of account."""

from __future__ import annotations

import re

import pytest
from crm_truth import TABLES, Truth, company_of, differences, held, in_scope, values, whole
from row_versions import row_versions

SIZES = {"companies": 500, "contacts": 1500, "notes": 3000, "tasks": 1000, "leads": 300}
ACCOUNTS = {
    "honours company_id": {"company_filter": "honour"},
    "ignores company_id": {"company_filter": "ignore"},
    "answers 400": {"company_filter": "400"},
    "no filter package": {"no_filter_package": True},
    "no filter package, id ignored": {"no_filter_package": True, "id_filter_without_package": "ignore"},
}
NOTE = {"note_type": "common", "params": {"text": "Перезвонить"}}
SCOPE = {
    "responsible_user_ids": [5_000_003, 5_000_004],
    "company_custom_field_id": 700_010,
    "company_custom_field_value": "Юг",
}


def wrong(made, scope=None):
    """Differences between the database and the dump, by table."""
    truth = Truth(made.dump())
    found = {t: differences(truth.rows(t, scope), held(made.connection, t)) for t in TABLES}
    return {table: lines for table, lines in found.items() if lines}


@pytest.mark.parametrize("account", ACCOUNTS)
def test_the_database_equals_the_account_row_by_row(pair, account):
    made = pair(**SIZES, **ACCOUNTS[account])
    made.sync()
    assert {t: made.execute(f"SELECT count(*) FROM {t}")[0][0] for t in TABLES} == {t: SIZES[t] for t in TABLES}
    assert wrong(made) == {}


def test_a_number_in_words_costs_its_cell_alone_and_waits_as_a_warning(pair):
    made = pair(companies=200)
    made.sync()
    said = {i: v[0] for i, r in made.dump()["companies"].items() if (v := values(r, "Количество сотрудников"))}
    unreadable = {i for i, v in said.items() if whole(v) is None}
    assert len(unreadable) > 10
    open_ones = (
        "SELECT amo_id FROM sync_warnings WHERE table_name = 'companies' AND column_name = 'employees_count' "
        "AND resolved_at IS NULL"
    )
    assert sorted(i for (i,) in made.execute(open_ones)) == sorted(unreadable)
    company = min(unreadable)
    fields = [f for f in made.dump()["companies"][company]["custom_fields_values"] if f["field_id"] != 700_008]
    headcount = {"field_id": 700_008, "field_name": "Количество сотрудников", "field_code": None, "field_type": "text"}
    fields.append({**headcount, "values": [{"value": "75"}]})
    made.sim.change("update", kind="companies", ids=[company], fields={"custom_fields_values": fields})
    made.sync()
    assert made.execute("SELECT employees_count FROM companies WHERE amo_id = %s", company) == [(75,)]
    assert sorted(i for (i,) in made.execute(open_ones)) == sorted(unreadable - {company})
    assert wrong(made) == {}


@pytest.mark.parametrize("account", ACCOUNTS)
def test_with_a_scope_exactly_the_companies_in_it_and_their_children_come(pair, account):
    made = pair(**SIZES, **ACCOUNTS[account])
    made.sync(**SCOPE)
    dump = made.dump()
    scope = in_scope(dump, SCOPE["responsible_user_ids"], 700_010, "Юг")
    assert len(scope["companies"]) > 5
    assert all(len(ids) > 5 for ids in scope.values())
    assert wrong(made, scope) == {}


@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_second_run_brings_what_changed_and_a_note_of_a_contact_that_did_not(pair, account):
    made = pair(companies=100, **ACCOUNTS[account])
    made.sync()
    dump = made.dump()
    contacts = sorted(dump["contacts"])
    made.sim.change("update", kind="contacts", ids=contacts[:2], fields={"last_name": "Новикова"})
    made.sim.change("create", kind="contacts/notes", fields={"entity_id": contacts[5], **NOTE})
    made.sim.change("update", kind="tasks", ids=sorted(dump["tasks"])[:1], fields={"is_completed": True})
    made.sim.change("delete", kind="contacts", ids=contacts[7:8])
    made.sim.reset()
    made.sync()
    assert wrong(made) == {}
    assert made.execute("SELECT amo_id FROM contacts WHERE amo_deleted_at IS NOT NULL") == [(contacts[7],)]
    assert made.sim.stats["requests"] < 35
    assert made.execute("SELECT text FROM notes WHERE text = 'Перезвонить'") == [("Перезвонить",)]


@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_company_that_comes_into_scope_brings_its_children(pair, account):
    made = pair(companies=100, **ACCOUNTS[account])
    made.sync(**SCOPE)
    dump = made.dump()
    before = in_scope(dump, SCOPE["responsible_user_ids"], 700_010, "Юг")
    newcomer = next(
        company
        for r in dump["contacts"].values()
        if (company := company_of(r)) is not None and company not in before["companies"]
    )
    fields = [f for f in dump["companies"][newcomer]["custom_fields_values"] or () if f["field_id"] != 700_010]
    branch = {"field_id": 700_010, "field_name": "Филиал", "field_code": None, "field_type": "select"}
    fields.append({**branch, "values": [{"value": "Юг", "enum_id": 1}]})
    made.sim.change(
        "update",
        kind="companies",
        ids=[newcomer],
        fields={"responsible_user_id": 5_000_003, "custom_fields_values": fields},
    )
    made.sync(**SCOPE)
    after = in_scope(made.dump(), SCOPE["responsible_user_ids"], 700_010, "Юг")
    assert after["contacts"] > before["contacts"]
    assert wrong(made, after) == {}


def test_a_filter_that_the_account_ignores_is_named_once_in_the_log(pair):
    made = pair(companies=100, company_filter="ignore")
    log = made.sync(**SCOPE)
    assert len(re.findall("This account ignores filter.company_id. of contacts", log)) == 1


def test_manual_edits_outlive_three_syncs_while_amocrm_goes_on_changing(pair):
    made = pair(companies=20)
    made.sync()
    contact = min(made.dump()["contacts"])
    made.execute("UPDATE contacts SET position = 'Начальник, с ним по имени-отчеству' WHERE amo_id = %s", contact)
    for name in ("Первая", "Вторая", "Третья"):
        made.sim.change("update", kind="contacts", ids=[contact], fields={"last_name": name})
        made.sync()
        row = made.execute("SELECT position, last_name FROM contacts WHERE amo_id = %s", contact)
        assert row == [("Начальник, с ним по имени-отчеству", name)]


def test_an_unchanged_account_writes_no_row_version(pair):
    made = pair(companies=30)
    made.sync()
    before = row_versions(made.connection, made.schema)
    assert sum(before.values()) > 100
    made.state = None
    made.sync()
    assert row_versions(made.connection, made.schema) == before


def test_at_the_limit_of_seven_no_second_sees_an_eighth_request_and_nothing_is_refused(pair):
    made = pair(**SIZES, rps=7, latency="20-120")
    made.sync(requests_per_second=7)
    stats = made.sim.stats
    assert stats["requests"] > 35
    assert stats["peak"] <= 7
    assert set(stats["by_status"]) <= {"200", "204"}


def test_events_and_dictionaries_have_no_table_and_stop_nothing(pair):
    made = pair(companies=10)
    made.sync()
    made.sim.change("delete", kind="tasks", ids=sorted(made.dump()["tasks"])[:2])
    made.sync()
    assert made.execute("SELECT count(*) FROM tasks WHERE amo_deleted_at IS NOT NULL") == [(2,)]
    assert made.execute("SELECT count(*) FROM sync_rejects") == [(0,)]
