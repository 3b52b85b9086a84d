"""Staging tables in the CRM's schema (setting `staging`): the same results, nobody shares them, nothing stays."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest
from crm_life import contents, life, phones
from psycopg import sql
from servers import TEST_CITUS_URL

from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.errors import ConfigError
from target_crm.operations.conflicts import Filter, resolve
from target_crm.operations.session import open_session
from target_crm.operations.undo import undo
from target_crm.sql.staging_table import StagingTable, create


@pytest.fixture
def staged(crm):
    """A CRM whose loads and commands have their staging tables in its schema."""
    crm.config["staging"] = "schema"
    return crm


def left(crm):
    """The staging tables that are in the schema, each with whether it is logged."""
    return crm.execute(
        "SELECT relname, relpersistence FROM pg_class WHERE relnamespace = %s::regnamespace "
        "AND starts_with(relname, 'sync_stage_') AND relkind = 'r' ORDER BY 1",
        crm.schema,
    )


@contextmanager
def working(crm, number):
    """A session that has staged something, as a load does."""
    settings = Settings.from_config(crm.config)
    with Database(settings) as database, database.connect() as connection:
        database.use_staging(connection)
        connection.execute(create("seen_0", sql.SQL("n integer")))
        connection.execute(sql.SQL("INSERT INTO {} VALUES ({})").format(StagingTable("seen_0"), number))
        connection.commit()
        yield connection


@contextmanager
def session(crm):
    with open_session(Settings.from_config(crm.config)) as opened:
        yield opened


def test_a_life_gives_the_same_as_with_temporary_tables_and_leaves_none(crm):
    life(crm)
    expected = contents(crm)
    crm.execute(f"DROP SCHEMA {crm.schema} CASCADE")
    crm.clock = 0
    life(crm, staging="schema")
    assert contents(crm) == expected
    assert left(crm) == []


def test_a_decision_and_undos_work_on_tables_in_the_schema_and_leave_none(staged):
    crm = staged
    crm.sync("contacts", {"id": 1, "last_name": "А", **phones("+79161234567", "+79031112233")})
    crm.sync("contacts", {"id": 1, "last_name": "Б", **phones("+79161234567", "+74951234567")}, {"id": 2})
    crm.execute("UPDATE contacts SET last_name = 'вручную' WHERE amo_id = 1")
    crm.sync("contacts", {"id": 1, "last_name": "В", **phones("+79161234567", "+74951234567")})
    with session(crm) as opened:
        resolve(opened, Filter(), "amo")
        assert crm.row("contacts")["last_name"] == "В"
        for run in (4, 3, 2):
            undo(opened, run)
    assert [r["amo_id"] for r in crm.rows("contacts")] == [1]
    assert {r["value"] for r in crm.rows("contact_phones", "id")} == {"+79161234567", "+79031112233"}
    assert left(crm) == []


def test_a_dry_run_leaves_none(staged):
    staged.sync("contacts", {"id": 1, "last_name": "А"})
    staged.sync("contacts", {"id": 1, "last_name": "Б"}, dry_run=True)
    assert left(staged) == []
    assert staged.row("contacts")["last_name"] == "А"


def test_two_sessions_have_tables_of_their_own_and_the_next_load_drops_those_of_a_killed_one(staged):
    crm = staged
    crm.sync("contacts", {"id": 1})
    with working(crm, 1) as killed, working(crm, 2) as alive:
        assert [row["relpersistence"] for row in left(crm)] == ["u", "u"]
        for connection, number in ((killed, 1), (alive, 2)):
            assert connection.execute(sql.SQL("SELECT n FROM {}").format(StagingTable("seen_0"))).fetchall() == [
                (number,)
            ]
            connection.commit()
        crm.sync("contacts", {"id": 2})
        assert len(left(crm)) == 2
        # As kill -9 and a lost machine end a session.
        crm.execute("SELECT pg_terminate_backend(%s::integer)", killed.backend)
        deadline = time.monotonic() + 30
        while crm.execute("SELECT FROM pg_stat_activity WHERE pid = %s", killed.backend):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        crm.sync("contacts", {"id": 3})
        assert [row["relname"] for row in left(crm)] == [f"sync_stage_{alive.token}_seen_0"]
    assert left(crm) == []


@pytest.mark.skipif(TEST_CITUS_URL is not None, reason="on Citus they are in the schema")
def test_the_tables_are_temporary_unless_the_setting_says_otherwise(crm):
    crm.sync("contacts", {"id": 1})
    with Database(Settings.from_config(crm.config)) as database, database.connect() as connection:
        database.use_staging(connection)
        assert connection.staging is None


def test_another_word_is_refused(crm):
    with pytest.raises(ConfigError, match="staging"):
        Settings.from_config({**crm.config, "staging": "memory"})
