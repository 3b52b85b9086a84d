"""The account's content: the same for a seed, and as untidy as a real Russian one."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from amocrm_sim.testing import SimulatorServer


@pytest.fixture(scope="module")
def truth():
    with SimulatorServer(companies=1000, rps=0) as sim:
        kinds = ("companies", "contacts", "leads", "tasks", "users", "companies/notes", "contacts/notes", "leads/notes")
        yield {kind: sim.truth(kind) for kind in kinds}


def values(records, code):
    for record in records.values():
        for field in record["custom_fields_values"] or ():
            if field["field_code"] == code:
                for value in field["values"]:
                    yield value["value"]


def test_a_seed_gives_the_same_account_and_another_seed_another():
    def names(seed):
        with SimulatorServer(companies=5, seed=seed, rps=0) as sim:
            return [r["name"] for r in sim.truth("contacts").values()]

    assert names(1) == names(1)
    assert names(1) != names(2)


def test_phones_are_written_in_every_spelling(truth):
    phones = list(values(truth["contacts"], "PHONE"))
    for spelling in (r"\+7 \d{3}", r"8 \(\d{3}\)", r"^\d{10}$", r"доб\.", r"[а-я]"):
        assert any(re.search(spelling, str(p)) for p in phones), spelling


def test_custom_fields_of_every_documented_type_occur(truth):
    seen = {
        field["field_type"]
        for kind in ("companies", "contacts", "leads")
        for record in truth[kind].values()
        for field in record["custom_fields_values"] or ()
    }
    documented = (
        "text numeric checkbox select multiselect date url textarea radiobutton streetaddress smart_address birthday "
        "legal_entity date_time multitext"
    )
    assert set(documented.split()) <= seen


def test_inn_have_good_checksums(truth):
    def digit(text, weights):
        return sum(int(a) * b for a, b in zip(text, weights, strict=False)) % 11 % 10

    inns = [
        str(value["value"])
        for record in truth["companies"].values()
        for field in record["custom_fields_values"] or ()
        if field["field_name"] == "ИНН"
        for value in field["values"]
    ]
    assert len(inns) > 100
    assert all(int(i[9]) == digit(i, (2, 4, 10, 3, 5, 9, 4, 6, 8)) for i in inns if len(i) == 10)


def test_untidy_texts_occur(truth):
    text = json.dumps([truth[f"{e}/notes"] for e in ("companies", "contacts", "leads")], ensure_ascii=False)
    assert "\\u0000" in text
    assert any(ord(c) > 0x1F000 for c in text)
    longest = max(
        len(str(note["params"])) for e in ("companies", "contacts", "leads") for note in truth[f"{e}/notes"].values()
    )
    assert longest > 60_000


def test_some_contacts_have_no_company_and_some_users_are_not_active(truth):
    assert any(not (r["_embedded"] or {}).get("companies") for r in truth["contacts"].values())
    assert any(not u["rights"]["is_active"] for u in truth["users"].values())


def test_calls_are_among_the_notes_with_their_parameters(truth):
    calls = [n for n in truth["contacts/notes"].values() if n["note_type"] in ("call_in", "call_out")]
    assert calls
    assert any("duration" in (n["params"] or {}) for n in calls)


def test_many_records_share_one_second(truth):
    times = [r["updated_at"] for r in truth["contacts"].values()]
    assert max(map(times.count, set(times))) > 250


def test_the_command_serves_until_it_is_stopped(tmp_path):
    ready = tmp_path / "url"
    command = [sys.executable, "-m", "amocrm_sim", "serve", "--port", "0", "--companies", "3", "--ready-file", ready]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("amoCRM simulator at http://127.0.0.1:")
        process.terminate()
        assert process.wait(10) in (0, -15)


def test_changes_survive_a_restart_with_a_journal(tmp_path):
    options = {"companies": 3, "rps": 0, "journal": tmp_path / "journal.jsonl"}
    with SimulatorServer(**options) as sim:
        company = min(sim.truth("companies"))
        sim.change("update", kind="companies", ids=[company], fields={"name": "ООО Переезд"})
    with SimulatorServer(**options) as sim:
        assert sim.truth("companies")[company]["name"] == "ООО Переезд"


def test_an_unknown_fault_is_named_with_the_known_ones():
    command = [sys.executable, "-m", "amocrm_sim", "serve", "--port", "0", "--faults", "flood=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown fault 'flood'; known: 500" in done.stderr
