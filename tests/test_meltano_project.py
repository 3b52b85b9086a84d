"""docs/meltano.md as it is written: a Meltano project outside this repository, from `meltano init` to rows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("meltano")]
ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def meltano(folder, *arguments, **variables):
    """Run Meltano in a project as a user with a bare environment would; its output. Must end well."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TAP_AMOCRM_", "TARGET_CRM_", "MELTANO_"))}
    environment = {**kept, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1", **variables}
    done = subprocess.run(
        [BIN / "meltano", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=500,
        check=False,
    )  # fmt: skip
    text = done.stdout + done.stderr
    if re.search(r"Failed to download|Could not connect|dns error", text):
        pytest.skip("the package index can't be reached: Meltano installs the plugins from it")
    assert done.returncode == 0, text[-3000:]
    return text


def install_from_the_clone(folder):
    """What the page says for a clone: the line pip_url of each plugin; versions as this workspace has them."""
    file = folder / "meltano.yml"
    document = yaml.safe_load(file.read_text("utf-8"))
    for kind in document["plugins"].values():
        for plugin in kind:
            extra = "[all]" if plugin["name"] == "target-crm" else ""
            plugin["pip_url"] = f"-c {ROOT / 'constraints.txt'} {ROOT / plugin['name']}{extra}"
    file.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")


def test_from_init_to_rows_as_the_page_says(pair, tmp_path):
    made = pair(companies=5)
    meltano(tmp_path, "init", "crm-sync", "--no-usage-stats")
    project = tmp_path / "crm-sync"
    for plugin, kind in (("tap-amocrm", "extractor"), ("target-crm", "loader")):
        ref = ROOT / "plugins" / f"{plugin}.yml"
        meltano(project, "add", plugin, "--plugin-type", kind, "--from-ref", ref, "--no-install")
    install_from_the_clone(project)
    meltano(project, "install")
    meltano(project, "config", "set", "tap-amocrm", "api_url", made.sim.url)
    meltano(project, "config", "set", "tap-amocrm", "access_token", "sim-token")
    meltano(project, "config", "set", "target-crm", "database_url", made.target["database_url"])
    meltano(project, "config", "set", "target-crm", "crm_schema", made.schema)
    select = json.dumps(yaml.safe_load((ROOT / "plugins" / "tap-amocrm.yml").read_text("utf-8"))["select"])
    assert f"config set tap-amocrm _select '{select}'" in (ROOT / "docs" / "meltano.md").read_text("utf-8")
    meltano(project, "config", "set", "tap-amocrm", "_select", select)
    assert "sim-token" not in (project / "meltano.yml").read_text("utf-8")
    assert "credentials" in meltano(project, "invoke", "tap-amocrm:check")
    made.sim.reset()
    text = meltano(project, "run", "tap-amocrm", "target-crm")
    # Structured logs: Meltano shows the plugins' own levels and messages.
    assert re.search(r"Run \d+: ", text)
    assert "/api/v4/catalogs" not in made.sim.stats["by_path"]
    truth = made.dump()
    for table in ("companies", "contacts", "leads", "tasks"):
        assert made.execute(f"SELECT count(*) FROM {table}") == [(len(truth[table]),)], table
    assert "Last complete sync" in meltano(project, "invoke", "target-crm:admin", "status")
