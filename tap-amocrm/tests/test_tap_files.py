"""The stream `files`: the drive's list, incrementally, with the bin; the token goes to the account's hosts alone."""

from __future__ import annotations

import json
import subprocess

import pytest

from tap_amocrm.config.account_address import is_of_account


def run(tap, state=None, streams=("files",), **settings):
    """A run of some streams alone."""
    listed = json.loads(
        subprocess.run([*tap.command(), "--discover"], capture_output=True, text=True, check=True).stdout
    )
    for stream in listed["streams"]:
        for part in stream["metadata"]:
            if not part["breadcrumb"]:
                part["metadata"]["selected"] = stream["tap_stream_id"] in streams
    catalog = tap.folder / "catalog.json"
    catalog.write_text(json.dumps(listed))
    return tap.run(state, "--catalog", str(catalog), **settings)


def test_files_come_with_those_in_the_bin_as_deleted(start):
    tap = start(companies=4, files=60)
    found = run(tap)
    assert found.code == 0, found.log
    files = {r["uuid"]: r for r in found.records["files"].values()}
    assert sorted(files) == sorted(f"f{n}" for n in range(60))
    assert {uuid for uuid, r in files.items() if r["is_deleted"]} == {f"f{n}" for n in range(60) if n % 9 == 8}
    assert files["f0"]["updated_at"].endswith("+00:00")


def test_a_later_run_brings_new_versions_and_deletions_alone(start):
    tap = start(companies=4, files=60)
    first = run(tap)
    tap.sim.control("drive", do="version", uuid="f1", version="v1b", size=10)
    tap.sim.control("drive", do="trash", uuid="f2")
    second = run(tap, first.state, lookback_seconds=0)
    changed = {r["uuid"]: (r["version_uuid"], r["is_deleted"]) for r in second.records["files"].values()}
    assert changed == {"f1": ("v1b", False), "f2": ("v2", True)}


def test_files_are_not_selected_unless_asked_for(start):
    tap = start(companies=2, files=3)
    found = tap.run()
    assert "files" not in found.records
    assert not any("/v1.0/" in r["path"] for r in tap.sim.requests)


def test_a_drive_that_is_not_a_host_of_the_account_gets_no_token(start):
    tap = start(companies=2, files=3)
    tap.sim.control("options", drive_url="https://drive.example.com")
    found = run(tap)
    assert found.code == 0
    assert "not a host of amoCRM" in found.log
    assert not found.records.get("files")
    assert "files" not in (found.state["bookmarks"] or {}) or not found.state["bookmarks"]["files"]


LINKED = ("companies", "contacts", "leads", "notes", "file_links")


def field(uuid, **more):
    value = {"file_uuid": uuid, "version_uuid": "v1", "file_name": "a.pdf", "file_size": 7}
    return {"field_id": 700_043, "field_name": "Файл", "field_type": "file", "values": [{"value": value}], **more}


def note(tap, contact, uuid):
    params = {"file_uuid": uuid, "version_uuid": "v1", "original_name": "b.pdf"}
    fields = {"entity_id": contact, "note_type": "attachment", "params": params}
    return tap.sim.change("create", kind="contacts/notes", fields=fields)[0]


def places(output):
    """What the links say, without those that are gone."""
    rows = output.records["file_links"].values()
    kept = ("file_uuid", "entity_type", "entity_id", "note_id", "field_id")
    return {tuple(r[k] for k in kept) for r in rows if not r["is_deleted"]}


def test_links_of_files_name_note_and_field_and_those_that_are_gone_are_marked(start):
    tap = start(companies=3, contacts=2, leads=1, notes=0, tasks=0)
    companies, contact = sorted(tap.sim.truth("companies")), min(tap.sim.truth("contacts"))
    tap.sim.change("update", kind="companies", ids=companies, fields={"custom_fields_values": None})
    tap.sim.change("update", kind="companies", ids=companies[:1], fields={"custom_fields_values": [field("one")]})
    noted = note(tap, contact, "two")
    before = len(tap.sim.requests)
    plain = run(tap, streams=LINKED[:-1])
    alone = len(tap.sim.requests) - before
    tap.sim.reset()
    first = run(tap, streams=LINKED)
    assert (first.code, plain.code) == (0, 0), first.log
    assert len(tap.sim.requests) == alone
    assert places(first) == {
        ("one", "companies", companies[0], None, 700_043), ("two", "contacts", contact, noted, None)
    }  # fmt: skip
    tap.sim.change("update", kind="companies", ids=companies[:1], fields={"custom_fields_values": None})
    tap.sim.change("update", kind="companies", ids=companies[1:2], fields={"custom_fields_values": [field("one")]})
    second = run(tap, first.state, streams=LINKED)
    assert places(second) >= {("one", "companies", companies[1], None, 700_043)}
    gone = [r["id"] for r in second.records["file_links"].values() if r["is_deleted"]]
    assert gone == [i for i, r in first.records["file_links"].items() if r["file_uuid"] == "one"]
    third = run(tap, second.state, streams=LINKED, lookback_seconds=0)
    assert not [r for r in third.records["file_links"].values() if r["is_deleted"]]


def test_links_of_files_need_the_records_that_name_them(start):
    found = run(start(companies=2), streams=("file_links", "users"))
    assert found.code == 1
    assert "E_CATALOG" in found.log


@pytest.mark.parametrize(
    ("url", "home", "good"),
    [
        ("https://drive-b.amocrm.ru", "https://firm.amocrm.ru", True),
        ("https://drive-c.kommo.com", "https://firm.amocrm.com", True),
        ("http://drive-b.amocrm.ru", "https://firm.amocrm.ru", False),
        ("https://drive-b.amocrm.ru.evil.example", "https://firm.amocrm.ru", False),
        ("https://evilamocrm.ru", "https://firm.amocrm.ru", False),
        ("https://user@drive-b.amocrm.ru", "https://firm.amocrm.ru", False),
        ("http://127.0.0.1:8080", "https://firm.amocrm.ru", False),
        ("http://127.0.0.1:8080", "http://127.0.0.1:9000", True),
        ("https://drive-b.amocrm.ru", "http://127.0.0.1:9000", False),
        ("file:///etc/passwd", "https://firm.amocrm.ru", False),
    ],
)
def test_the_token_goes_to_hosts_of_the_service_alone(url, home, good):
    assert is_of_account(url, home) is good
