"""target-crm-admin setup: from an address to `.env` and a schedule, against a simulated account and a database."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from click.testing import CliRunner

from amocrm_sim.testing import SimulatorServer
from target_crm.admin.main import main
from target_crm.errors import ConfigError
from target_crm.setup.schedule import schedule
from target_crm.setup.variables import of_address, read_variables, write_variables

TOKEN = "sim-token"
SCHEMA = "set_up"


@pytest.fixture(scope="module")
def account():
    with SimulatorServer(process=True, rps=0, companies=30) as sim:
        yield sim


@pytest.fixture
def setup(tmp_path, monkeypatch):
    """The command in an empty folder, outside of any Meltano project."""
    for name in list(os.environ):
        if name.startswith(("TAP_AMOCRM_", "TARGET_CRM_", "MELTANO_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TAP_AMOCRM_REQUESTS_PER_SECOND", "1000")
    monkeypatch.chdir(tmp_path)

    def run(*arguments, typed=None):
        return CliRunner().invoke(main, ["--crm-schema", SCHEMA, *arguments], input=typed)

    return run


@pytest.fixture
def password_url(database_url):
    """The database under a role with a password that must not be seen."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE set_up_owner LOGIN SUPERUSER PASSWORD 'geheim-4711'")
    yield f"{database_url}&user=set_up_owner&password=geheim-4711"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP ROLE set_up_owner")


def test_options_alone_lead_from_an_address_to_a_trial_the_env_file_and_a_schedule(
    setup, account, password_url, tmp_path, monkeypatch
):
    monkeypatch.setenv("TAP_AMOCRM_ACCESS_TOKEN", TOKEN)
    line = ("--database-url", password_url, "setup", "--no-input", "--address", account.url, "--companies", "5")
    done = setup(*line)
    assert done.exit_code == 0, done.output
    file = tmp_path / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_variables(file) == {
        "TAP_AMOCRM_API_URL": account.url,
        "TAP_AMOCRM_ACCESS_TOKEN": TOKEN,
        "TARGET_CRM_DATABASE_URL": password_url,
        "TARGET_CRM_CRM_SCHEMA": SCHEMA,
    }
    assert "ok       trial" in done.output
    assert "0 2 * * * cd " in done.output
    assert "geheim-4711" not in done.output
    assert TOKEN not in done.output
    with psycopg.connect(password_url) as connection:
        assert connection.execute("SELECT to_regnamespace(%s)", (SCHEMA,)).fetchone() == (None,)


def test_a_token_that_is_refused_ends_it_and_nothing_is_written(setup, account, database_url, tmp_path):
    (tmp_path / "token").write_text("wr0ng-token\n")
    done = setup(
        "--database-url", database_url, "setup", "--no-input", "--address", account.url, "--token-file", "token"
    )
    assert done.exit_code == 1
    assert "refuses the token" in done.output
    assert "wr0ng" not in done.output
    assert not (tmp_path / ".env").exists()


def test_questions_are_asked_again_until_the_answers_work(setup, account, database_url, tmp_path):
    answers = [
        account.url,
        "wr0ng-token",
        account.url,
        TOKEN,
        "postgresql://crm:pw-4711@127.0.0.1:9/crm",
        database_url,
        "",
    ]
    done = setup("setup", "--companies", "0", "--schedule", "systemd", typed="".join(f"{a}\n" for a in answers))
    assert done.exit_code == 0, done.output
    assert done.output.count("Try again") == 2
    assert "[Timer]" in done.output
    for secret in ("wr0ng", "pw-4711", TOKEN, database_url):
        assert secret not in done.output
    assert read_variables(tmp_path / ".env")["TAP_AMOCRM_ACCESS_TOKEN"] == TOKEN


def test_what_is_missing_without_questions_names_the_option(setup):
    done = setup("setup", "--no-input")
    assert done.exit_code == 2
    assert "--address is missing" in done.output


@pytest.mark.parametrize(
    ("address", "variables"),
    [
        ("mycompany", {"TAP_AMOCRM_SUBDOMAIN": "mycompany"}),
        ("MyCompany.amocrm.ru", {"TAP_AMOCRM_SUBDOMAIN": "mycompany"}),
        ("https://mycompany.amocrm.ru/leads/list/?skip=1", {"TAP_AMOCRM_SUBDOMAIN": "mycompany"}),
        ("https://my.kommo.com/", {"TAP_AMOCRM_SUBDOMAIN": "my", "TAP_AMOCRM_DOMAIN": "kommo.com"}),
        ("http://127.0.0.1:8000/", {"TAP_AMOCRM_API_URL": "http://127.0.0.1:8000"}),
    ],
)
def test_an_address_is_taken_as_people_paste_it(address, variables):
    assert of_address(address) == variables


@pytest.mark.parametrize("address", ["", "my company", "mycompany.example.com", "https://user:pw@mycompany.amocrm.ru"])
def test_what_names_no_account_is_refused_without_what_may_be_a_password(address):
    with pytest.raises(ConfigError) as caught:
        of_address(address)
    assert "pw" not in str(caught.value)


def test_what_else_is_in_the_env_file_stays_and_the_shell_reads_the_values_as_they_are(tmp_path):
    file = tmp_path / ".env"
    file.write_text("# mine\nOTHER='a b'\nTAP_AMOCRM_API_URL=http://127.0.0.1:1\nTAP_AMOCRM_ACCESS_TOKEN=old\n")
    file.chmod(0o644)
    url = "postgresql://crm:p%24w$HOME@db.example.com/crm?sslmode=require&x=`id`"
    write_variables(file, {"TAP_AMOCRM_SUBDOMAIN": "my", "TARGET_CRM_DATABASE_URL": url})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert text.startswith("# mine\nOTHER='a b'\n")
    assert "API_URL" not in text
    assert "TAP_AMOCRM_ACCESS_TOKEN=old" in text
    script = f'set -a; . {file}; printf %s "$TARGET_CRM_DATABASE_URL"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == url
    assert [file.name for file in tmp_path.iterdir()] == [".env"]


def test_the_line_of_cron_is_one_that_the_shell_can_read(tmp_path):
    folder = tmp_path / "a folder with 100%"
    heading, line = schedule("cron", folder / ".env", None).splitlines()
    assert heading.startswith("#")
    assert "100\\%" in line
    command = line.removeprefix("0 2 * * * ").replace("\\%", "%")
    subprocess.run(["sh", "-n", "-c", command], check=True)
    assert str(Path(sys.executable).parent) in command


def test_in_a_meltano_project_the_schedule_runs_meltano(tmp_path):
    assert "meltano run tap-amocrm target-crm" in schedule("systemd", tmp_path / ".env", tmp_path)
    assert schedule("none", tmp_path / ".env", tmp_path) == ""


@pytest.fixture
def own_crm(database_url):
    """A database of one table of companies, without the columns that a load needs."""
    name = f"set_up_{os.getpid()}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = urlsplit(database_url)._replace(path=f"/{name}").geturl()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE companies (id uuid PRIMARY KEY, name text)")
    yield url
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_guessed_mapping_comes_with_its_statements_and_is_tried_once_they_have_run(
    setup, account, own_crm, tmp_path, monkeypatch
):
    monkeypatch.setenv("TAP_AMOCRM_ACCESS_TOKEN", TOKEN)
    line = ["--database-url", own_crm, "setup", "--no-input", "--address", account.url, "--companies", "0"]
    first = setup(*line, "--mapping", "guess")
    assert first.exit_code == 1
    assert "Then run setup again with --mapping-file" in first.output
    assert not (tmp_path / ".env").exists()
    with psycopg.connect(own_crm) as connection:
        connection.execute((tmp_path / "mapping.sql").read_text("utf-8"))
    done = setup(*line[:2], "--mapping-file", str(tmp_path / "mapping.yaml"), *line[2:])
    assert done.exit_code == 0, done.output
    assert read_variables(tmp_path / ".env")["TARGET_CRM_MAPPING_FILE"] == str(tmp_path / "mapping.yaml")
