"""tap-amocrm-check looks at both sides of the pair where the target is configured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from amocrm_sim.testing import SimulatorServer

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def account():
    with SimulatorServer(process=True, rps=0, companies=3) as sim:
        yield sim


@pytest.fixture
def check(account, tmp_path):
    def run(*options, **variables):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("TAP_AMOCRM_", "TARGET_CRM_", "MELTANO_"))}
        tap = {"TAP_AMOCRM_API_URL": account.url, "TAP_AMOCRM_ACCESS_TOKEN": "sim-token"}
        tap["TAP_AMOCRM_REQUESTS_PER_SECOND"] = "1000"
        line = [BIN / "tap-amocrm-check", "--json", *options]
        done = subprocess.run(
            line,
            env={**clean, **tap, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, json.loads(done.stdout)

    return run


def test_a_configured_target_is_looked_at_too(check, database_url):
    code, found = check(TARGET_CRM_DATABASE_URL=database_url, TARGET_CRM_CRM_SCHEMA="not_there_yet")
    assert code == 0
    assert {line["level"] for line in found["target"]} == {"ok"}
    assert {line["what"] for line in found["target"]} >= {"database", "tables", "mapping", "clock", "space"}


def test_without_a_target_only_amocrm_is_looked_at(check):
    code, found = check()
    assert (code, found["target"]) == (0, [])


def test_an_error_on_the_other_side_is_the_check_s_own_code(check):
    code, found = check(TARGET_CRM_DATABASE_URL="postgresql://crm:pass-word@127.0.0.1:9/crm")
    assert (code, found["level"]) == (1, "error")
    assert "pass-word" not in json.dumps(found)


def test_a_misspelt_setting_of_the_target_is_reported_as_its_finding(check, tmp_path):
    (tmp_path / "c.json").write_text('{"databaseurl": "x"}')
    code, found = check("--target-config", "c.json")
    assert code == 1
    assert "Did you mean database_url?" in found["target"][0]["detail"]


def test_the_other_side_can_be_left_out(check):
    code, found = check("--no-target", TARGET_CRM_DATABASE_URL="postgresql://127.0.0.1:9/crm")
    assert (code, found["target"]) == (0, [])
