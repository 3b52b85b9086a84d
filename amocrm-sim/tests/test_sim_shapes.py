"""The shapes that the service is known to send all occur: `data/shapes.json` names them by list, path and type."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shapes import shapes

KNOWN = json.loads((Path(__file__).parent / "data" / "shapes.json").read_text("utf-8"))
WITH = {
    "account": "task_types,datetime_settings,users_groups,amojo_rights,amojo_id,uuid,version,is_api_filter_enabled",
    "companies": "contacts,leads,customers,catalog_elements",
    "contacts": "leads,customers,catalog_elements,social_profiles",
    "leads": "contacts,loss_reason,source,source_id,catalog_elements,is_price_modified_by_robot",
    "customers": "contacts,companies,segments,catalog_elements",
    "users": "role,group,uuid,amojo_id,user_rank,phone_number",
}
CARDS = ("companies", "contacts", "leads", "customers")


def everything(account, path):
    """All records of a list, page by page."""
    if path == "account":
        return [account.ask(f"account?with={WITH[path]}").json()]
    if path == "notes":
        return [note for card in CARDS for note in everything(account, f"{card}/notes")]
    url = f"{account.sim.url}/api/v4/{path}?limit=250&with={WITH.get(path, '')}"
    found = []
    while url:
        body = account.session.get(url, timeout=30).json()
        (records,) = body["_embedded"].values()
        found += records
        url = body.get("_links", {}).get("next", {}).get("href")
    return found


@pytest.mark.parametrize("path", sorted(KNOWN))
def test_every_known_shape_of_a_list_occurs(account, path):
    found = shapes(everything(account, path))
    lacking = {p: sorted(set(kinds) - set(found.get(p, ()))) for p, kinds in KNOWN[path].items()}
    assert {p: kinds for p, kinds in lacking.items() if kinds} == {}


@pytest.mark.parametrize("card", CARDS)
def test_every_field_of_a_record_is_defined_with_its_id_name_code_and_type(account, card):
    defined = {d["id"]: d for d in everything(account, f"{card}/custom_fields")}
    for record in everything(account, card):
        for field in record["custom_fields_values"] or ():
            definition = defined[field["field_id"]]
            assert definition["name"] == field["field_name"]
            assert definition["type"] == field["field_type"]
            assert definition.get("code", field["field_code"]) == field["field_code"]


def test_all_kinds_of_field_are_defined(account):
    defined = {d["type"] for card in CARDS for d in everything(account, f"{card}/custom_fields")}
    known = (
        "text numeric checkbox select multiselect date url textarea radiobutton streetaddress smart_address birthday "
        "legal_entity date_time price category items tracking_data linked_entity file payer supplier multitext monetary "
        "chained_list org_legal_name"
    )
    assert defined == set(known.split())


def test_a_price_is_cut_to_whole_units_and_its_cents_stand_beside_it(account):
    leads = [r for r in everything(account, "leads") if isinstance(r.get("price_with_minor_units"), float)]
    assert sum(int(r["price_with_minor_units"]) == r["price"] for r in leads) == len(leads)
    assert any(r["price"] != r["price_with_minor_units"] for r in leads)


def test_reasons_that_no_list_shows_any_more_are_named_in_the_record(account):
    listed = {r["id"] for r in everything(account, "leads/loss_reasons")}
    gone = [r for r in everything(account, "leads") if r["loss_reason_id"] and r["loss_reason_id"] not in listed]
    assert gone
    for record in gone:
        reason = record["_embedded"]["loss_reason"]
        assert (reason[0] if isinstance(reason, list) else reason)["id"] == record["loss_reason_id"]


def test_task_types_of_the_accounts_own_have_seven_digits_and_a_name_in_the_account(account):
    types = {t["id"]: t["name"] for t in everything(account, "account")[0]["_embedded"]["task_types"]}
    used = {r["task_type_id"] for r in everything(account, "tasks")}
    assert used <= types.keys()
    assert any(n > 1_000_000 for n in used)


def test_the_mapped_fields_come_as_addresses_in_parts_and_as_several_choices(account):
    named = {}
    for record in everything(account, "companies"):
        for field in record["custom_fields_values"] or ():
            named.setdefault((field["field_name"], field["field_type"]), []).append(field["values"])
    assert any(v[0]["enum_code"] == "country" for v in named["Адрес", "smart_address"])
    assert any(len(v) > 1 for v in named["Вид деятельности", "multiselect"])
    headcounts = {v[0]["value"] for v in named["Количество сотрудников", "text"]}
    assert {"50-100 чел.", "250"} <= headcounts


def test_the_last_two_statuses_have_names_of_each_pipelines_own(account):
    pipelines = everything(account, "leads/pipelines")
    ends = {s["name"] for p in pipelines for s in p["_embedded"]["statuses"] if s["id"] == 142}
    assert len(ends) == len(pipelines)
    assert any(p["is_archive"] for p in pipelines)


def test_some_contacts_name_two_companies_and_are_listed_with_both(account):
    several = {
        r["id"]: r
        for r in everything(account, "contacts")
        if len((r["_embedded"] or {"companies": ()})["companies"]) > 1
    }
    assert several
    contact, record = next(iter(several.items()))
    for company in record["_embedded"]["companies"]:
        (listed,) = account.records(f"companies?filter[id][]={company['id']}&with=contacts")
        assert contact in [c["id"] for c in listed["_embedded"]["contacts"]]


def test_a_change_leaves_an_event_with_the_values_of_both_sides(start):
    caller = start(plain=False)
    lead = min(caller.sim.truth("leads"))
    fields = {"price": 99, "status_id": 142, "responsible_user_id": 5_000_009, "name": "Иначе"}
    caller.sim.change("update", kind="leads", ids=[lead], fields=fields)
    new = {e["type"]: (e["value_before"], e["value_after"]) for e in caller.records("events?limit=4")}
    assert set(new) == {"name_field_changed", "entity_responsible_changed", "sale_field_changed", "lead_status_changed"}
    assert new["sale_field_changed"][1] == [{"sale_field_value": {"sale": 99}}]
    assert all(before and after for before, after in new.values())


def test_a_refused_parameter_is_named_with_code_and_path(start):
    answer = start(plain=False, company_filter="400").ask("contacts?filter[company_id][]=1")
    assert answer.status_code == 400
    (error,) = answer.json()["validation-errors"][0]["errors"]
    assert (error["code"], error["path"]) == ("NotSupportedChoice", "filter.company_id")


@pytest.mark.parametrize(
    ("fault", "kind"), [("400", "application/problem+json"), ("402", "application/problem+json"), ("403", "text/html")]
)
def test_refusals_can_be_scripted(start, fault, kind):
    caller = start()
    caller.sim.control("faults", script={"1": fault})
    answer = caller.ask("companies")
    assert answer.status_code == int(fault)
    assert answer.headers["Content-Type"].startswith(kind)


def test_a_plain_account_has_none_of_it(start):
    caller = start(plain=True, companies=100)
    assert all(r["price_with_minor_units"] is None for r in caller.sim.truth("leads").values())
    assert all(r["name"] is not None for r in caller.sim.truth("contacts").values())
    assert all(isinstance(n["note_type"], str) for n in caller.sim.truth("leads/notes").values())
    assert caller.ask("events").status_code == 204
    assert [t["name"] for t in caller.ask("account?with=task_types").json()["_embedded"]["task_types"]] == [
        "Звонок",
        "Встреча",
        "Письмо",
    ]
