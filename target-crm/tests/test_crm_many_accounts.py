"""Many accounts in one schema: a decision of one waits for no other, and reads nothing of the thousands."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from target_crm.config.settings import Settings
from target_crm.errors import BusyError
from target_crm.operations.conflicts import Filter, resolve
from target_crm.operations.explain import explain
from target_crm.operations.proposals import ignore
from target_crm.operations.rejects import retry
from target_crm.operations.session import UnknownError, open_session
from target_crm.operations.undo import undo

OTHER, THOUSANDS = 78, 10_000


@contextmanager
def session(crm, **settings):
    with open_session(Settings.from_config({**crm.config, "lock_timeout_seconds": 0.3, **settings})) as opened:
        yield opened


@contextmanager
def a_load_of(crm, account):
    """Another process that works on the account."""
    with psycopg.connect(crm.url, autocommit=True) as load:
        load.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"target-crm:{crm.schema}:{account}",))
        yield


@pytest.fixture
def with_conflict(crm):
    """Two accounts with a row each; that of the first is in conflict. Thousands of others have loaded before."""
    crm.sync("contacts", {"id": 1, "last_name": "А"}, {"id": 1, "last_name": "Б", "account_id": OTHER})
    crm.execute(
        "INSERT INTO sync_runs (status, account_ids) SELECT 'succeeded', ARRAY[n] FROM generate_series(1000, %s) AS n",
        1000 + THOUSANDS,
    )
    crm.execute("UPDATE contacts SET last_name = 'вручную' WHERE amo_account_id = 77")
    crm.sync("contacts", {"id": 1, "last_name": "В"})
    return crm


def last_run(crm):
    (run,) = crm.execute("SELECT id, account_ids FROM sync_runs ORDER BY id DESC LIMIT 1")
    return run


def test_a_decision_and_its_undo_do_not_wait_for_another_accounts_load(with_conflict):
    crm = with_conflict
    with a_load_of(crm, OTHER), session(crm) as opened:
        run, done = resolve(opened, Filter(), "amo")
        assert done.settled == 1
        assert crm.execute("SELECT last_name FROM contacts WHERE amo_account_id = 77") == [{"last_name": "В"}]
        assert last_run(crm) == {"id": run, "account_ids": [77]}
        undo(opened, run)
    assert last_run(crm)["account_ids"] == [77]
    held = crm.execute("SELECT last_name FROM contacts WHERE amo_account_id = 77")
    assert held == [{"last_name": "вручную"}]


def test_a_decision_waits_for_a_load_of_its_own_account(with_conflict):
    with a_load_of(with_conflict, 77), session(with_conflict) as opened, pytest.raises(BusyError):
        resolve(opened, Filter(), "amo")


def test_an_undo_of_a_run_that_names_no_accounts_finds_them_by_its_rows(with_conflict):
    crm = with_conflict
    load = last_run(crm)["id"]
    crm.execute("UPDATE sync_runs SET account_ids = '{}' WHERE id = %s", load)
    with session(crm) as opened:
        with a_load_of(crm, 77), pytest.raises(BusyError):
            undo(opened, load)
        with a_load_of(crm, OTHER):
            undo(opened, load)
    assert last_run(crm)["account_ids"] == [77]


def test_thousands_of_accounts_cost_a_decision_no_statement(with_conflict, monkeypatch):
    said = Counter[str]()
    execute = psycopg.Connection.execute

    def count(connection, query, params=None, **more):
        text = query.as_string(connection) if isinstance(query, sql.Composable) else str(query)
        said["lock" if "pg_try_advisory_lock" in text else "other"] += 1
        return execute(connection, query, params, **more)

    with session(with_conflict) as opened:
        monkeypatch.setattr(psycopg.Connection, "execute", count)
        resolve(opened, Filter(), "crm")
    assert said["lock"] == 1
    assert said["other"] < 40


def test_a_retry_and_a_decision_about_proposals_do_not_wait_for_another_accounts_load(crm):
    crm.sync("contacts", {"id": 1, "last_name": "А", "account_id": OTHER})
    crm.execute("ALTER TABLE contacts ADD CONSTRAINT short CHECK (length(last_name) < 5)")
    crm.sync("contacts", {"id": 2, "last_name": "слишком длинно"})
    crm.execute("ALTER TABLE contacts DROP CONSTRAINT short")
    crm.execute(
        "INSERT INTO sync_proposals (run_id, stream, account_id, amo_id, record, rule) "
        "VALUES (1, 'contacts', 77, 9, '{}', 'email')"
    )
    with a_load_of(crm, OTHER), session(crm) as opened:
        (proposal,) = crm.execute("SELECT id FROM sync_proposals WHERE amo_id = 9")
        assert ignore(opened, [proposal["id"]])[1] == 1
        assert retry(opened)[1:] == (1, 0)


def test_a_record_is_named_with_its_account_where_several_have_the_number(crm):
    crm.sync("contacts", {"id": 1, "last_name": "А"}, {"id": 1, "last_name": "Б", "account_id": OTHER})
    with session(crm) as opened:
        with pytest.raises(UnknownError, match="ACCOUNT/amo:ID"):
            explain(opened, "contacts", "amo:1")
        for key in (f"{OTHER}/amo:1", f"amo:{OTHER}:1"):
            found = explain(opened, "contacts", key)
            assert found.amo_account_id == OTHER
            assert next(c.value for c in found.cells if c.column == "last_name") == "Б"
