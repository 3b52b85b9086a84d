"""target-crm-admin acts on the database that the loader uses, says which it is, and makes nothing to answer."""

from __future__ import annotations

import json

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from target_crm.admin import main

READING = (
    ["status"],
    ["conflicts"],
    ["rejects"],
    ["explain", "contacts", "amo:1"],
    ["undo", "1", "--preview"],
    ["report", "--last", "--html", "x.html"],
    ["map"],
    ["psql", "-c", "SELECT 1"],
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder and no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MELTANO_PROJECT_ROOT", raising=False)
    return tmp_path


def admin(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def relations(url):
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        ).fetchone()


@pytest.fixture
def empty_database(database_url):
    name = "empty_database"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield database_url.replace("/postgres?", f"/{name}?")
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("arguments", READING, ids=lambda a: a[0])
def test_looking_at_an_empty_database_makes_nothing_in_it(folder, empty_database, arguments):
    before = relations(empty_database)
    done = admin("--database-url", empty_database, *arguments)
    assert relations(empty_database) == before
    if arguments[0] not in ("map", "psql"):
        assert "No load has run here yet" in done.output


@pytest.mark.parametrize("arguments", READING, ids=lambda a: a[0])
def test_looking_without_settings_makes_no_database(folder, arguments):
    done = admin(*arguments)
    assert "contains no embedded PostgreSQL" in done.output
    assert list(folder.iterdir()) == []


def test_a_plan_without_a_database_leaves_none_behind(folder, crm):
    (folder / "m.jsonl").write_text("\n".join([crm.schema_message("contacts"), *crm.messages("contacts", {})]))
    done = admin("plan", "m.jsonl")
    assert "Nothing was written." in done.output
    assert [f.name for f in folder.iterdir()] == ["m.jsonl"]


def dotenv(folder, crm):
    (folder / ".env").write_text(
        f"TARGET_CRM_DATABASE_URL='{crm.url}'\nTARGET_CRM_CRM_SCHEMA={crm.schema}\nTAP_AMOCRM_SUBDOMAIN=mycompany\n"
    )


def test_settings_in_dotenv_are_those_of_the_loader(folder, crm):
    crm.sync("contacts", {"id": 1})
    dotenv(folder, crm)
    done = admin("explain", "contacts", "amo:1")
    assert done.exit_code == 0, done.output
    assert f"schema {crm.schema}" in done.stderr


def test_the_meltano_project_is_found_from_a_folder_in_it(folder, crm, monkeypatch):
    crm.sync("contacts", {"id": 1})
    loader = {"name": "target-crm", "config": {"database_url": "$CRM_URL", "crm_schema": "wrong"}}
    production = {
        "name": "prod",
        "config": {"plugins": {"loaders": [{**loader, "config": {"crm_schema": crm.schema}}]}},
    }
    project = {"default_environment": "prod", "environments": [production], "plugins": {"loaders": [loader]}}
    (folder / "meltano.yml").write_text(json.dumps(project))
    (folder / ".env").write_text(f"CRM_URL='{crm.url}'\n")
    (folder / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(folder / "deep" / "er")
    done = admin("explain", "contacts", "amo:1")
    assert done.exit_code == 0, done.output


def test_the_environment_wins_over_dotenv_and_an_option_over_both(folder, crm, monkeypatch):
    crm.sync("contacts", {"id": 1})
    dotenv(folder, crm)
    monkeypatch.setenv("TARGET_CRM_CRM_SCHEMA", "of_the_environment")
    assert "schema of_the_environment" in admin("status").stderr
    assert f"schema {crm.schema}" in admin("--crm-schema", crm.schema, "status").stderr


def test_a_misspelt_variable_in_dotenv_is_refused(folder):
    (folder / ".env").write_text("TARGET_CRM_DATABSE_URL=postgresql://x\n")
    done = admin("status")
    assert done.exit_code == 1
    assert "Did you mean TARGET_CRM_DATABASE_URL?" in done.stderr


def test_the_database_is_named_without_its_password(folder):
    done = admin("--database-url", "postgresql://me:geheim@127.0.0.1:1/mine?connect_timeout=2", "status")
    assert "127.0.0.1" in done.stderr
    assert "geheim" not in done.output


def test_a_config_that_can_not_be_read_is_one_sentence(folder):
    (folder / "c.json").write_text("{")
    done = admin("--config", "c.json", "status")
    assert done.exit_code == 1
    assert "c.json is not valid JSON" in done.stderr
