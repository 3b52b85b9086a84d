"""Under Meltano: the commands act on the loader's database, and a dry run's plan is one block."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


@pytest.fixture
def meltano(pair, tmp_path):
    """Meltano in a project whose plugins are those of this environment; settings are in `.env`."""
    made = pair(companies=5)
    project = yaml.safe_load((ROOT / "meltano.yml").read_text())
    for plugin in (*project["plugins"]["extractors"], *project["plugins"]["loaders"]):
        del plugin["pip_url"]
        plugin["executable"] = str(BIN / plugin["executable"])
        for command in plugin.get("commands", {}).values():
            command["executable"] = str(BIN / command["executable"])
    (tmp_path / "meltano.yml").write_text(yaml.safe_dump(project))
    (tmp_path / ".env").write_text(
        f"TAP_AMOCRM_API_URL={made.sim.url}\nTAP_AMOCRM_ACCESS_TOKEN=sim-token\nTAP_AMOCRM_REQUESTS_PER_SECOND=500\n"
        f"TARGET_CRM_DATABASE_URL='{made.target['database_url']}'\nTARGET_CRM_CRM_SCHEMA={made.schema}\n"
    )

    def run(*arguments, command=str(BIN / "meltano"), **variables):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("TAP_AMOCRM_", "TARGET_CRM_", "MELTANO_"))}
        environment = {**clean, "NO_COLOR": "1", **variables}
        done = subprocess.run(
            [command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done

    return run


def test_the_commands_act_on_the_database_that_meltano_loads_into(meltano):
    meltano("run", "tap-amocrm", "target-crm")
    for command, arguments in (
        (str(BIN / "meltano"), ["invoke", "target-crm:admin", "status", "--json"]),
        (str(BIN / "target-crm-admin"), ["status", "--json"]),
    ):
        found = json.loads(meltano(*arguments, command=command).stdout)
        assert [(run["status"], run["tap"]) for run in found["runs"]] == [("succeeded", "tap-amocrm")]


def test_a_dry_run_prints_one_block_without_prefixes_and_writes_the_whole_plan(meltano, tmp_path):
    done = meltano(
        "run", "tap-amocrm", "target-crm", TARGET_CRM_DRY_RUN="true", TARGET_CRM_PLAN_FILE=str(tmp_path / "plan.jsonl")
    )
    said = (done.stdout + done.stderr).splitlines()
    begin = next(n for n, line in enumerate(said) if "What the load would do" in line)
    end = next(n for n, line in enumerate(said) if "Nothing was written." in line)
    assert end - begin > 10
    prefixed = [line for line in said[begin : end + 1] if re.search(r"\d{4}-\d\d-\d\d.\d\d:\d\d.*\[?(info|warn)", line)]
    assert prefixed == []
    kinds = [json.loads(line)["type"] for line in (tmp_path / "plan.jsonl").read_text().splitlines()]
    assert kinds[0] == "counts"
    assert kinds.count("change") > 20
