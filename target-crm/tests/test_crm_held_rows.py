"""Rows that another session holds: decisions and undos wait for a while, loads continue meanwhile, nobody deadlocks."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
import review_data
from review_server import plain, serving

from target_crm.config.settings import Settings
from target_crm.operations.attempts import RowsHeldError
from target_crm.operations.conflicts import Filter, resolve
from target_crm.operations.session import open_session
from target_crm.operations.undo import undo


def conflict(crm, *amo_ids):
    """A conflict on the last name of each of these contacts."""
    crm.sync("contacts", *({"id": n, "last_name": "Иванов"} for n in amo_ids))
    crm.execute("UPDATE contacts SET last_name = 'Сидоров'")
    crm.sync("contacts", *({"id": n, "last_name": "Петров"} for n in amo_ids))


@contextmanager
def session(crm, **settings):
    with open_session(replace(Settings.from_config(crm.config), **settings)) as opened:
        yield opened


@contextmanager
def held(crm, statement, *values):
    """Somebody's transaction that holds rows and is still open."""
    with psycopg.connect(crm.url) as person:
        person.execute(f"SET search_path = {crm.schema}".encode())
        person.execute(statement.encode(), values or None)
        yield person
        person.rollback()


HOLD = "UPDATE contacts SET position = 'правится' WHERE amo_id = 1"


def test_a_decision_about_a_held_row_ends_in_time_with_one_sentence(crm):
    conflict(crm, 1)
    with session(crm, lock_timeout_seconds=1.0) as opened, held(crm, HOLD):
        began = time.monotonic()
        with pytest.raises(RowsHeldError, match=r"lock_timeout_seconds = 1\. Nothing was changed"):
            resolve(opened, Filter(), "amo")
        assert time.monotonic() - began < 10
    assert crm.row("contacts")["last_name"] == "Сидоров"
    assert [r["kind"] for r in crm.rows("sync_runs", "id")] == ["load", "load"]


def test_an_undo_of_a_held_row_ends_in_time_with_one_sentence(crm):
    conflict(crm, 1)
    with (
        session(crm, lock_timeout_seconds=1.0) as opened,
        held(crm, HOLD),
        pytest.raises(RowsHeldError, match=r"lock_timeout_seconds = 1\. Nothing was changed"),
    ):
        undo(opened, 2)
    assert crm.row("contacts")["raw_fields"]["amo_values"]["last_name"] == "Петров"


def test_a_wait_for_held_rows_is_a_line_in_the_log(crm, caplog):
    conflict(crm, 1)
    with (
        session(crm, lock_timeout_seconds=1.0) as opened,
        held(crm, HOLD),
        caplog.at_level("INFO", "target-crm"),
        pytest.raises(RowsHeldError),
    ):
        undo(opened, 2)
    told = [r.message for r in caplog.records if "waits for rows" in r.message]
    assert len(told) == 1
    assert "Undoing run 2" in told[0]


def test_loads_go_on_while_a_decision_waits_for_a_held_row(crm):
    conflict(crm, 1)
    done = []
    with session(crm, lock_timeout_seconds=60.0) as opened, held(crm, HOLD) as person:
        waiting = threading.Thread(target=lambda: done.append(resolve(opened, Filter(), "amo")))
        waiting.start()
        time.sleep(1)
        crm.sync("contacts", {"id": 2, "last_name": "Орлов"}, lock_timeout_seconds=20)
        assert waiting.is_alive()
        person.commit()
        waiting.join(60)
    assert crm.row("contacts", 2)["last_name"] == "Орлов"
    assert done[0][1].settled == 1
    assert (crm.row("contacts")["last_name"], crm.row("contacts")["position"]) == ("Петров", "правится")


def test_a_decision_and_an_editor_who_take_rows_in_opposite_order_both_get_through(crm):
    conflict(crm, 1, 2)
    by_key = [r["amo_id"] for r in crm.rows("contacts", "id")]
    edit = "UPDATE contacts SET position = 'правится' WHERE amo_id = %s"
    done = []
    with session(crm, lock_timeout_seconds=60.0) as opened, held(crm, edit, by_key[1]) as person:
        settling = threading.Thread(target=lambda: done.append(resolve(opened, Filter(), "amo")))
        settling.start()
        time.sleep(0.3)
        person.execute(edit.encode(), [by_key[0]])
        person.commit()
        settling.join(60)
    assert done[0][1].settled == 2
    assert {(r["last_name"], r["position"]) for r in crm.rows("contacts")} == {("Петров", "правится")}


def test_the_page_answers_that_somebody_holds_the_row(crm, monkeypatch):
    monkeypatch.setattr("target_crm.web.crm._PATIENCE_SECONDS", 1.0)
    review_data.fill(crm)
    (number,) = [c["id"] for c in crm.conflicts() if c["column_name"] == "position"][:1]
    row_id = crm.execute("SELECT row_id FROM sync_conflicts WHERE id = %s", number)[0]["row_id"]
    with serving(crm.config) as served, held(crm, "SELECT FROM contacts WHERE id::text = %s FOR UPDATE", row_id):
        answer = served.enter().settle(number, "amo")
    assert answer.status_code == 503
    assert "Someone else is changing these records" in plain(answer.text)
