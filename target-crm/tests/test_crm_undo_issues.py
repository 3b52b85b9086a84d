"""Undoing a run and its conflicts, rejects and warnings: what the run closed is open again, what it opened is void."""

from __future__ import annotations

import pytest

from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.load import runs
from target_crm.operations.conflicts import Filter, resolve
from target_crm.operations.rejects import drop, find_rejects, retry
from target_crm.operations.session import open_session
from target_crm.operations.undo import take_back


@pytest.fixture
def session(crm):
    crm.load([])
    with open_session(Settings.from_config(crm.config)) as opened:
        yield opened


def last_run(crm):
    return crm.execute("SELECT max(id) AS id FROM sync_runs")[0]["id"]


def open_conflicts(crm):
    return [c["amo_value"] for c in crm.conflicts() if c["resolved_at"] is None]


def conflict(crm, *theirs):
    """A contact whose last name people changed, and what amoCRM sent then, each in a separate run."""
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    crm.execute("UPDATE contacts SET last_name = 'Сидоров'")
    for name in theirs:
        crm.sync("contacts", {"id": 1, "last_name": name})


def test_a_conflict_that_the_run_superseded_is_open_again(crm, session):
    conflict(crm, "Петров", "Кузнецов")
    take_back(session, last_run(crm))
    assert open_conflicts(crm) == ["Петров"]
    assert [c["resolution"] for c in crm.conflicts()] == [None, "undone"]


def test_undoing_that_undo_supersedes_it_again(crm, session):
    conflict(crm, "Петров", "Кузнецов")
    before = crm.conflicts()
    take_back(session, last_run(crm))
    take_back(session, last_run(crm))
    assert crm.conflicts() == before


def test_a_conflict_that_a_run_of_the_first_version_superseded_is_open_again(crm, session):
    conflict(crm, "Петров", "Кузнецов", "Орлов")
    crm.execute("DELETE FROM sync_issue_changes")
    take_back(session, last_run(crm))
    assert open_conflicts(crm) == ["Кузнецов"]


def test_a_conflict_stays_open_where_the_base_is_not_put_back(crm, session):
    conflict(crm, "Петров")
    run = last_run(crm)
    crm.sync("contacts", {"id": 1, "last_name": "Петров", "first_name": "Пётр"})
    take_back(session, run)
    assert open_conflicts(crm) == ["Петров"]


def test_a_decision_that_somebody_took_meanwhile_stays(crm, session):
    conflict(crm, "Петров", "Кузнецов")
    run = last_run(crm)
    resolve(session, Filter(), "crm")
    take_back(session, run)
    assert open_conflicts(crm) == []


def test_conflicts_of_many_rows_come_back_together(crm, session):
    records = [{"id": n, "last_name": "Иванов", "first_name": "Пётр"} for n in range(1, 31)]
    crm.sync("contacts", *records)
    crm.execute("UPDATE contacts SET last_name = 'Сидоров', first_name = 'Павел'")
    for name in ("Петров", "Кузнецов"):
        crm.sync("contacts", *({**r, "last_name": name, "first_name": name} for r in records))
    resolve(session, Filter(column="first_name", table="contacts"), "amo")
    take_back(session, last_run(crm))
    take_back(session, last_run(crm) - 2)
    assert open_conflicts(crm) == ["Петров"] * 60


BAD = {"id": 5, "price": 5000}


@pytest.fixture
def cheap(crm, session):
    """Leads of 1000 and more are refused."""
    crm.sync("leads", {"id": 1})
    crm.execute("ALTER TABLE leads ADD CONSTRAINT cheap CHECK (price < 1000)")


def test_a_reject_that_the_run_closed_is_open_again(crm, session, cheap):
    crm.sync("leads", BAD)
    before = find_rejects(session)
    session.connection.commit()
    crm.sync("leads", {"id": 5, "price": 100})
    assert find_rejects(session) == []
    take_back(session, last_run(crm))
    assert find_rejects(session) == before
    take_back(session, last_run(crm))
    assert find_rejects(session) == []


def test_a_reject_that_the_run_found_is_void_and_found_again_when_that_is_undone(crm, session, cheap):
    crm.sync("leads", BAD)
    before = find_rejects(session)
    take_back(session, last_run(crm))
    assert find_rejects(session) == []
    take_back(session, last_run(crm))
    assert find_rejects(session) == before


def test_a_reject_that_the_run_found_once_more_is_as_it_was_found_first(crm, session, cheap):
    crm.sync("leads", BAD)
    before = find_rejects(session)
    session.connection.commit()
    crm.sync("leads", {**BAD, "price": 6000})
    assert find_rejects(session) != before
    take_back(session, last_run(crm))
    assert find_rejects(session) == before


def test_a_reject_that_a_person_dropped_meanwhile_stays_dropped(crm, session, cheap):
    crm.sync("leads", BAD)
    run = last_run(crm)
    drop(session, [find_rejects(session)[0]["id"]], "не нужна")
    take_back(session, run)
    assert find_rejects(session, resolved=True)[0]["resolution"] == "dropped: не нужна"


def test_an_undone_retry_leaves_the_reject_open(crm, session, cheap):
    crm.sync("leads", {"id": 2, "price": 5000})
    crm.execute("ALTER TABLE leads DROP CONSTRAINT cheap")
    number, tried, bad = retry(session)
    assert (tried, bad) == (1, 0)
    take_back(session, number)
    assert [(r["amo_id"]) for r in find_rejects(session)] == [2]
    assert [r["amo_id"] for r in crm.rows("leads")] == [1]


def test_an_older_version_that_is_tried_again_never_overwrites_a_newer_one(crm, session, cheap):
    old, new = "2026-01-01T10:00:00+00:00", "2026-01-01T11:00:00+00:00"
    crm.sync("leads", {"id": 2, "price": 5000, "name": "старое", "updated_at": old})
    reject = find_rejects(session)[0]["id"]
    session.connection.commit()
    crm.sync("leads", {"id": 2, "price": 5, "name": "новое", "updated_at": new})
    crm.execute("ALTER TABLE leads DROP CONSTRAINT cheap")
    crm.execute("UPDATE sync_rejects SET resolved_at = NULL WHERE id = %s", reject)
    retry(session)
    assert (crm.row("leads", 2)["name"], crm.row("leads", 2)["price"]) == ("новое", 5)
    assert find_rejects(session) == []


def test_a_warning_that_the_run_closed_is_open_again_and_one_that_it_found_is_void(crm, session):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    entry = (
        "INSERT INTO {}.sync_warnings (run_id, stream, account_id, amo_id, table_name, column_name, code) "
        "VALUES (%s, 'contacts', 77, 1, 'contacts', %s, 'W_NOT_AN_ID')"
    ).replace("{}", crm.schema)
    with Database(Settings.from_config(crm.config)) as database, database.connect() as load:
        for column in ("position", "email"):
            number = runs.begin_run(load, crm.schema, "load")
            load.execute(f"UPDATE {crm.schema}.sync_warnings SET resolved_at = now()".encode())
            load.execute(entry.encode(), [number, column])
            runs.close_run(load, crm.schema, number, "succeeded", None)
            load.commit()
    take_back(session, number)
    found = crm.execute("SELECT column_name FROM sync_warnings WHERE resolved_at IS NULL")
    assert [w["column_name"] for w in found] == ["position"]


def test_a_run_with_a_record_whose_time_is_none_is_undone(crm, session):
    crm.sync("leads", {"id": 1, "name": "А", "updated_at": "2026-02-31T10:00:00+00:00"})
    crm.sync("leads", {"id": 1, "name": "Б"})
    take_back(session, last_run(crm))
    assert crm.row("leads")["name"] == "А"
    take_back(session, last_run(crm) - 2)
    assert crm.rows("leads") == []
