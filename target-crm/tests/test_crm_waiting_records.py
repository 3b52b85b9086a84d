"""Rows that somebody holds: the others are loaded, the log says who holds what, and the records that wait come by
themselves, in this run or a later one, whatever the tap sends."""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import contextmanager

import psycopg
import pytest
from servers import new_database

from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.errors import BusyError
from target_crm.load.held_rows import RECORD, Holder, Waiting, read_waiting, write_waiting


@contextmanager
def person(crm, statement, *values):
    """A session of somebody who has an open transaction in a database tool."""
    with psycopg.connect(crm.url, application_name="dbeaver") as connection:
        connection.execute(f"SET search_path = {crm.schema}".encode())
        connection.commit()
        connection.execute(statement, values or None)
        yield connection
        connection.rollback()


def names(crm, table="contacts", column="last_name"):
    return {r["amo_id"]: r[column] for r in crm.rows(table)}


def waiting(crm):
    query = "SELECT * FROM sync_warnings WHERE code = 'W_ROW_HELD' AND resolved_at IS NULL ORDER BY id"
    return crm.execute(query)


def contacts(*identities, **more):
    return [{"id": n, **more} for n in identities]


HOLD = "SELECT * FROM contacts WHERE amo_id = 2 FOR UPDATE"


def state(number):
    return json.dumps({"type": "STATE", "value": {"n": number}})


def test_the_others_are_loaded_and_the_record_waits_as_an_open_warning_that_the_next_run_resolves(crm, caplog):
    crm.sync("contacts", *contacts(1, 2, 3, last_name="a"))
    lines = [crm.schema_message("contacts"), *crm.messages("contacts", *contacts(1, 2, 3, last_name="b")), state(7)]
    with person(crm, HOLD) as holder, caplog.at_level(logging.WARNING, "target-crm"):
        backend = holder.info.backend_pid
        states = crm.load(lines, lock_timeout_seconds=1)
        assert names(crm) == {1: "b", 2: "a", 3: "b"}
    row = str(crm.row("contacts", 2)["id"])
    assert json.loads(states[-1])["n"] == 7
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Waiting:")]
    assert f"row {row} of contacts is held by session {backend} (application dbeaver, user postgres" in said[0]
    (warning,) = waiting(crm)
    assert (warning["table_name"], warning["amo_id"], warning["row_id"]) == ("contacts", 2, row)
    assert warning["args"]["application"] == "dbeaver"
    (run,) = crm.execute("SELECT counts FROM sync_runs ORDER BY id DESC LIMIT 1")
    assert run["counts"]["contacts"]["warnings"] == 1
    # The tap does not send it again; a run with nothing of it takes it.
    crm.load([crm.schema_message("contacts")])
    assert names(crm) == {1: "b", 2: "b", 3: "b"}
    assert waiting(crm) == []
    assert crm.sync("contacts", *contacts(1, 2, 3, last_name="b"))["conflicts"] == 0


def test_a_row_that_becomes_free_before_the_end_is_loaded_in_the_same_run(crm):
    crm.sync("contacts", *contacts(1, 2, 3, last_name="a"))
    with person(crm, HOLD) as holder:
        threading.Timer(1.5, holder.rollback).start()
        counts = crm.sync("contacts", *contacts(1, 2, 3, last_name="b"), lock_timeout_seconds=30)
    assert names(crm) == {1: "b", 2: "b", 3: "b"}
    assert waiting(crm) == []
    assert (counts["read"], counts["updated"], counts["unchanged"]) == (3, 3, 0)


def test_what_the_person_typed_meanwhile_is_an_edit_and_stays(crm):
    crm.sync("contacts", *contacts(1, 2, last_name="a", first_name="x"))
    with person(crm, "UPDATE contacts SET first_name = 'вручную' WHERE amo_id = 2") as holder:
        crm.sync("contacts", *contacts(1, 2, last_name="b", first_name="x"), lock_timeout_seconds=0)
        holder.commit()
    crm.load([crm.schema_message("contacts")])
    row = crm.row("contacts", 2)
    assert (row["first_name"], row["last_name"]) == ("вручную", "b")


def test_a_newer_version_overtakes_the_one_that_waits(crm):
    crm.sync("contacts", *contacts(1, 2, last_name="a"))
    with person(crm, HOLD):
        crm.sync("contacts", *contacts(2, last_name="b"), lock_timeout_seconds=0)
        crm.sync("contacts", *contacts(2, last_name="c"), lock_timeout_seconds=0)
        (warning,) = waiting(crm)
        assert warning["value"]["last_name"] == "c"
    crm.sync("contacts", *contacts(2, last_name="d"))
    assert names(crm)[2] == "d"
    assert waiting(crm) == []


def test_many_held_rows_cost_no_more_time_than_one(crm):
    crm.sync("contacts", *contacts(*range(1, 301), last_name="a"))
    with person(crm, "UPDATE contacts SET position = 'x' WHERE amo_id <= 200"):
        started = time.monotonic()
        crm.sync("contacts", *contacts(*range(1, 301), last_name="b"), lock_timeout_seconds=1)
        assert time.monotonic() - started < 15
        assert len(waiting(crm)) == 200
        assert {n for n, name in names(crm).items() if name == "b"} == set(range(201, 301))
    crm.load([crm.schema_message("contacts")])
    assert set(names(crm).values()) == {"b"}


def test_a_record_that_refers_to_a_held_row_waits_and_the_others_do_not(crm):
    crm.sync("companies", {"id": 5, "name": "ООО"}, {"id": 6, "name": "АО"})
    with person(crm, "SELECT * FROM companies WHERE amo_id = 5 FOR UPDATE"):
        records = [{"id": n, "company_id": 5 if n == 3 else 6} for n in range(1, 9)]
        crm.sync("contacts", *records, lock_timeout_seconds=0)
        assert 3 not in names(crm)
        assert len(names(crm)) == 7
        (warning,) = waiting(crm)
        assert warning["args"]["table"] == "companies"
    crm.load([crm.schema_message("contacts")])
    assert len(names(crm)) == 8
    assert crm.row("contacts", 3)["company_id"] == crm.row("companies", 5)["id"]


def test_a_deletion_of_a_held_row_waits_too(crm):
    crm.sync("contacts", *contacts(*range(1, 41)))
    gone = [
        {"id": f"e{n}", "entity_type": "contacts", "entity_id": n, "deleted_at": "2027-01-01T00:00:00+00:00"}
        for n in (1, 2, 3)
    ]
    with person(crm, HOLD):
        crm.sync("deleted_records", *gone, lock_timeout_seconds=0)
        assert [r["amo_id"] for r in crm.rows("contacts") if r["amo_deleted_at"]] == [1, 3]
        (warning,) = waiting(crm)
        assert warning["column_name"] == "amo_deleted_at"
    crm.load([crm.schema_message("contacts")])
    assert [r["amo_id"] for r in crm.rows("contacts") if r["amo_deleted_at"]] == [1, 2, 3]
    assert waiting(crm) == []


def test_names_that_a_held_row_keeps_from_all_wait_too(crm):
    crm.sync("pipelines", {"id": 1, "name": "Продажи", "_embedded": {"statuses": [{"id": 2, "name": "Новая"}]}})
    crm.sync("leads", *({"id": n, "pipeline_id": 1, "status_id": 2} for n in (1, 2, 3)))
    assert set(names(crm, "leads", "pipeline").values()) == {"Продажи"}
    with person(crm, "SELECT * FROM leads WHERE amo_id = 2 FOR UPDATE"):
        renamed = {"id": 1, "name": "Сделки", "_embedded": {"statuses": [{"id": 2, "name": "Новая"}]}}
        crm.sync("pipelines", renamed, lock_timeout_seconds=0)
        assert waiting(crm)
    crm.load([crm.schema_message("leads")])
    assert set(names(crm, "leads", "pipeline").values()) == {"Сделки"}
    assert waiting(crm) == []


@pytest.mark.parametrize("table", ["contacts", "sync_runs"])
def test_a_table_that_stays_locked_ends_the_load_with_one_sentence(crm, caplog, table):
    crm.sync("contacts", *contacts(1, 2, last_name="a"))
    with person(crm, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"), caplog.at_level(logging.WARNING, "target-crm"):
        said = rf"^Table {table} is locked by session \d+ \(application dbeaver, .*lock_timeout_seconds = 2"
        with pytest.raises(BusyError, match=said):
            crm.sync("contacts", *contacts(1, 2, last_name="b"), lock_timeout_seconds=2)
    assert any(f"able {table} is locked by session" in r.getMessage() for r in caplog.records)
    crm.sync("contacts", *contacts(1, 2, last_name="b"))
    assert names(crm) == {1: "b", 2: "b"}


def test_an_index_that_is_being_made_is_waited_for(crm):
    crm.sync("contacts", *contacts(1, 2, last_name="a"))
    with person(crm, "LOCK TABLE contacts IN SHARE MODE") as holder:
        threading.Timer(2, holder.rollback).start()
        crm.sync("contacts", *contacts(1, 2, last_name="b"), lock_timeout_seconds=30)
    assert names(crm) == {1: "b", 2: "b"}
    assert crm.execute("SELECT 1 FROM sync_warnings") == []


def test_a_record_with_letters_that_the_database_lacks_is_kept_whole(crm):
    record = '{"id": 2, "last_name": "中", "price": 1e400}'.encode()
    kept = Waiting("contacts", 77, 2, "contacts", RECORD, record, "UTC", Holder("contacts", "x"))
    with new_database(crm.url, f"{crm.schema}_win", "ENCODING 'WIN1251' LC_COLLATE 'C' LC_CTYPE 'C'") as url:
        crm.load([], database_url=url)
        settings = Settings.from_config({**crm.config, "database_url": url})
        with Database(settings) as database, database.connect() as connection:
            write_waiting(connection, crm.schema, 1, [kept])
            assert [w.document for w in read_waiting(connection, crm.schema, {77})] == [record]


def test_a_dry_run_does_not_wait_for_held_rows_to_become_free(crm):
    crm.sync("contacts", *contacts(1, 2, 3, last_name="a"))
    with person(crm, HOLD):
        started = time.monotonic()
        crm.load(
            [crm.schema_message("contacts"), *crm.messages("contacts", *contacts(1, 2, 3, last_name="b"))],
            dry_run=True,
            lock_timeout_seconds=60,
        )
        assert time.monotonic() - started < 30
    assert names(crm) == {1: "a", 2: "a", 3: "a"}
    assert crm.execute("SELECT 1 FROM sync_warnings") == []
