"""Connection poolers: one in session mode works; one in another mode is refused before anything is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from pooler import PgBouncer

from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.errors import DatabaseError
from target_crm.operations.conflicts import Filter, resolve
from target_crm.operations.session import open_session
from target_crm.operations.states import last_state
from target_crm.operations.undo import undo

BIN = Path(sys.executable).parent
REFUSED = r"^database_url leads to a connection pooler in transaction mode.*Nothing was written\.$"


def nothing_is_left(crm):
    """Nothing of ours was made or stays behind in sessions that others will get."""
    assert crm.execute("SELECT to_regnamespace(%s) AS found", crm.schema) == [{"found": None}]
    locks = crm.execute(
        "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    assert locks == [{"n": 0}]


@pytest.mark.parametrize(
    "options", [{}, {"default_pool_size": 1}, {"server_round_robin": 1, "min_pool_size": 3}], ids=str
)
def test_transaction_mode_is_refused_in_one_sentence_before_anything_is_written(crm, options):
    with PgBouncer(crm.url, "transaction", **options) as pooler:
        for _ in range(2):
            with pytest.raises(DatabaseError, match=REFUSED):
                crm.load(
                    [crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1})], database_url=pooler.url
                )
        with psycopg.connect(pooler.url) as other:
            assert other.execute("SHOW work_mem").fetchone() == ("4MB",)
        nothing_is_left(crm)


def test_statement_mode_is_refused_in_one_sentence(crm):
    with PgBouncer(crm.url, "statement") as pooler, pytest.raises(DatabaseError, match=REFUSED):
        crm.load([crm.schema_message("contacts")], database_url=pooler.url)
    nothing_is_left(crm)


def test_the_commands_of_the_administrator_refuse_it_too(crm):
    with PgBouncer(crm.url, "transaction") as pooler:
        settings = Settings.from_config({**crm.config, "database_url": pooler.url})
        with pytest.raises(DatabaseError, match=REFUSED), open_session(settings):
            pass
        done = subprocess.run(
            [BIN / "target-crm-admin", "--database-url", pooler.url, "status"], capture_output=True, text=True
        )
    assert done.returncode == 1
    assert "pooler in transaction mode" in done.stderr
    nothing_is_left(crm)


def test_a_pooler_that_is_switched_to_transaction_mode_under_a_load_is_noticed_in_the_next_transaction(crm):
    settings = Settings.from_config(crm.config)
    with Database(settings) as database, database.connect() as connection:
        connection.verify()
        connection.rollback()
        # Another session in its place, as such a pooler gives it.
        connection.execute("SELECT set_config('target_crm.session', 'another', false)")
        connection.commit()
        with pytest.raises(DatabaseError, match="pooler in transaction mode"):
            connection.verify()


@pytest.mark.parametrize("options", [{}, {"default_pool_size": 2, "query_wait_timeout": 5}], ids=str)
def test_session_mode_works_with_two_versions_and_an_edit(crm, options):
    with PgBouncer(crm.url, "session", **options) as pooler:
        crm.load(
            [
                crm.schema_message("contacts"),
                *crm.messages("contacts", *({"id": n, "last_name": "а"} for n in range(1, 40))),
            ],
            database_url=pooler.url,
        )
        crm.execute("UPDATE contacts SET last_name = 'вручную' WHERE amo_id = 7")
        crm.sync("contacts", *({"id": n, "last_name": "б"} for n in range(1, 40)), database_url=pooler.url)
        done = subprocess.run(
            [BIN / "target-crm-admin", "--database-url", pooler.url, "--crm-schema", crm.schema, "status", "--json"],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["runs"]) == 2
    assert crm.row("contacts", 7)["last_name"] == "вручную"
    assert {r["last_name"] for r in crm.rows("contacts")} == {"б", "вручную"}


def test_session_mode_carries_decisions_undos_and_staging_tables_in_the_schema(crm):
    with PgBouncer(crm.url, "session") as pooler:
        through = {"database_url": pooler.url, "staging": "schema"}
        crm.sync("contacts", {"id": 1, "last_name": "а"}, **through)
        crm.execute("UPDATE contacts SET last_name = 'вручную'")
        crm.sync("contacts", {"id": 1, "last_name": "б"}, **through)
        with open_session(Settings.from_config({**crm.config, **through})) as session:
            run, done = resolve(session, Filter(), "amo")
            assert done.settled == 1
            assert crm.row("contacts")["last_name"] == "б"
            undo(session, run)
            assert last_state(session) is None
    assert crm.row("contacts")["last_name"] == "вручную"
    assert crm.execute("SELECT relname FROM pg_class WHERE starts_with(relname, 'sync_stage_')") == []
