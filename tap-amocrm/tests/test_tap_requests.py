"""What syncs cost: requests against the bounds of docs/request-planning.md, as the simulator counted them."""

from __future__ import annotations

import json
import math

import pytest

SCOPE = {
    "responsible_user_ids": [5_000_003, 5_000_004, 5_000_005],
    "company_custom_field_id": 700_010,
    "company_custom_field_value": "Юг",
}
ACCOUNTS = {
    "honours company_id": {"company_filter": "honour"},
    "ignores company_id": {"company_filter": "ignore"},
    "answers 400": {"company_filter": "400"},
    "no filter package": {"no_filter_package": True},
}


def pages(output):
    """The sum over streams of ceil(records / 250)."""
    return sum(math.ceil(count / 250) for count in output.read.values())


@pytest.mark.parametrize("companies", [500, 2000])
@pytest.mark.parametrize("account", ["ignores company_id", "no filter package"])
def test_a_whole_account_costs_little_more_than_its_pages(start, companies, account):
    tap = start(companies=companies, **ACCOUNTS[account])
    output = tap.run()
    assert output.ids("contacts") == set(tap.sim.truth("contacts"))
    assert tap.sim.stats["requests"] <= 1.05 * pages(output) + 15


@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_sync_with_nothing_new_asks_each_list_once(start, account):
    tap = start(companies=400, **ACCOUNTS[account])
    state = tap.run().state
    tap.sim.reset()
    output = tap.run(state)
    assert output.read["contacts"] == output.read["notes"] == output.read["tasks"] == 0
    by_path = {path: n for path, n in tap.sim.stats["by_path"].items() if path != "/api/v4/account"}
    assert max(by_path.values()) <= 2
    # Notes are three lists of the API; users, custom fields and tags are good for an hour.
    assert sum(by_path.values()) <= 12


def least_for_a_scope(tap, output, *, package):
    """The least number of documented requests that could fetch the same records (docs/request-planning.md)."""
    kinds = ("companies", "contacts", "leads")
    notes = {e: sum(r["entity_type"] == e for r in output.records["notes"].values()) for e in kinds}
    tasks = {e: sum(r["entity_type"] == e for r in output.records["tasks"].values()) for e in kinds}
    # Without the filter package nobody can ask for the companies of a user: all are read.
    companies = output.ids("companies") if package else tap.sim.truth("companies")
    least = math.ceil(len(companies) / 250)
    for kind in ("contacts", "leads"):
        least += min(max(1, math.ceil(len(output.ids(kind)) / 200)), math.ceil(len(tap.sim.truth(kind)) / 250))
    for kind in kinds:
        parents = math.ceil(len(output.ids(kind)) / 200)
        everything = len(tap.sim.truth(f"{kind}/notes"))
        least += min(max(math.ceil(notes[kind] / 250), parents), math.ceil(everything / 250))
    by_parents = sum(max(math.ceil(tasks[e] / 250), math.ceil(len(output.ids(e)) / 50)) for e in kinds)
    least += min(by_parents, math.ceil(len(tap.sim.truth("tasks")) / 250))
    return least + len(("account", "users", "pipelines", "loss_reasons", "events", "deletions")) + 4 + 4


WIDE_SCOPE = {"responsible_user_ids": [5_000_003, 5_000_004, 5_000_005]}


@pytest.mark.parametrize(("scope", "companies"), [(SCOPE, 2500), (WIDE_SCOPE, 1200)], ids=["narrow", "wide"])
@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_scope_costs_at_most_a_quarter_more_than_the_least(start, account, scope, companies):
    tap = start(companies=companies, **ACCOUNTS[account])
    output = tap.run(**scope)
    assert len(output.ids("companies")) > 80
    package = "no filter package" not in account
    assert tap.sim.stats["requests"] <= 1.25 * least_for_a_scope(tap, output, package=package)


@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_scope_with_nothing_new_costs_few_requests(start, account):
    tap = start(companies=300, **ACCOUNTS[account])
    state = tap.run(**WIDE_SCOPE).state
    tap.sim.reset()
    output = tap.run(state, **WIDE_SCOPE)
    assert sum(output.read[s] for s in ("companies", "contacts", "leads", "notes", "tasks")) == 0
    by_path = tap.sim.stats["by_path"]
    # Companies in scope are read whole each time: who left and who came is not in any filter.
    others = {path: n for path, n in by_path.items() if path != "/api/v4/companies"}
    assert max(others.values()) <= (3 if "no filter package" in account else 2)


def test_a_scope_that_is_nearly_the_whole_account_is_scanned(start):
    tap = start(companies=1500)
    users = list(range(5_000_001, 5_000_013))
    auto = tap.run(responsible_user_ids=users)
    cost = tap.sim.stats["requests"]
    costs = {}
    for strategy in ("batch", "scan"):
        tap.sim.reset()
        other = tap.run(responsible_user_ids=users, child_strategy=strategy)
        costs[strategy] = tap.sim.stats["requests"]
        assert other.ids("tasks") == auto.ids("tasks")
    assert cost <= 2 * min(costs.values())


def test_batches_are_counted_beside_what_one_request_per_parent_would_cost(start, tmp_path):
    tap = start(companies=400, company_filter="honour")
    file = tmp_path / "metrics.json"
    output = tap.run(**SCOPE, metrics_file=str(file))
    metrics = json.loads(file.read_text())
    companies = output.ids("companies")
    # Whoever names a company of the scope, be it as the second one, would be asked for.
    named = [
        record
        for kind in ("contacts", "leads")
        for record in tap.sim.truth(kind).values()
        if companies & {c["id"] for c in (record["_embedded"] or {}).get("companies", ())}
    ]
    parents, entities = len(companies), len(companies) + len(named)
    children = sum(metrics["requests_by_stream"].get(s, 0) for s in ("contacts", "leads", "notes", "tasks"))
    without = metrics["requests"] - children + 2 * parents + 2 * entities
    assert metrics["requests_without_batching"] == without
    assert metrics["requests"] == tap.sim.stats["requests"]
    assert 0 < metrics["peak_rps"] <= metrics["requests"]
    assert metrics["records_by_stream"]["contacts"] == len(output.ids("contacts"))


def test_414_halves_the_batch_and_nothing_is_missing(start):
    tap = start(companies=400)
    output = tap.run(**SCOPE, child_strategy="batch", notes_batch_size=250, tasks_batch_size=250)
    assert output.code == 0
    in_scope = {e: output.ids(e) for e in ("companies", "contacts", "leads")}
    for entity, ids in in_scope.items():
        notes = {i for i, r in tap.sim.truth(f"{entity}/notes").items() if r["entity_id"] in ids}
        assert notes <= output.ids("notes")
