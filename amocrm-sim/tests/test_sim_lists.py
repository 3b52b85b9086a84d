"""Lists as the vendor's pages describe them: envelopes, pages, filters in bracket form, order, `with`."""

from __future__ import annotations

import pytest


def test_a_list_comes_in_a_hal_envelope_with_a_link_to_the_next_page(api):
    answer = api.ask("contacts?limit=10")
    body = answer.json()
    assert answer.headers["Content-Type"].startswith("application/hal+json")
    assert body["_page"] == 1
    assert len(body["_embedded"]["contacts"]) == 10
    assert "page=2" in body["_links"]["next"]["href"]
    assert api.session.get(body["_links"]["next"]["href"], timeout=30).json()["_page"] == 2


def test_the_last_page_has_no_next_link_and_the_one_after_it_is_an_empty_204(api):
    assert "next" not in api.ask("companies?limit=250&page=2").json()["_links"]
    answer = api.ask("companies?limit=250&page=3")
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(("limit", "got"), [("250", 250), ("251", 50), ("0", 50), ("x", 50)])
def test_a_limit_above_250_or_none_at_all_falls_back_to_50(api, limit, got):
    assert len(api.ids(f"contacts?limit={limit}")) == got


def test_pages_together_hold_every_record_once(api):
    ids = [i for page in range(1, 6) for i in api.ids(f"contacts?limit=250&page={page}")]
    assert sorted(ids) == sorted(api.sim.truth("contacts"))
    assert len(ids) == 1200


def test_a_range_of_updated_at_in_order_is_a_keyset(api):
    truth = api.sim.truth("leads")
    times = sorted(r["updated_at"] for r in truth.values())
    low, high = times[50], times[300]
    found = api.records(
        f"leads?limit=250&filter[updated_at][from]={low}&filter[updated_at][to]={high}&order[updated_at]=asc"
    )
    expected = sorted((r["updated_at"], i) for i, r in truth.items() if low <= r["updated_at"] <= high)
    assert [(r["updated_at"], r["id"]) for r in found] == expected[:250]


def test_descending_order_begins_with_the_newest(api):
    newest = max(r["updated_at"] for r in api.sim.truth("companies").values())
    assert api.records("companies?limit=5&order[updated_at]=desc")[0]["updated_at"] == newest


@pytest.mark.parametrize("brackets", ["[]", "[0]"])
def test_ids_are_filtered_in_both_bracket_forms(api, brackets):
    first, second = sorted(api.sim.truth("contacts"))[:2]
    query = f"filter[id]{brackets}={first}&filter[id]{brackets.replace('0', '1')}={second}"
    assert api.ids(f"contacts?{query}") == [first, second]


def test_a_scalar_updated_at_finds_no_entity_but_all_later_tasks(api):
    assert api.ids("contacts?filter[updated_at]=1") == []
    assert len(api.ids("tasks?filter[updated_at]=1")) == 50


def test_unknown_filters_are_ignored_without_a_word(api):
    assert len(api.ids("contacts?limit=250&filter[nonsense][]=5&nonsense=1")) == 250


def test_company_id_is_ignored_by_default(api):
    company = min(api.sim.truth("companies"))
    assert len(api.ids(f"contacts?limit=250&filter[company_id][]={company}")) == 250


def test_company_id_is_honoured_or_refused_by_other_accounts(start):
    honours = start(company_filter="honour")
    company = next(
        r["_embedded"]["companies"][0]["id"]
        for r in honours.sim.truth("contacts").values()
        if r["_embedded"] and r["_embedded"]["companies"]
    )
    found = honours.records(f"contacts?limit=250&filter[company_id][]={company}")
    assert found
    assert all(company in [c["id"] for c in r["_embedded"]["companies"]] for r in found)
    refuses = start(company_filter="400")
    assert refuses.ask(f"contacts?filter[company_id][]={company}").status_code == 400


def test_a_contact_of_several_companies_is_listed_once_when_they_are_asked_for_together(start):
    honours = start(company_filter="honour")
    linked = {i: r["_embedded"]["companies"] for i, r in honours.sim.truth("contacts").items() if r["_embedded"]}
    contact, companies = next((i, c) for i, c in linked.items() if len(c) > 1)
    asked = "&".join(f"filter[company_id][]={c['id']}" for c in companies)
    assert honours.ids(f"contacts?limit=250&{asked}").count(contact) == 1


def test_without_the_filter_package_filters_and_not_order_are_ignored(start):
    plain = start(no_filter_package=True)
    assert plain.ask("account?with=is_api_filter_enabled").json()["is_api_filter_enabled"] is False
    every = plain.ids("contacts?limit=250&order[updated_at]=desc")
    assert plain.ids("contacts?limit=250&order[updated_at]=desc&filter[updated_at][from]=4000000000") == every
    assert plain.ids("tasks?filter[updated_at]=4000000000") == []


def test_notes_are_listed_by_entity_and_narrowed_by_parents(api):
    truth = api.sim.truth("contacts/notes")
    parents = sorted({r["entity_id"] for r in truth.values() if r["entity_id"]})[:3]
    query = "&".join(f"filter[entity_id][]={p}" for p in parents)
    expected = sorted(i for i, r in truth.items() if r["entity_id"] in parents)
    assert sorted(api.ids(f"contacts/notes?limit=250&{query}")) == expected


def test_notes_of_all_entities_have_no_list_by_default(api, start):
    assert api.ask("notes").status_code == 404
    assert start(notes_endpoint="list").ask("notes").status_code == 200


def test_tasks_need_an_entity_type_beside_entity_ids(api):
    task = next(r for r in api.sim.truth("tasks").values() if r["entity_type"] == "contacts")
    with_type = f"tasks?limit=250&filter[entity_type]=contacts&filter[entity_id][]={task['entity_id']}"
    assert task["id"] in api.ids(with_type)
    assert len(api.ids(with_type)) < 250


def test_linked_contacts_of_a_company_come_only_when_asked_for(api):
    assert "contacts" not in api.records("companies?limit=1")[0]["_embedded"]
    assert "contacts" in api.records("companies?limit=1&with=contacts")[0]["_embedded"]


def test_links_of_several_entities_come_in_one_answer(api):
    companies = sorted(api.sim.truth("companies"))[:3]
    query = "&".join(f"filter[entity_id][]={c}" for c in companies)
    links = api.ask(f"companies/links?{query}").json()["_embedded"]["links"]
    contacts = {
        i
        for i, r in api.sim.truth("contacts").items()
        if {c["id"] for c in (r["_embedded"] or {}).get("companies", ())} & set(companies)
    }
    assert {link["to_entity_id"] for link in links if link["to_entity_type"] == "contacts"} == contacts


@pytest.mark.parametrize(
    "path",
    [
        "users",
        "leads/pipelines",
        "leads/loss_reasons",
        "companies/custom_fields",
        "contacts/custom_fields",
        "leads/custom_fields",
        "contacts/tags",
        "catalogs",
        "catalogs/4521/elements",
        "sources",
        "roles",
        "webhooks",
        "talks",
        "leads/unsorted",
        "customers",
    ],
)
def test_every_documented_list_answers(api, path):
    assert len(api.records(path)) > 0


def test_a_token_without_admin_rights_may_not_list_users(start):
    assert start(not_admin=True).ask("users").status_code == 403


def test_an_endpoint_that_the_plan_lacks_refuses_with_a_problem_body(start):
    answer = start(refuse=("customers",), refuse_status=402).ask("customers")
    assert answer.status_code == 402
    assert answer.headers["Content-Type"].startswith("application/problem+json")


def test_one_record_by_id_and_nothing_for_a_missing_one(api, start):
    company = min(api.sim.truth("companies"))
    assert api.ask(f"companies/{company}").json()["id"] == company
    assert api.ask("companies/1").status_code == 204
    assert start(missing="404").ask("companies/1").status_code == 404


def test_a_million_contacts_are_listed_without_a_long_start(start):
    big = start(companies=1000, contacts=1_000_000, leads=0, notes=0, tasks=0)
    assert big.sim.control("counts")["contacts"] == 1_000_000
    assert len(big.ids("contacts?limit=250&page=4000")) == 250
    assert big.ids("contacts?limit=250&page=4001") == []
