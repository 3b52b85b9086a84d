"""The pages name what there is: links, commands and options, settings, tables and columns, tests, make targets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import click
import meltano_settings
import psycopg
import pytest

from target_crm.admin.main import main as ADMIN
from target_crm.config.settings import Settings
from target_crm.database.connection import Database

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("deploy/*/README.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob("examples/*/README*.md"),
    ]
)
TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)
CHANGES = "CHANGELOG.md"


def name_of(page):
    return str(page.relative_to(ROOT))


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text("utf-8")), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_named_as_a_path_is_there(page):
    if page.name == CHANGES:
        return
    text = page.read_text("utf-8")
    for path in re.findall(
        r"`((?:docs|tests|benchmarks|examples|demo|target-crm|tap-amocrm|amocrm-sim)/[\w./-]+)`", text
    ):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"`(test_\w+\.py)`", text):
        assert list(ROOT.glob(f"*/{name}")) + list(ROOT.glob(f"*/tests/{name}")), name


@cache
def about(command):
    done = subprocess.run([BIN / command, "--about", "--format=json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["settings"]["properties"]


@pytest.mark.parametrize(("prefix", "command"), [("TAP_AMOCRM_", "tap-amocrm"), ("TARGET_CRM_", "target-crm")])
def test_every_environment_variable_named_is_a_setting(prefix, command):
    named = {name.lower() for name in re.findall(rf"\b{prefix}([A-Z][A-Z_]*[A-Z])\b", TEXT)}
    assert named
    assert named <= set(about(command))


@pytest.mark.parametrize("command", ["tap-amocrm", "target-crm"])
def test_every_setting_has_a_description_and_the_readmes_lead_to_them(command):
    for name, schema in about(command).items():
        assert schema.get("description"), name
    for readme in ("README.md", "README.ru.md"):
        text = (ROOT / readme).read_text("utf-8")
        assert "meltano.yml" in text
        assert f"{command} --about" in text


def scripts():
    """The commands that the packages install."""
    found = set()
    for file in ROOT.glob("*/pyproject.toml"):
        section = re.search(r"\[project\.scripts\]\n(.*?)(?:\n\[|\Z)", file.read_text("utf-8"), re.DOTALL)
        found |= set(re.findall(r"^([\w-]+) *=", section[1], re.MULTILINE)) if section else set()
    return found


def test_the_commands_in_the_pages_are_the_installed_ones():
    known = scripts()
    named = set(
        re.findall(r"\b((?:tap-amocrm|target-crm|amocrm-sim)(?:-(?:admin|files|hooks|login|check|smoke))?)\b", TEXT)
    )
    assert named == known
    for command in known:
        assert (BIN / command).exists()


def subcommands():
    context = click.Context(ADMIN)
    return {name: ADMIN.get_command(context, name) for name in ADMIN.list_commands(context)}


def test_the_admin_page_names_every_subcommand_and_no_other():
    page = (ROOT / "docs" / "admin.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)[` ,]", page, re.MULTILINE)
    assert set(rows) == set(subcommands())
    named = set(re.findall(r"target-crm-admin (?:--\S+ \S+ )*([a-z]+)\b", TEXT))
    assert named <= set(subcommands()) | {"does", "is", "and", "in", "for", "serves", "on", "with"}


def test_every_option_that_the_admin_page_names_exists():
    page = (ROOT / "docs" / "admin.md").read_text("utf-8")
    options = {o for p in ADMIN.params if isinstance(p, click.Option) for o in p.opts}
    for row in re.findall(r"^\| `.*$", page, re.MULTILINE):
        name = re.match(r"\| `(\w+)", row)[1]
        known = {o for p in subcommands()[name].params if isinstance(p, click.Option) for o in p.opts}
        for option in re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", row):
            assert option in known | options, f"{name} {option}"


def test_every_make_target_named_exists_and_is_explained_by_make_help():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"(?:`|^ {0,4})make ([a-z]+)\b", TEXT, re.MULTILINE)) <= targets
    explained = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    assert {"demo", "test", "lint", "bench"} <= explained


@pytest.fixture(scope="module")
def live(database_url):
    """The tables that target-crm makes: name -> columns."""
    settings = Settings.from_config({"database_url": database_url, "crm_schema": "docs"})
    with Database(settings) as database:
        connection = database.connect()
        database.prepare(connection, builtin=True)
        connection.close()
    found = {}
    with psycopg.connect(database_url, autocommit=True) as connection:
        for table, column in connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'docs'"
        ):
            found.setdefault(table, set()).add(column)
        connection.execute("DROP SCHEMA docs CASCADE")
    return found


def documented():
    """docs/tables.md: the tables of the CRM with the columns that it names for each."""
    page = (ROOT / "docs" / "tables.md").read_text("utf-8")
    found, last = {}, None
    for names, columns in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \|$", page, re.MULTILINE):
        plain = re.sub(r"`[^`]*`|\([^)]*\)", "", columns)
        told = {c for c in re.split(r"[\s,/]+", plain) if c} if columns.strip() != "the same" else last
        for name in re.findall(r"`(\w+)`", names):
            found[name], last = (told, columns), told
    return found


COMMON = {"id", "raw_fields", "created_at", "updated_at"}
IMPORTED = {"amo_account_id", "amo_id", "amo_created_at", "amo_updated_at", "amo_deleted_at"}


def test_the_page_of_tables_names_every_table_that_is_made(live):
    assert set(live) == set(documented())


@pytest.mark.parametrize("table", ["users", "companies", "contacts", "leads", "notes", "tasks", "files", "file_links"])
def test_the_page_of_tables_names_the_columns_of_each(live, table):
    assert live[table] == documented()[table][0] | COMMON | IMPORTED


@pytest.mark.parametrize("kind", ["phones", "emails"])
def test_the_page_of_tables_names_the_columns_of_the_sets(live, kind):
    told = documented()["company_phones"][0]
    for parent in ("company", "contact"):
        other = {"company": "contact_id", "contact": "company_id"}[parent]
        assert live[f"{parent}_{kind}"] == (told - {other}) | COMMON


@pytest.mark.parametrize("table", ["sync_changes", "sync_conflicts", "sync_rejects"])
def test_the_page_of_tables_names_the_columns_of_the_loader_s_own(live, table):
    told = documented()[table][1]
    assert all(re.search(rf"\b{column}\b", told) for column in live[table] - {"id"}), live[table]


def test_the_settings_in_meltano_yml_are_those_that_the_plugins_describe():
    assert meltano_settings.FILE.read_text("utf-8") == meltano_settings.meltano_yml(), "run: make settings"


def test_the_page_of_settings_is_what_the_plugins_describe():
    assert meltano_settings.PAGE.read_text("utf-8") == meltano_settings.settings_page(), "run: make settings"
