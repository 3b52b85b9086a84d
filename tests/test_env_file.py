"""A `.env` never beats what the pair was given: neither the commands nor run_pair read it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from amocrm_sim.testing import SimulatorServer

ROOT = Path(__file__).resolve().parents[1]
PLAIN = {k: v for k, v in os.environ.items() if not k.startswith(("TAP_AMOCRM_", "TARGET_CRM_"))}
# The SDK looks for `.env` in the folders above its own: these commands find one where the test put it.
COMMAND = """#!{python}
import sys, singer_sdk.configuration._dict_config as module
module.find_dotenv = lambda *args, **options: {env!r}
from {module} import {plugin}
sys.argv[0] = {name!r}
{plugin}.cli()
"""


@pytest.fixture
def ours():
    with SimulatorServer(process=True, companies=20, rps=0) as sim:
        yield sim


@pytest.fixture
def commands(tmp_path, database_url):
    """A folder with both commands, and a `.env` beside them that names another account and another schema."""
    with SimulatorServer(process=True, companies=60, rps=0) as other:
        env = tmp_path / ".env"
        env.write_text(
            f"TAP_AMOCRM_API_URL={other.url}\nTAP_AMOCRM_COMPANY_LIMIT=1\n"
            f"TARGET_CRM_DATABASE_URL={database_url}\nTARGET_CRM_CRM_SCHEMA=hostile\nTARGET_CRM_DRY_RUN=true\n"
        )
        folder = tmp_path / "bin"
        folder.mkdir()
        plugins = {"tap-amocrm": ("tap_amocrm.tap", "TapAmoCRM"), "target-crm": ("target_crm.target", "TargetCRM")}
        for name, (module, plugin) in plugins.items():
            file = folder / name
            file.write_text(
                COMMAND.format(python=sys.executable, env=str(env), module=module, plugin=plugin, name=name)
            )
            file.chmod(0o755)
        yield folder


@pytest.fixture
def schema(database_url):
    name = f"env_{os.getpid()}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield name
        for made in (name, "hostile"):
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(made)))


def schemas(database_url, name):
    """How many companies the schema holds, and whether the one that `.env` names was made."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        query = sql.SQL("SELECT count(*) FROM {}.companies").format(sql.Identifier(name))
        hostile = connection.execute("SELECT to_regnamespace('hostile') IS NOT NULL").fetchone()[0]
        return connection.execute(query).fetchone()[0], hostile


def test_the_pair_reads_and_writes_what_the_environment_names(commands, ours, database_url, schema, tmp_path):
    given = {
        "TAP_AMOCRM_API_URL": ours.url, "TAP_AMOCRM_ACCESS_TOKEN": "sim-token",
        "TAP_AMOCRM_REQUESTS_PER_SECOND": "1000",
        "TARGET_CRM_DATABASE_URL": database_url, "TARGET_CRM_CRM_SCHEMA": schema,
    }  # fmt: skip
    line = f"set -o pipefail; {commands}/tap-amocrm --config ENV | {commands}/target-crm --config ENV"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env={**PLAIN, **given}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert schemas(database_url, schema) == (20, False)


def test_run_pair_syncs_the_account_of_its_file(commands, ours, database_url, schema, tmp_path):
    accounts = tmp_path / "accounts.yaml"
    accounts.write_text(
        f"""accounts:
  north:
    secrets: {{TAP_AMOCRM_ACCESS_TOKEN: TOKEN, TARGET_CRM_DATABASE_URL: CRM}}
    tap: {{api_url: "{ours.url}", requests_per_second: 1000}}
    target: {{crm_schema: {schema}}}
"""
    )
    script = (
        "from pathlib import Path; from accounts import read_plan; from pair import run_pair;"
        "plan = read_plan(Path('accounts.yaml')); run_pair(plan.accounts['north'], plan)"
    )
    given = {
        "TOKEN": "sim-token", "CRM": database_url, "PYTHONPATH": str(ROOT / "deploy" / "pair"),
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**PLAIN, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert schemas(database_url, schema) == (20, False)
