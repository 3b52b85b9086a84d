"""Settings of roles, databases and the environment that are not the loader's: a load is the same under all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from servers import OldServer, new_database

from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.errors import DatabaseError

COMMAND = str(Path(sys.executable).parent / "target-crm")
# What an administrator may have set for the CRM's own program, and what a load needs.
SETTINGS = {
    "standard_conforming_strings": ("off", "on"),
    "backslash_quote": ("off", "safe_encoding"),
    "datestyle": ("German, DMY", "ISO, MDY"),
    "intervalstyle": ("iso_8601", "postgres"),
    "timezone": ("Asia/Kolkata", "UTC"),
    "extra_float_digits": ("0", "1"),
    "bytea_output": ("escape", "hex"),
    "array_nulls": ("off", "on"),
    "quote_all_identifiers": ("on", "off"),
    "transform_null_equals": ("on", "off"),
    "row_security": ("off", "on"),
    "check_function_bodies": ("off", "on"),
    "session_replication_role": ("replica", "origin"),
    "exit_on_error": ("on", "off"),
    "default_transaction_isolation": ("serializable", "read committed"),
    "default_transaction_read_only": ("on", "off"),
    "default_transaction_deferrable": ("on", "off"),
    "statement_timeout": ("900ms", "0"),
    "idle_in_transaction_session_timeout": ("700ms", "0"),
    "idle_session_timeout": ("800ms", "0"),
    "transaction_timeout": ("900ms", "0"),
    "lock_timeout": ("900ms", "10min"),
    "client_encoding": ("LATIN1", "UTF8"),
}


@pytest.fixture
def hostile(crm):
    """A database of its own whose settings suit another program."""
    with new_database(crm.url, f"{crm.schema}_hostile") as url:
        with psycopg.connect(crm.url, autocommit=True) as admin:
            version = admin.info.server_version
            for name, (value, _) in SETTINGS.items():
                if (name == "idle_session_timeout" and version < 140_000) or (
                    name == "transaction_timeout" and version < 170_000
                ):
                    continue
                statement = sql.SQL("ALTER DATABASE {} SET {} = {}")
                named = sql.Identifier(f"{crm.schema}_hostile"), sql.Identifier(name), sql.Literal(value)
                if name != "datestyle":
                    admin.execute(statement.format(*named))
                else:
                    admin.execute(sql.SQL("ALTER DATABASE {} SET datestyle = German, DMY").format(named[0]))
        yield url


def admin_of(url):
    """A session that undoes what is in a superuser's way."""
    connection = psycopg.connect(url, autocommit=True, client_encoding="utf8")
    for setting in ("default_transaction_read_only = off", "exit_on_error = off", "statement_timeout = 0"):
        connection.execute(f"SET {setting}".encode())
    return connection


def phone(value):
    return {"custom_fields_values": [{"field_id": 1, "field_code": "PHONE", "values": [{"value": value}]}]}


def test_every_setting_that_statements_rely_on_is_pinned(crm, hostile):
    settings = Settings.from_config({"database_url": hostile})
    with Database(settings) as database, database.connect() as connection:
        version = connection.info.server_version
        known = {row[0] for row in connection.execute("SELECT name FROM pg_settings")}
        found = {name: connection.execute(f"SHOW {name}".encode()).fetchone()[0] for name in SETTINGS if name in {
            n.lower() for n in known}}  # fmt: skip
        (isolation,) = connection.execute("SHOW transaction_isolation").fetchone()
    assert version
    assert found == {name: pinned for name, (_, pinned) in SETTINGS.items() if name in found}
    assert len(found) >= len(SETTINGS) - 2
    assert isolation == "read committed"


def test_a_load_and_its_soft_update_do_the_same_under_hostile_settings(crm, hostile):
    first = crm.messages("contacts", {"id": 1, "last_name": "Яблоков", **phone("+79001234567")})
    crm.load([crm.schema_message("contacts"), *first], database_url=hostile)
    with admin_of(hostile) as person:
        person.execute(f"UPDATE {crm.schema}.contacts SET phone = '8 (900) 123-45-67', position = 'директор'".encode())
    crm.load(
        [
            crm.schema_message("contacts"),
            *crm.messages("contacts", {"id": 1, "last_name": "Грушев", **phone("+79007654321")}),
        ],
        database_url=hostile,
    )
    with admin_of(hostile) as person:
        row = person.execute(f"SELECT last_name, phone, position FROM {crm.schema}.contacts".encode()).fetchone()
        conflicts = person.execute(f"SELECT count(*) FROM {crm.schema}.sync_conflicts".encode()).fetchone()
    assert row == ("Грушев", "+79007654321", "директор")
    assert conflicts == (0,)


def test_a_timeout_of_idle_transactions_that_no_program_could_keep_does_not_end_a_load(crm):
    with new_database(crm.url, f"{crm.schema}_idle") as url:
        statement = sql.SQL("ALTER DATABASE {} SET idle_in_transaction_session_timeout = 1")
        crm.connection.execute(statement.format(sql.Identifier(f"{crm.schema}_idle")))
        for _ in range(3):
            crm.load([crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1})], database_url=url)


def test_names_that_hide_the_catalogue_are_not_found_before_it(crm):
    with new_database(crm.url, f"{crm.schema}_path") as url:
        name = sql.Identifier(f"{crm.schema}_path")
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("CREATE TABLE public.pg_class (oid oid, relname name, relnamespace oid)")
            admin.execute(
                "CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql AS $$SELECT 'epoch'::timestamptz$$"
            )
            admin.execute("CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$")
            admin.execute(sql.SQL("ALTER DATABASE {} SET search_path = public, pg_catalog").format(name))
        for last_name in ("Первый", "Второй"):
            crm.load(
                [crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1, "last_name": last_name})],
                database_url=url,
            )
        with psycopg.connect(url) as admin:
            found = admin.execute(
                f"SELECT last_name, updated_at > '2020-01-01' FROM {crm.schema}.contacts".encode()
            ).fetchall()
    assert found == [("Второй", True)]


def test_a_trigger_that_relies_on_the_search_path_of_the_database_still_finds_its_table(crm):
    with new_database(crm.url, f"{crm.schema}_audit") as url:
        crm.load([], database_url=url)
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("CREATE SCHEMA audit; CREATE TABLE audit.seen (id bigint)")
            admin.execute(
                f"CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$BEGIN INSERT INTO seen VALUES (new.amo_id); RETURN new; END$$; CREATE TRIGGER note AFTER INSERT "
                f"ON {crm.schema}.contacts FOR EACH ROW EXECUTE FUNCTION audit.note()".encode()
            )
            admin.execute(f'ALTER DATABASE "{crm.schema}_audit" SET search_path = audit, public'.encode())
        crm.load([crm.schema_message("contacts"), *crm.messages("contacts", {"id": 5})], database_url=url)
        with psycopg.connect(url) as admin:
            assert admin.execute("SELECT id FROM audit.seen").fetchall() == [(5,)]


@pytest.mark.parametrize("encoding", ["WIN1251", "KOI8R", "ISO_8859_5", "LATIN1", "SQL_ASCII"])
def test_letters_arrive_as_they_are_whatever_the_encodings_of_database_and_environment(crm, encoding, tmp_path):
    name = "Zoë Ünal" if encoding == "LATIN1" else "Анна Рябова"
    options = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
    with new_database(crm.url, f"{crm.schema}_{encoding.lower()}", options) as url:
        config = tmp_path / "config.json"
        config.write_text(json.dumps({**crm.config, "database_url": url}))
        for version in ("", " 2"):
            lines = [
                crm.schema_message("contacts"),
                *crm.messages("contacts", {"id": 1, "first_name": name + version, "custom_fields_values": None}),
            ]
            done = subprocess.run(
                [COMMAND, "--config", config],
                input="\n".join(lines),
                capture_output=True,
                text=True,
                env={"PGCLIENTENCODING": "KOI8R", "PATH": "/usr/bin:/bin"},
            )
            assert done.returncode == 0, done.stderr
        with psycopg.connect(url, client_encoding="utf8") as connection:
            statement = f"SELECT first_name, raw_fields->'amo'->>'first_name' FROM {crm.schema}.contacts"
            assert connection.execute(statement.encode()).fetchall() == [(name + " 2", name + " 2")]


def test_triggers_that_are_switched_off_and_cannot_be_switched_on_are_refused_in_one_sentence(crm):
    role = f"loader_{crm.schema}"
    crm.execute(f"CREATE ROLE {role} LOGIN")
    try:
        crm.execute(f"ALTER ROLE {role} SET session_replication_role = replica")
        with pytest.raises(DatabaseError, match=r"^session_replication_role is set .*RESET"):
            crm.load([], database_url=f"{crm.url}&user={role}")
    finally:
        crm.execute(f"DROP ROLE {role}")


def test_a_server_older_than_the_least_version_is_refused_in_one_sentence(crm):
    with (
        OldServer(crm.url, "12.9") as old,
        pytest.raises(DatabaseError, match=r"^The server is PostgreSQL 12; 13 or newer is needed\.$"),
    ):
        crm.load([], database_url=old.url)
