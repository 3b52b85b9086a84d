"""Links between entities and stages of pipelines as streams: no request more, and what is gone is marked."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tap_amocrm.declarations import DECLARATIONS

BIN = Path(sys.executable).parent
ENTITIES = ("companies", "contacts", "leads")
LINKS = ("company_contacts", "lead_contacts", "lead_companies", "company_tags", "contact_tags", "lead_tags")


@cache
def discovered(config):
    """What --discover writes."""
    line = [BIN / "tap-amocrm", "--config", config, "--discover"]
    return subprocess.run(line, capture_output=True, check=True).stdout


def catalog(tap, *names):
    """A catalog in which only these streams are selected."""
    found = json.loads(discovered("ENV"))
    for stream in found["streams"]:
        (root,) = [p["metadata"] for p in stream["metadata"] if not p["breadcrumb"]]
        root["selected"] = stream["tap_stream_id"] in names
    file = tap.folder / "catalog.json"
    file.write_text(json.dumps(found))
    return ("--catalog", str(file))


def expected(tap, kind, name):
    """What an account's records embed: pairs of ids."""
    found = set()
    for identity, record in tap.sim.truth(kind).items():
        embedded = record["_embedded"] or {}
        found |= {(identity, entry["id"]) for entry in embedded.get(name) or ()}
    return found


def pairs(output, stream, owner, entry, *, deleted=False):
    """The ends of the links that came last, those that are gone or those that are there."""
    rows = output.records[stream].values()
    return {(r[owner], r[entry]) for r in rows if r["is_deleted"] is deleted}


def test_links_are_those_that_the_records_embed_and_cost_no_request(start):
    tap = start(companies=30)
    plain = tap.run(None, *catalog(tap, *ENTITIES, "pipelines"))
    alone = dict(tap.sim.stats["by_path"])
    assert not set(LINKS) & set(plain.records)
    tap.sim.change("reset_requests")
    output = tap.run(None, *catalog(tap, *ENTITIES, *LINKS, "pipelines", "statuses"))
    assert output.code == 0, output.log
    assert tap.sim.stats["by_path"] == alone
    assert pairs(output, "company_contacts", "contact_id", "company_id") == expected(tap, "contacts", "companies")
    for kind, one in (("companies", "company"), ("contacts", "contact"), ("leads", "lead")):
        assert pairs(output, f"{one}_tags", f"{one}_id", "tag_id") == expected(tap, kind, "tags")
    assert pairs(output, "lead_companies", "lead_id", "company_id") == expected(tap, "leads", "companies")
    assert pairs(output, "lead_contacts", "lead_id", "contact_id") == expected(tap, "leads", "contacts")
    for stream in LINKS:
        kinds = [m["type"] for m in output.messages if m.get("stream") == stream]
        assert (kinds[0], kinds.count("SCHEMA")) == ("SCHEMA", 1)
    main = {r["lead_id"]: r["contact_id"] for r in output.records["lead_contacts"].values() if r["is_main"]}
    assert main.items() <= expected(tap, "leads", "contacts")
    pipelines = tap.sim.simulator.store.statics["leads/pipelines"]
    stages = {(p["id"], s["id"]) for p in pipelines for s in p["_embedded"]["statuses"]}
    rows = [m["record"] for m in output.messages if m["type"] == "RECORD" and m["stream"] == "statuses"]
    assert {(r["pipeline_id"], r["id"]) for r in rows} == stages
    assert len(rows) == len(stages)


def test_only_links_of_changed_owners_come_again_and_those_that_are_gone_are_marked(start):
    tap = start(companies=20)
    chosen = catalog(tap, *ENTITIES, *LINKS)
    first = tap.run(None, *chosen)
    lead, before = next((i, r) for i, r in sorted(tap.sim.truth("leads").items()) if r["_embedded"]["contacts"])
    old = {c["id"] for c in before["_embedded"]["contacts"]}
    new = next(i for i in sorted(tap.sim.truth("contacts")) if i not in old)
    tap.sim.change(
        "update", kind="leads", ids=[lead], fields={"_embedded": {"contacts": [{"id": new, "is_main": True}]}}
    )
    second = tap.run(first.state, *chosen)
    assert pairs(second, "lead_contacts", "lead_id", "contact_id") == {(lead, new)}
    assert pairs(second, "lead_contacts", "lead_id", "contact_id", deleted=True) == {(lead, i) for i in old}
    last = second.records["lead_contacts"][f"{lead}:{min(old)}"]
    assert last["_sdc_deleted_at"]
    assert not second.records["company_contacts"]
    third = tap.run(second.state, *chosen)
    assert not pairs(third, "lead_contacts", "lead_id", "contact_id", deleted=True)


def test_links_of_deleted_records_are_marked_from_both_ends(start):
    tap = start(companies=20)
    chosen = catalog(tap, *ENTITIES, *LINKS, "deleted_records")
    first = tap.run(None, *chosen)
    links = expected(tap, "leads", "contacts")
    contact = next(c for _, c in sorted(links))
    lead = next(owner for owner, c in sorted(links) if c != contact)
    tap.sim.change("delete", kind="contacts", ids=[contact])
    tap.sim.change("delete", kind="leads", ids=[lead])
    second = tap.run(first.state, *chosen)
    gone = pairs(second, "lead_contacts", "lead_id", "contact_id", deleted=True)
    assert gone == {pair for pair in links if lead in pair or contact in pair}
    assert {c for _, c in pairs(second, "company_contacts", "company_id", "contact_id", deleted=True)} <= {contact}


def test_links_of_customers_and_stages_are_marked_when_they_are_no_longer_listed(start):
    tap = start(companies=10, customers=12)
    chosen = catalog(
        tap, "customers", "customer_contacts", "customer_companies", "customer_tags", "pipelines", "statuses"
    )
    first = tap.run(None, *chosen)
    links = expected(tap, "customers", "contacts")
    assert pairs(first, "customer_contacts", "customer_id", "contact_id") == links
    gone = min(links)[0]
    tap.sim.simulator.store.kinds["customers"].remove(gone)
    stage = tap.sim.simulator.store.statics["leads/pipelines"][0]["_embedded"]["statuses"].pop(1)
    second = tap.run(first.state, *chosen)
    marked = pairs(second, "customer_contacts", "customer_id", "contact_id", deleted=True)
    assert marked == {pair for pair in links if pair[0] == gone}
    last = second.records["statuses"][stage["id"]]
    assert (last["pipeline_id"], last["is_deleted"]) == (stage["pipeline_id"], True)


def test_owners_are_read_whole_when_their_links_are_selected_later(start):
    tap = start(companies=5)
    first = tap.run(None, *catalog(tap, "contacts", "leads"))
    second = tap.run(first.state, *catalog(tap, "contacts", "leads", "lead_contacts"))
    assert pairs(second, "lead_contacts", "lead_id", "contact_id") == expected(tap, "leads", "contacts")
    assert not second.records["contacts"]


def test_what_changed_while_links_were_not_selected_comes_when_they_are_again(start):
    tap = start(companies=5)
    first = tap.run(None, *catalog(tap, "leads", "lead_contacts"))
    lead = min(lead for lead, _ in expected(tap, "leads", "contacts"))
    tap.sim.change("update", kind="leads", ids=[lead], fields={"_embedded": {"contacts": []}})
    without = tap.run(first.state, *catalog(tap, "leads"))
    third = tap.run(without.state, *catalog(tap, "leads", "lead_contacts"))
    held = {**first.records["lead_contacts"], **third.records["lead_contacts"]}
    there = {(r["lead_id"], r["contact_id"]) for r in held.values() if not r["is_deleted"]}
    assert there == expected(tap, "leads", "contacts")
    assert third.ids("leads") == {lead}


def test_an_interrupted_run_goes_on_without_losing_a_link(start):
    tap = start(companies=5, leads=100)
    chosen = catalog(tap, "leads", "lead_contacts")
    whole = tap.run(None, *chosen, page_size=5)
    place = next(
        n for n, m in enumerate(whole.messages)
        if m["type"] == "STATE" and (m["value"]["bookmarks"].get("leads") or {}).get("unfinished")
    )  # fmt: skip
    before = {
        m["record"]["id"]: m["record"]
        for m in whole.messages[:place]
        if m["type"] == "RECORD" and m["stream"] == "lead_contacts"
    }
    state = whole.messages[place]["value"]
    lead = next(r["lead_id"] for r in before.values())
    tap.sim.change("update", kind="leads", ids=[lead], fields={"_embedded": {"contacts": []}})
    rest = tap.run(state, *chosen, page_size=5)
    again = tap.run(rest.state, *chosen, page_size=5)
    held = {**before, **rest.records["lead_contacts"], **again.records["lead_contacts"]}
    assert len(rest.records["lead_contacts"]) < len(held)
    there = {(r["lead_id"], r["contact_id"]) for r in held.values() if not r["is_deleted"]}
    assert there == expected(tap, "leads", "contacts")


def test_a_stream_map_applies_to_links(start):
    tap = start(companies=5)
    maps = {"lead_contacts": {"pair": "id", "id": "id", "account_id": "account_id", "__else__": None}}
    output = tap.run(None, *catalog(tap, "leads", "lead_contacts"), stream_maps=maps)
    assert output.code == 0, output.log
    assert {r["pair"] for r in output.records["lead_contacts"].values()} == {
        f"{lead}:{contact}" for lead, contact in expected(tap, "leads", "contacts")
    }


def test_links_without_their_owners_are_refused_with_what_to_select(start):
    tap = start(companies=1)
    output = tap.run(None, *catalog(tap, "companies", "lead_contacts"))
    assert output.code == 1
    assert "Select leads as well. [E_CATALOG]" in output.log


@pytest.mark.parametrize("odd", [["broken"], [5], 5])
def test_links_of_a_state_that_cannot_be_read_come_again_without_marks(start, odd):
    tap = start(companies=3)
    chosen = catalog(tap, "leads", "lead_contacts")
    output = tap.run({"bookmarks": {"lead_contacts": {"links": odd}}}, *chosen)
    assert output.code == 0, output.log
    assert "links of lead_contacts can't be read" in output.log


@pytest.mark.parametrize("declared", [d for d in DECLARATIONS if d.embedded], ids=lambda d: d.name)
def test_a_derived_stream_is_optional_and_behind_its_owner(declared):
    names = [d.name for d in DECLARATIONS]
    assert not declared.selected
    assert names.index(declared.parents[0]) < names.index(declared.name)
