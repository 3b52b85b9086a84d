"""A run as a process: interrupted, selected in part, with stream maps, with other clocks, next to another one."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_an_interrupted_run_ends_within_five_seconds_with_its_state_out(start, name):
    tap = start(companies=2000, rps=7, latency="300")
    errors = tap.folder / "errors"
    with errors.open("w") as file:
        process = subprocess.Popen(
            tap.command(requests_per_second=7), stdout=subprocess.PIPE, stderr=file, text=True, errors="replace"
        )
        messages = []
        for line in process.stdout:
            messages.append(json.loads(line))
            if messages[-1]["type"] == "RECORD" and messages[-1]["stream"] == "companies":
                break
        process.send_signal(getattr(signal, name))
        asked = time.monotonic()
        rest = process.stdout.read()
        process.wait(30)
    assert time.monotonic() - asked < 5
    log = errors.read_text()
    messages += [json.loads(line) for line in rest.split("\n") if line]
    assert messages[-1]["type"] == "STATE"
    assert "users" in {m["stream"] for m in messages if m["type"] == "RECORD"}
    assert "Traceback" not in log
    # What was not read to its end has no bookmark: the next run reads it.
    assert "replication_key_value" not in messages[-1]["value"]["bookmarks"].get("tasks", {})


def select(tap, *names):
    """A catalog in which only these streams are selected."""
    catalog = json.loads(subprocess.run([*tap.command(), "--discover"], capture_output=True, check=True).stdout)
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if entry["breadcrumb"] == []:
                entry["metadata"]["selected"] = stream["tap_stream_id"] in names
    file = tap.folder / "catalog.json"
    file.write_text(json.dumps(catalog))
    return ("--catalog", str(file))


def test_only_selected_streams_are_read(start):
    tap = start()
    output = tap.run(None, *select(tap, "leads"))
    assert set(output.records) == {"leads"}
    assert output.ids("leads") == set(tap.sim.truth("leads"))
    assert "/api/v4/contacts" not in tap.sim.stats["by_path"]


OPTIONAL = ("customers", "catalogs", "catalog_elements", "sources", "roles", "webhooks", "talks", "unsorted")


def test_optional_streams_come_when_they_are_selected_and_only_then(start):
    tap = start(customers=5)
    assert not set(OPTIONAL) & set(tap.run().records)
    output = tap.run(None, *select(tap, *OPTIONAL))
    assert set(output.records) == set(OPTIONAL)
    assert output.ids("customers") == set(tap.sim.truth("customers"))
    assert {r["catalog_id"] for r in output.records["catalog_elements"].values()} == {min(output.ids("catalogs"))}


@pytest.mark.parametrize("status", [402, 403])
def test_an_optional_stream_that_the_plan_refuses_is_empty_with_a_warning(start, status):
    tap = start(refuse=OPTIONAL[:2], refuse_status=status)
    output = tap.run(None, *select(tap, "customers", "catalogs", "roles"))
    assert output.code == 0
    assert set(output.records) == {"roles"}
    assert "Stream customers stays empty" in output.log
    assert "Stream catalogs stays empty" in output.log


def test_two_processes_on_one_account_share_the_limit(start):
    tap = start(companies=120, rps=7)
    tap.sim.control("unban", now=True)
    commands = []
    for number in (1, 2):
        folder = tap.folder / str(number)
        folder.mkdir()
        commands.append(type(tap)(tap.sim, folder).command(requests_per_second=7))
    runs = [subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for c in commands]
    logs = [run.communicate(timeout=120)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], logs
    assert tap.sim.stats["peak"] <= 7
    assert tap.sim.stats["refusals"] == 0


def test_stream_maps_of_the_sdk_work(start):
    tap = start()
    maps = {"contacts": {"name": "__NULL__", "shout": "last_name.upper() if last_name else ''"}}
    output = tap.run(stream_maps=maps)
    assert output.code == 0, output.log[-1500:]
    assert output.ids("contacts") == set(tap.sim.truth("contacts"))
    assert "name" not in next(iter(output.records["contacts"].values()))


def test_a_stream_map_of_all_streams_passes_by_those_that_are_not_selected(start):
    output = start().run(stream_maps={"*": {"source": "'amo'"}})
    assert output.code == 0, output.log[-1500:]
    assert {record["source"] for records in output.records.values() for record in records.values()} == {"amo"}


@pytest.mark.parametrize("offset", [-600, 600])
def test_a_server_whose_clock_is_ten_minutes_off_loses_nothing(start, offset):
    tap = start()
    tap.sim.control("clock", offset=offset)
    first = tap.run()
    contact = min(first.ids("contacts"))
    tap.sim.change("update", kind="contacts", ids=[contact], fields={"name": "Другое"})
    second = tap.run(first.state)
    assert second.records["contacts"][contact]["name"] == "Другое"
    assert second.read["contacts"] < 5


def test_another_scope_reads_everything_in_it(start):
    tap = start(companies=60)
    first = tap.run(responsible_user_ids=[5_000_003])
    second = tap.run(first.state, responsible_user_ids=[5_000_003, 5_000_004])
    wanted = {i for i, r in tap.sim.truth("companies").items() if r["responsible_user_id"] in (5_000_003, 5_000_004)}
    assert second.ids("companies") == wanted


def test_start_date_leaves_out_what_was_not_updated_since(start):
    tap = start(companies=60)
    truth = tap.sim.truth("contacts")
    middle = sorted(r["updated_at"] for r in truth.values())[len(truth) // 2]
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(middle))
    output = tap.run(start_date=moment)
    assert output.ids("contacts") == {i for i, r in truth.items() if r["updated_at"] >= middle}


def test_definitions_are_read_again_when_a_record_names_an_unknown_user(start):
    tap = start()
    first = tap.run()
    tap.sim.reset()
    second = tap.run(first.state)
    assert "/api/v4/users" not in tap.sim.stats["by_path"]
    contact = min(first.ids("contacts"))
    tap.sim.change("update", kind="contacts", ids=[contact], fields={"responsible_user_id": 5_999_999})
    tap.sim.reset()
    third = tap.run(second.state)
    assert tap.sim.stats["by_path"]["/api/v4/users"] == 1
    assert third.read["users"] == 12
    tap.sim.change("update", kind="contacts", ids=[contact], fields={"name": "Снова"})
    tap.sim.reset()
    tap.run(third.state)
    assert "/api/v4/users" not in tap.sim.stats["by_path"]


def test_definitions_are_read_again_after_their_lifetime(start):
    tap = start()
    first = tap.run(definitions_lifetime=0)
    assert tap.run(first.state, definitions_lifetime=0).read["users"] == 12


def test_about_names_every_setting_and_discovery_needs_no_connection(start):
    tap = start()
    done = subprocess.run(
        [*tap.command(api_url="http://127.0.0.1:1"), "--discover"], capture_output=True, text=True, check=True
    )
    streams = {s["tap_stream_id"] for s in json.loads(done.stdout)["streams"]}
    assert {"companies", "contacts", "leads", "notes", "tasks", "users", "pipelines", "custom_fields"} <= streams
    assert {"loss_reasons", "tags", "events", "deleted_records"} <= streams


def test_the_bookmarks_of_a_scope_go_no_further_than_its_companies_were_read(start):
    tap = start(latency="400")
    scope = {"responsible_user_ids": [5_000_003, 5_000_004]}
    state = tap.run(tap.run(**scope).state, **scope).state
    marks = {name: state["bookmarks"][name]["replication_key_value"] for name in ("companies", "contacts", "notes")}
    marks["tasks"] = state["bookmarks"]["tasks"]["replication_key_value"]
    # What comes into the scope while the children are read is the next run's.
    assert max(marks.values()) == marks["companies"]


def streams_announced(output):
    return {message["stream"] for message in output.schemas}


def test_a_list_that_is_not_read_again_sends_no_schema_either(start):
    # Loaders that write a table again with each run would empty it.
    tap = start()
    first = tap.run()
    assert {"users", "custom_fields", "tags"} <= streams_announced(first)
    second = tap.run(first.state)
    assert not {"users", "custom_fields", "tags"} & streams_announced(second)
    assert {"pipelines", "contacts"} <= streams_announced(second)


def test_a_list_that_is_read_again_for_an_unknown_id_sends_its_schema_before_all_its_records(start):
    tap = start()
    first = tap.run()
    contact = min(tap.sim.truth("contacts"))
    user = 5_000_000 + 999
    tap.sim.change("update", kind="contacts", ids=[contact], fields={"responsible_user_id": user})
    output = tap.run(first.state)
    places = [
        (place, message["type"]) for place, message in enumerate(output.messages) if message.get("stream") == "users"
    ]
    assert [kind for _, kind in places[:1]] == ["SCHEMA"]
    assert [kind for _, kind in places].count("SCHEMA") == 1
    assert output.ids("users") == first.ids("users")
