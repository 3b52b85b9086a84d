"""tap-amocrm-check and tap-amocrm-smoke, as commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tap_amocrm.cli.check import check

BIN = Path(sys.executable).parent


def run(tap, command, *options, **settings):
    tap.command(**settings)  # writes config.json
    line = [str(BIN / command), "--config", str(tap.folder / "config.json"), *options]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("options", "package", "company_id"),
    [
        ({"company_filter": "honour"}, True, "yes"),
        ({"company_filter": "ignore"}, True, "no"),
        ({"company_filter": "400"}, True, "no"),
        ({"no_filter_package": True}, False, "no"),
    ],
)
def test_check_finds_what_the_account_does_with_filters(start, options, package, company_id):
    done = run(start(companies=60, **options), "tap-amocrm-check", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    outcomes = {f["what"]: f["outcome"] for f in found["findings"]}
    assert found["filter_package"] is package
    assert outcomes["filter[company_id] of contacts"] == company_id
    assert outcomes["filter[entity_id] of contacts/notes"] == "yes"
    assert outcomes["filter[updated_at] of contacts"] == ("yes" if package else "no")


def test_check_estimates_a_full_sync_closely(start):
    tap = start(companies=2000)
    found = json.loads(run(tap, "tap-amocrm-check", "--json", requests_per_second=1000).stdout)
    tap.sim.reset()
    tap.run()
    real = tap.sim.stats["requests"]
    assert 0.85 * real <= found["requests"] <= 1.2 * real
    assert {s["listing"]: s["strategy"] for s in found["plan"]}["contacts"] == "full scan by id"


def test_check_shows_the_strategy_for_a_scope_with_its_cost(start):
    tap = start(companies=600, company_filter="honour")
    done = run(tap, "tap-amocrm-check", "--json", responsible_user_ids=[5_000_003])
    plan = {s["listing"]: s for s in json.loads(done.stdout)["plan"]}
    assert plan["contacts"]["strategy"] == "batches of parents by filter[company_id][]"
    assert plan["tasks of contacts"]["requests"] > 0


def test_check_prints_tables_for_a_person(start):
    done = run(start(companies=30), "tap-amocrm-check")
    assert done.returncode == 0
    assert "filter package" in done.stdout
    assert "minutes at" in done.stdout
    assert "sim-token" not in done.stdout + done.stderr


def test_check_names_what_the_user_may_not_read_and_what_to_do(start):
    done = run(start(companies=30, not_admin=True), "tap-amocrm-check", "--json", "--no-target")
    found = json.loads(done.stdout)
    (users,) = [f for f in found["findings"] if f["what"] == "may read users"]
    assert (users["outcome"], users["level"]) == ("no", "warning")
    assert "Grant this right" in users["remedy"]
    assert (found["level"], done.returncode) == ("warning", 0)


def test_check_says_each_thing_once_with_its_level_and_estimates_the_lists(start):
    tap = start(companies=300)
    done = run(tap, "tap-amocrm-check", "--no-target")
    lines = [line.split() for line in done.stdout.splitlines()]
    findings = [
        " ".join(line[1:]).partition(":")[0] for line in lines if line and line[0] in ("ok", "warning", "error")
    ]
    assert len(findings) == len(set(findings))
    assert {"credentials", "clock", "filter[id] of contacts", "may read events"} <= set(findings)
    plan = json.loads(run(tap, "tap-amocrm-check", "--json", "--no-target").stdout)["plan"]
    (contacts,) = [step for step in plan if step["listing"] == "contacts"]
    real = len(tap.sim.truth("contacts"))
    assert real <= contacts["records"] <= real + 250


def test_check_warns_of_a_clock_that_is_off(bent, tmp_path):
    bent.date = lambda path: bent.now() + 600
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"api_url": bent.url, "access_token": "x", "requests_per_second": 1000}))
    done = CliRunner().invoke(check, ["--config", str(config), "--no-target"])
    assert re.search(r"warning  clock: this machine's clock and amoCRM's differ by (599|60[01]) seconds", done.output)
    assert "-> Set this machine's clock by NTP" in done.output


def test_check_with_a_wrong_token_says_what_to_do(start):
    done = run(start(), "tap-amocrm-check", access_token="wr0ng")
    assert done.returncode == 1
    assert "refuses the token" in done.stderr
    assert "wr0ng" not in done.stderr
    assert "Traceback" not in done.stderr


def test_smoke_reads_the_first_companies_with_their_children_and_says_what_it_saved(start, tmp_path):
    tap = start(companies=200, company_filter="honour")
    file = tmp_path / "metrics.json"
    done = run(tap, "tap-amocrm-smoke", "--limit", "15", "--metrics-file", str(file))
    assert done.returncode == 0, done.stderr
    metrics = json.loads(file.read_text())
    assert metrics["records_by_stream"]["companies"] == 15
    assert metrics["records_by_stream"]["contacts"] > 0
    assert metrics["requests_without_batching"] > 3 * metrics["requests"]
    assert str(metrics["requests_without_batching"]) in done.stdout
    assert {r["method"] for r in tap.sim.requests} == {"GET"}


def test_smoke_narrows_by_user_and_custom_field(start, tmp_path):
    tap = start(companies=300)
    file = tmp_path / "metrics.json"
    scope = ("--responsible-user-id", "5000003", "--custom-field-id", "700010", "--custom-value", "Юг")
    done = run(tap, "tap-amocrm-smoke", *scope, "--limit", "1000", "--metrics-file", str(file))
    assert done.returncode == 0, done.stderr
    expected = [
        r
        for r in tap.sim.truth("companies").values()
        if r["responsible_user_id"] == 5_000_003
        and any(f["field_id"] == 700_010 and f["values"][0]["value"] == "Юг" for f in r["custom_fields_values"] or ())
    ]
    assert json.loads(file.read_text())["records_by_stream"]["companies"] == len(expected)


def test_smoke_warns_when_more_than_seven_left_in_a_second(start):
    done = run(start(companies=60), "tap-amocrm-smoke", requests_per_second=500)
    assert "Warning: more than 7 requests" in done.stdout
