"""`doctor`: each line ok, warning or error, with what to do."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from psycopg import sql

from target_crm.admin.main import main
from target_crm.operations import doctor as examining


@pytest.fixture
def doctor(crm):
    """The command with options for this schema: its exit code, and the checks by what they are about."""

    def run(*options, **settings):
        given = {**crm.config, **settings}
        line = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", value)]
        done = CliRunner().invoke(main, [*line, "doctor", "--json", *options], catch_exceptions=False)
        document = json.loads(done.stdout)
        return done.exit_code, {check["what"]: check for check in document["checks"]}

    return run


def test_before_the_first_load_all_is_well_and_nothing_is_made(crm, doctor):
    code, checks = doctor()
    assert code == 0
    assert {check["level"] for check in checks.values()} == {"ok"}
    assert checks["tables"]["text"] == f"The next load makes the tables in schema {crm.schema}."
    assert crm.execute("SELECT to_regnamespace(%s) AS found", crm.schema)[0]["found"] is None


def test_after_a_load_version_mapping_rights_and_the_last_sync_are_named(crm, doctor):
    crm.sync("contacts", {"id": 1})
    code, checks = doctor()
    assert code == 0
    assert {check["level"] for check in checks.values()} == {"ok"}
    assert checks.keys() == {"database", "clock", "tables", "mapping", "rights", "space", "syncs"}
    assert checks["syncs"]["text"].startswith("The last complete sync of account 77 was ")


def test_a_server_that_does_not_listen_is_an_error_with_its_remedy_and_without_the_password(doctor):
    code, checks = doctor(database_url="postgresql://crm:pass-word@127.0.0.1:9/crm")
    assert code == 1
    assert checks["database"]["level"] == "error"
    assert "Check setting database_url" in checks["database"]["remedy"]
    assert "pass-word" not in json.dumps(checks)


def test_rights_that_a_load_lacks_are_named(crm, doctor):
    crm.sync("contacts", {"id": 1})
    role = sql.Identifier(f"weak_{crm.schema}")
    schema = sql.Identifier(crm.schema)
    crm.connection.execute(
        sql.SQL(
            "CREATE ROLE {r} LOGIN; GRANT USAGE ON SCHEMA {s} TO {r}; "
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {s} TO {r}; "
            "REVOKE UPDATE ON {s}.contacts FROM {r}; REVOKE DELETE ON {s}.contact_phones FROM {r}"
        ).format(r=role, s=schema)
    )
    try:
        code, checks = doctor(database_url=f"{crm.url}&user=weak_{crm.schema}")
    finally:
        crm.connection.execute(sql.SQL("DROP OWNED BY {r}; DROP ROLE {r}").format(r=role))
    assert code == 1
    assert checks["rights"]["level"] == "error"
    assert f'UPDATE on "{crm.schema}"."contacts"' in checks["rights"]["text"]
    assert f'DELETE on "{crm.schema}"."contact_phones"' in checks["rights"]["text"]
    assert "companies" not in checks["rights"]["text"]
    assert checks["rights"]["remedy"] == "Grant them as docs/least-privilege.md says."


def test_a_mapping_that_does_not_fit_is_an_error_with_file_and_line(crm, doctor):
    crm.sync("contacts", {"id": 1})
    file = crm.folder / "typo.yaml"
    file.write_text(
        f"version: 1\nstreams:\n  contacts:\n    table: {crm.schema}.contacts\n    columns: {{last_nam: last_name}}\n"
    )
    code, checks = doctor(mapping_file=str(file))
    assert code == 1
    assert "typo.yaml, line 5: table" in checks["mapping"]["text"]


def test_an_overdue_sync_is_a_warning(crm, doctor, monkeypatch):
    crm.sync("contacts", {"id": 1})
    crm.execute("UPDATE sync_runs SET finished_at = now() - interval '5 h'")
    monkeypatch.setenv("TARGET_CRM_MAX_SYNC_AGE_HOURS", "4")
    code, checks = doctor()
    assert (code, checks["syncs"]["level"]) == (0, "warning")


def test_little_space_for_the_embedded_server_is_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(examining, "_LITTLE_SPACE", 1 << 60)
    done = CliRunner().invoke(main, ["--data-dir", str(tmp_path / "pg"), "doctor"])
    assert done.exit_code == 0
    assert "warning  space" in done.stdout
    assert "-> Free some space" in done.stdout
    assert not (tmp_path / "pg").exists()


def test_if_configured_is_silent_where_there_is_no_database(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["--data-dir", str(tmp_path / "pg"), "doctor", "--if-configured"])
    assert (done.exit_code, done.stdout) == (0, "")
