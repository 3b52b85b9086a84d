"""docs/adding-a-stream.md, followed exactly: a stream is added to a copy of the tap and read."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import tap_amocrm
from tap_amocrm.declarations import BY_NAME, DECLARATIONS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "adding-a-stream.md").read_text("utf-8")
COMMAND = "from tap_amocrm.tap import TapAmoCRM; TapAmoCRM.cli()"


def block(language):
    """The page's one block of code in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


@pytest.fixture
def extended(tmp_path):
    """The environment for a tap that has one stream more."""
    package = tmp_path / "tap_amocrm"
    shutil.copytree(Path(tap_amocrm.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    declared = block("python")
    name = re.search(r"^(\w+) = ", declared, re.MULTILINE)[1]
    optional = package / "declarations" / "optional.py"
    optional.write_text(optional.read_text("utf-8") + declared, "utf-8")
    listed = package / "declarations" / "__init__.py"
    text = listed.read_text("utf-8")
    assert text.count("    CUSTOMERS,\n") == 2
    listed.write_text(text.replace("    CUSTOMERS,\n", f"    CUSTOMERS,\n    {name},\n"), "utf-8")
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def tap(environment, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        capture_output=True, text=True, check=False, env=environment, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_stream_that_is_declared_as_the_page_says_is_discovered_and_read(start, extended, tmp_path):
    sim = start(companies=3, customers=2)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"api_url": sim.sim.url, "access_token": "sim-token", "requests_per_second": 1000}))
    catalog = json.loads(tap(extended, "--config", str(config), "--discover"))
    assert "customer_segments" not in BY_NAME
    for stream in catalog["streams"]:
        (entry,) = [m["metadata"] for m in stream["metadata"] if not m["breadcrumb"]]
        if stream["tap_stream_id"] == "customer_segments":
            assert entry["selected-by-default"] is False
        entry["selected"] = stream["tap_stream_id"] == "customer_segments"
    file = tmp_path / "catalog.json"
    file.write_text(json.dumps(catalog))
    lines = tap(extended, "--config", str(config), "--catalog", str(file)).splitlines()
    records = [m["record"] for m in map(json.loads, lines) if m["type"] == "RECORD"]
    assert [r["name"] for r in records] == ["Сегмент 1", "Сегмент 2"]
    assert {r["created_at"][:4] for r in records} == {"2020"}


def test_the_line_for_meltano_leaves_out_what_is_not_selected_by_default():
    project = yaml.safe_load((ROOT / "meltano.yml").read_text("utf-8"))
    (plugin,) = [p for p in project["plugins"]["extractors"] if p["name"] == "tap-amocrm"]
    form = yaml.safe_load(block("yaml"))[0].replace("customer_segments", "{}")
    assert plugin["select"] == ["*.*", *(form.format(d.name) for d in DECLARATIONS if not d.selected)]
