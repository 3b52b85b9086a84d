"""A verification names each kind of difference between a whole reading and the CRM, and writes nothing."""

from __future__ import annotations

import json

import psycopg
import pytest
from click.testing import CliRunner
from firms import crm_of_firms, record, typed

from target_crm.admin.main import main

RUN = {"tap": "tap-amocrm", "id": "reading-1", "start_state": None, "purpose": "verify"}
STREAMS = ("users", "companies", "contacts", "leads", "notes", "tasks")


def reading(crm, *parts, run=RUN, streams=STREAMS):
    """The messages of a whole reading: pairs of stream and records."""
    given, lines = {}, []
    for stream, given_record in parts:
        given.setdefault(stream, []).append(given_record)
    for stream in (*streams, *(set(given) - set(streams))):
        schema = json.loads(crm.schema_message(stream))
        if run is not None:
            schema["schema"]["x-amocrm-run"] = run
        lines.append(json.dumps(schema))
        crm.clock -= 1
        lines += crm.messages(stream, *given.get(stream, ()))
    if run is not None:
        lines.append(json.dumps({"type": "STATE", "value": {"amocrm_run": {"id": run["id"], "complete": True}}}))
    return "\n".join(lines) + "\n"


def verify(crm, lines, *options):
    config = crm.folder / "target.json"
    config.write_text(json.dumps(crm.config))
    done = CliRunner().invoke(main, ["--config", str(config), "verify", "--json", *options], input=lines)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, json.loads(done.stdout)


def of(found, stream):
    return next(s for s in found["streams"] if s["stream"] == stream)


def numbers(found, stream):
    """The kinds of difference of a stream with their numbers, without zeros."""
    return {kind: f["number"] for kind, f in of(found, stream)["found"].items() if f["number"]}


def state_of(crm):
    """All rows of all tables."""
    tables = crm.execute("SELECT table_name AS t FROM information_schema.tables WHERE table_schema = %s", crm.schema)
    return {r["t"]: sorted(map(str, crm.execute(f'SELECT x.*, x.xmin FROM "{r["t"]}" AS x'))) for r in tables}


NINA = {"id": 1, "first_name": "Nina", "name": "Nina", "updated_at": "2026-01-01T00:00:00+00:00"}
OLEG = {"id": 2, "first_name": "Oleg", "name": "Oleg", "updated_at": "2026-01-01T00:00:00+00:00"}
LATER = "2026-03-01T00:00:00+00:00"


@pytest.fixture
def loaded(crm):
    crm.sync("contacts", NINA, OLEG)
    return crm


def test_an_account_that_was_loaded_is_here_whole(loaded, custom_field):
    phone = {**NINA, "custom_fields_values": [custom_field("PHONE", "+7 903 000-00-01")], "updated_at": LATER}
    loaded.sync("contacts", phone)
    before = state_of(loaded)
    code, found = verify(loaded, reading(loaded, ("contacts", phone), ("contacts", OLEG)))
    assert (code, found["complete"], found["faults"]) == (0, True, [])
    contacts = of(found, "contacts")
    assert (contacts["in_amocrm"], contacts["in_crm"], numbers(found, "contacts")) == (2, 2, {})
    assert {s["amo_id"] for s in contacts["samples"]} == {1, 2}
    assert not any(c["differs"] for s in contacts["samples"] for c in s["cells"])
    assert state_of(loaded) == before


def test_each_record_and_row_that_differs_is_named_and_nothing_is_written(loaded, custom_field):
    third, fourth = {**NINA, "id": 3, "name": "Ira", "first_name": "Ira"}, {**OLEG, "id": 4}
    loaded.sync("contacts", third, fourth, {**NINA, "id": 6, "first_name": "Yan"})
    loaded.execute("DELETE FROM contacts WHERE amo_id = 4")
    loaded.execute("UPDATE contacts SET first_name = 'By hand' WHERE amo_id = 3")
    before = state_of(loaded)
    stale = {**NINA, "first_name": "Anna", "name": "Anna", "updated_at": LATER}
    deleted = {"entity_type": "contacts", "entity_id": 6, "deleted_at": LATER, "id": 1}
    lines = reading(
        loaded,
        ("contacts", stale),
        ("contacts", third),
        ("contacts", fourth),
        ("contacts", {**NINA, "id": 5}),
        ("contacts", {"id": "x", "updated_at": LATER}),
        ("companies", {"id": 9, "custom_fields_values": [custom_field("EMPLOYEES_COUNT", "many")]}),
        ("deleted_records", deleted),
    )
    code, found = verify(loaded, lines)
    assert code == 1
    assert numbers(found, "contacts") == {
        "missing": 1, "stale": 1, "removed": 1, "surplus": 1, "unmarked": 1, "edited": 1, "rejects": 1
    }  # fmt: skip
    assert numbers(found, "companies") == {"missing": 1, "warnings": 1}
    kinds = of(found, "contacts")["found"]
    order = ("missing", "stale", "removed", "surplus", "unmarked")
    assert [e["amo_id"] for kind in order for e in kinds[kind]["entries"]] == [5, 1, 4, 2, 6]
    assert kinds["stale"]["entries"][0]["columns"] == ["first_name", "raw_fields"]
    edited = kinds["edited"]["entries"][0]
    assert (edited["column_name"], edited["crm_value"]) == ("first_name", "By hand")
    assert kinds["rejects"]["entries"][0]["code"] == "E_KEY_NOT_A_NUMBER"
    assert {f["kind"]: f["command"] for f in found["faults"]}["rejects"].endswith("rejects --retry")
    assert state_of(loaded) == before


def test_an_open_conflict_is_named_until_it_is_resolved(loaded):
    loaded.execute("UPDATE contacts SET first_name = 'Hand' WHERE amo_id = 1")
    theirs = {**NINA, "first_name": "Anna", "name": "Anna", "updated_at": LATER}
    loaded.sync("contacts", theirs)
    whole = reading(loaded, ("contacts", theirs), ("contacts", OLEG))
    code, found = verify(loaded, whole)
    conflict = of(found, "contacts")["found"]["conflicts"]
    assert (code, conflict["number"], conflict["entries"][0]["columns"]) == (1, 1, ["first_name"])
    loaded.execute("UPDATE sync_conflicts SET resolved_at = now(), resolution = 'crm'")
    code, found = verify(loaded, whole)
    assert (code, numbers(found, "contacts")) == (0, {"edited": 1})


def test_a_row_that_somebody_holds_is_named_as_waiting(loaded):
    later = {**NINA, "first_name": "Anna", "name": "Anna", "updated_at": LATER}
    loaded.config["lock_timeout_seconds"] = 1
    with psycopg.connect(loaded.url) as person:
        person.execute(f"SELECT 1 FROM {loaded.schema}.contacts WHERE amo_id = 1 FOR UPDATE".encode())
        code, found = verify(loaded, reading(loaded, ("contacts", later), ("contacts", OLEG)))
        person.rollback()
    waiting = of(found, "contacts")["found"]["waiting"]
    assert (code, waiting["number"]) == (1, 1)
    assert (waiting["entries"][0]["amo_id"], waiting["entries"][0]["code"]) == (1, "W_ROW_HELD")
    assert "waiting" in {f["kind"] for f in found["faults"]}
    assert loaded.execute("SELECT 1 FROM sync_warnings WHERE resolved_at IS NULL") == []


def test_a_record_whose_required_row_did_not_come_is_named_as_waiting(own_tables):
    table = """CREATE TABLE {} (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, amo_account_id bigint,
        amo_id bigint, raw_fields jsonb NOT NULL DEFAULT '{{}}', name text, UNIQUE (amo_account_id, amo_id));"""
    plain = dict.fromkeys(("created_at", "updated_at", "amo_created_at", "amo_updated_at", "amo_deleted_at"))
    firm = {"from": "company_id", "link": "companies", "required": "wait"}
    crm = own_tables(
        table.format("firm") + table.format("person") + "ALTER TABLE person ADD firm_id int NOT NULL REFERENCES firm",
        {
            "companies": {"table": "firm", "service": plain, "columns": {"name": "name"}},
            "contacts": {"table": "person", "service": plain, "columns": {"name": "name", "firm_id": firm}},
        },
    )
    given = ("companies", {"id": 7, "name": "A"}), ("contacts", {**NINA, "company_id": 7})
    crm.sync(*given[0])
    crm.sync(*given[1])
    lines = reading(crm, *given, ("contacts", {**OLEG, "company_id": 8}), streams=("companies", "contacts"))
    code, found = verify(crm, lines)
    waiting = of(found, "contacts")["found"]["waiting"]
    assert (code, waiting["number"]) == (1, 1)
    assert (waiting["entries"][0]["amo_id"], waiting["entries"][0]["code"]) == (2, "W_RECORD_WAITS")
    assert crm.execute("SELECT 1 FROM sync_warnings") == []


def test_a_record_that_may_stand_for_several_rows_is_named_as_a_proposal_until_it_is_decided(crm):
    crm_of_firms(crm)(["inn"])
    rows = [typed(crm, name=name, inn="7707083893") for name in ("A", "B")]
    firm = record(1, name="amo", inn="7707083893")
    lines = reading(crm, ("companies", firm), streams=("companies", "contacts"))
    code, found = verify(crm, lines)
    assert (code, numbers(found, "companies")["proposals"]) == (1, 1)
    assert crm.execute("SELECT 1 FROM sync_proposals") == [], "nothing is written"
    crm.sync("companies", firm)
    code, found = verify(crm, lines)
    assert of(found, "companies")["found"]["proposals"]["entries"][0]["amo_id"] == 1
    (number,) = [str(p["id"]) for p in crm.execute("SELECT id FROM sync_proposals")]
    options = ["--database-url", crm.url, "--crm-schema", crm.schema, "--mapping-file", crm.config["mapping_file"]]
    assert CliRunner().invoke(main, [*options, "proposals", number, "--take", str(rows[0])]).exit_code == 0
    _, found = verify(crm, lines)
    assert "proposals" not in numbers(found, "companies")


def test_a_phone_that_did_not_arrive_makes_its_contact_stale(loaded, custom_field):
    phone = {**NINA, "custom_fields_values": [custom_field("PHONE", "+7 903 000-00-01")], "updated_at": LATER}
    code, found = verify(loaded, reading(loaded, ("contacts", phone), ("contacts", OLEG)))
    (entry,) = of(found, "contacts")["found"]["stale"]["entries"]
    assert (code, entry["amo_id"]) == (1, 1)
    assert {"phone", "contact_phones"} <= set(entry["columns"])


def test_a_row_that_somebody_changed_without_a_trace_in_its_version_is_compared_by_value(loaded):
    loaded.execute("UPDATE contacts SET first_name = 'Other' WHERE amo_id = 1")
    version = loaded.execute("SELECT xmin::text::bigint AS v FROM contacts WHERE amo_id = 1")[0]["v"]
    loaded.execute("UPDATE sync_keys SET row_version = %s WHERE table_name = 'contacts' AND amo_id = 1", version)
    code, found = verify(loaded, reading(loaded, ("contacts", NINA), ("contacts", OLEG)))
    assert (code, numbers(found, "contacts")) == (0, {"edited": 1})


def test_custom_fields_without_a_column_are_counted_by_record(loaded, custom_field):
    fields = [custom_field("SHOE_SIZE", "38"), custom_field("EMAIL", "a@b.ru")]
    given = [{**one, "custom_fields_values": fields} for one in (NINA, OLEG)]
    _, found = verify(loaded, reading(loaded, *(("contacts", one) for one in (*given, given[0])), ("tags", {"id": 1})))
    named = {w["name"]: w["records"] for w in of(found, "contacts")["without_column"] if w["kind"] == "field"}
    assert (named, found["unmapped"]) == ({"SHOE_SIZE": 2}, {"tags": 1})


def test_a_stream_that_did_not_come_is_not_called_surplus(loaded):
    code, found = verify(loaded, reading(loaded, streams=("users", "companies", "leads", "notes", "tasks")))
    assert (code, numbers(found, "contacts")) == (1, {"not_read": 1})


def test_an_incremental_reading_proves_nothing(loaded):
    lines = reading(loaded, ("contacts", NINA), run={**RUN, "start_state": "ab", "purpose": None})
    code, found = verify(loaded, lines)
    assert (code, found["is_whole"], numbers(found, "contacts")) == (1, False, {})


def test_a_reading_of_a_scope_judges_no_row_beyond_it(loaded):
    code, found = verify(loaded, reading(loaded, ("contacts", NINA), run={**RUN, "scoped": True}))
    assert (code, found["is_scoped"], numbers(found, "contacts")) == (0, True, {})


def test_own_tables_are_compared_by_their_mapping(own_tables):
    crm = own_tables(
        "CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text, kind text, "
        "amo_account_id bigint, amo_id bigint, raw_fields jsonb, created_at timestamptz, updated_at timestamptz, "
        "amo_created_at timestamptz, amo_updated_at timestamptz, amo_deleted_at timestamptz, "
        "UNIQUE (amo_account_id, amo_id))",
        {"contacts": {"table": "people", "columns": {"title": "name"}}},
    )
    crm.sync("contacts", NINA, OLEG)
    lines = reading(crm, ("contacts", NINA), ("contacts", {**OLEG, "name": "Olga", "updated_at": LATER}),
                    streams=("contacts",))  # fmt: skip
    code, found = verify(crm, lines)
    (entry,) = of(found, "contacts")["found"]["stale"]["entries"]
    assert (code, of(found, "contacts")["table"], entry["amo_id"], entry["columns"]) == (
        1, "people", 2, ["raw_fields", "title"]
    )  # fmt: skip


def test_the_page_says_in_both_languages_what_is_missing(loaded):
    lines, page = reading(loaded, ("contacts", {**NINA, "id": 5})), loaded.folder / "page.html"
    verify(loaded, lines, "--html", str(page))
    english = page.read_text("utf-8")
    assert "Something is missing" in english
    assert "Contacts: missing" in english
    assert "tap-amocrm --config tap.json | target-crm" in english
    assert "http://" not in english
    assert page.stat().st_mode & 0o777 == 0o600
    verify(loaded, lines, "--html", str(page), "--lang", "ru")
    russian = page.read_text("utf-8")
    assert "Не всё на месте" in russian
    assert "Контакты: нет в CRM" in russian


def test_a_reading_that_was_cut_off_is_an_error_and_no_certificate(loaded):
    config = loaded.folder / "target.json"
    config.write_text(json.dumps(loaded.config))
    lines = reading(loaded, ("contacts", NINA)).splitlines()[:-1]
    done = CliRunner().invoke(main, ["--config", str(config), "verify", "--json"], input="\n".join(lines))
    assert done.exit_code == 1
    assert "ended before" in done.stderr
    assert not done.stdout


def test_a_load_refuses_what_was_read_for_a_verification(loaded):
    before = state_of(loaded)
    with pytest.raises(Exception, match="for comparison, not for loading"):
        loaded.load(reading(loaded, ("contacts", {**NINA, "id": 5})).splitlines())
    before.pop("sync_runs")
    after = state_of(loaded)
    assert after.pop("sync_runs")
    assert after == before
