"""A database that version 0.1 wrote: it is upgraded on the next load, and everything in it lives on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from target_crm.admin.common import read_settings
from target_crm.errors import DatabaseError
from target_crm.operations.explain import explain
from target_crm.operations.session import open_session
from target_crm.operations.undo import undo

DUMP = Path(__file__).with_name("data") / "schema_0_1.sql"


@pytest.fixture
def old(crm):
    """The dump, restored into the test's schema."""
    with psycopg.connect(crm.url, autocommit=True) as connection:
        connection.execute(DUMP.read_text("utf-8").replace("written_by_0_1", crm.schema).encode())
    return crm


def settings_of(crm):
    return read_settings(None, crm.config)


def price_type(crm):
    (found,) = crm.execute(
        "SELECT data_type FROM information_schema.columns WHERE table_schema = %s AND table_name = 'leads' "
        "AND column_name = 'price'",
        crm.schema,
    )
    return found["data_type"]


def test_the_next_load_upgrades_it_and_keeps_what_it_holds(old):
    tables = ("users", "companies", "contacts", "leads", "tasks", "notes", "contact_phones", "sync_changes")
    before = {name: old.execute(f"SELECT * FROM {name}") for name in (*tables, "sync_conflicts", "sync_pending")}
    old.load([])
    assert old.execute("SELECT version FROM sync_schema") == [{"version": 3}]
    assert price_type(old) == "numeric"
    assert old.execute("SELECT count(*) AS n FROM files JOIN file_links ON file_uuid = uuid") == [{"n": 0}]
    assert {name: old.execute(f"SELECT * FROM {name}") for name in before} == before
    assert [run["status"] for run in old.rows("sync_runs", "id")] == ["succeeded"] * 3


def test_rejects_of_0_1_get_their_keys_and_of_one_record_one_stays_open(old):
    old.load([])
    first, keyless, last = old.rows("sync_rejects", "id")
    assert first["resolution"] == "superseded"
    assert (last["account_id"], last["amo_id"], last["resolved_at"], last["resolved_by"]) == (77, 3, None, None)
    assert (keyless["account_id"], keyless["amo_id"], keyless["resolved_at"]) == (77, None, None)
    assert {r["code"] for r in (first, keyless, last)} == {"E_EARLIER_VERSION"}
    assert last["args"]["text"] == last["error"]


def test_it_loads_on_keeps_edits_and_conflicts_explains_and_undoes(old):
    old.clock = 60 * 23
    company = {"id": 9, "name": "ООО «Поздняя»"}
    old.sync("companies", company)
    old.sync(
        "leads", {"id": 1, "name": "Поставка оборудования", "price": 150000, "company_id": 1}, {"id": 3, "price": 5}
    )
    assert old.row("leads", 1)["price"] == 160000, "an edit by hand stays: the base came over"
    assert old.row("contacts", 2)["company_id"] == old.row("companies", 9)["id"], "a link that waited is made"
    assert [c["resolved_at"] for c in old.conflicts()] == [None]
    closed = old.execute("SELECT resolution FROM sync_rejects WHERE amo_id = 3 ORDER BY id")
    assert [r["resolution"] for r in closed] == ["superseded", "loaded in run 4"]
    with open_session(settings_of(old)) as session:
        cells = {cell.column: cell for cell in explain(session, "contacts", "amo:1").cells}
        assert cells["last_name"].origin == "edited by hand"
        assert cells["last_name"].amo_value == "Петров"
        undo(session, 2)
    assert old.row("leads", 1)["name"] == "Поставка"
    assert len(old.rows("contact_phones", "position")) == 2


def test_an_upgrade_that_fails_changes_nothing(old):
    old.execute("CREATE TABLE sync_schema (wrong integer)")
    with pytest.raises(DatabaseError):
        old.load([])
    assert price_type(old) == "bigint"
    columns = {
        r["column_name"]
        for r in old.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = 'sync_rejects'",
            old.schema,
        )
    }
    assert "account_id" not in columns


def test_a_dry_run_upgrades_nothing(old):
    old.load([], dry_run=True)
    assert price_type(old) == "bigint"
    assert old.execute("SELECT to_regclass('sync_schema') AS found") == [{"found": None}]


def test_views_on_the_price_are_made_again_with_their_grants(old):
    old.execute("CREATE VIEW sums AS SELECT company_id, sum(price) AS total FROM leads GROUP BY 1")
    old.execute("CREATE VIEW largest AS SELECT max(total) AS total FROM sums")
    old.execute("GRANT SELECT ON largest TO PUBLIC")
    old.load([])
    assert price_type(old) == "numeric"
    assert old.execute("SELECT total FROM largest") == [{"total": 160000}]
    assert old.execute("SELECT has_table_privilege('pg_monitor', 'largest', 'SELECT') AS can") == [{"can": True}]


def test_what_else_uses_the_price_is_named_and_nothing_is_changed(old):
    old.execute("CREATE MATERIALIZED VIEW kept AS SELECT sum(price) AS total FROM leads")
    with pytest.raises(DatabaseError, match=r"price .*leads.*kept"):
        old.load([])
    assert price_type(old) == "bigint"


def test_a_role_that_may_not_change_the_tables_learns_what_to_run(old):
    role = f"loader_{old.schema}"
    name = sql.Identifier(role)
    old.connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'geheim'").format(name))
    old.connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(old.schema), name))
    old.connection.execute(
        sql.SQL("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {} TO {}").format(
            sql.Identifier(old.schema), name
        )
    )
    try:
        with pytest.raises(DatabaseError, match=r"version 1.*owner\.json.*docs/least-privilege\.md"):
            old.load([], database_url=f"{old.url}&user={role}&password=geheim")
    finally:
        old.connection.execute(sql.SQL("DROP OWNED BY {}; DROP ROLE {}").format(name, name))
    assert price_type(old) == "bigint"


def test_a_newer_schema_is_refused_in_one_sentence(crm):
    crm.load([])
    crm.execute("INSERT INTO sync_schema (version) VALUES (4)")
    with pytest.raises(DatabaseError, match=r"version 4.*up to version 3.*newer target-crm"):
        crm.load([])
    with pytest.raises(DatabaseError, match="version 4"), open_session(settings_of(crm)):
        pass


def test_a_database_of_version_2_gets_what_is_new_and_keeps_its_rows(crm):
    crm.sync("contacts", {"last_name": "а"})
    crm.execute("DROP TABLE sync_proposals")
    crm.execute("UPDATE sync_schema SET version = 2")
    assert crm.sync("contacts", {"last_name": "б"})["updated"] == 1
    assert crm.execute("SELECT max(version) AS version FROM sync_schema") == [{"version": 3}]
    assert crm.rows("sync_proposals", "id") == []


def test_the_upgraded_tables_are_those_of_a_new_database(old, database_url):
    """Name, type and indexes of each table, whatever the order of the columns."""
    shape = (
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull FROM pg_attribute a "
        "JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r' "
        "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2"
    )
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = %s ORDER BY indexname"
    old.load([])
    fresh = f"fresh_{old.schema}"
    old.load([], crm_schema=fresh)
    try:
        assert old.execute(shape, old.schema) == old.execute(shape, fresh)
        upgraded, new = (
            [re.sub(rf"\b{name}\.", "", r["indexdef"]) for r in old.execute(indexes, name)]
            for name in (old.schema, fresh)
        )
        assert upgraded == new
    finally:
        old.connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(fresh)))


def test_the_dump_holds_what_the_tests_are_about():
    text = DUMP.read_text("utf-8")
    assert json.dumps("С ошибкой", ensure_ascii=False) in text
    assert "price bigint" in text
