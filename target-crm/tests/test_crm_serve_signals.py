"""`serve` on the embedded database: a signal ends it with code 0 and the server with it; commands share one server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

BIN = Path(sys.executable).parent
pytestmark = pytest.mark.xdist_group("embedded")


def run(folder, name, *arguments, text=""):
    return subprocess.run(
        [str(BIN / name), *arguments], cwd=folder, input=text, capture_output=True, text=True, check=False
    )


@pytest.fixture
def loaded(crm, tmp_path):
    """A folder whose embedded database holds a contact and two rejects."""
    tmp_path.parent.chmod(0o755)
    tmp_path.chmod(0o755)
    bad = [json.dumps({"type": "RECORD", "stream": "contacts", "record": {"id": n}}) for n in (5, 6)]
    lines = [crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1}), *bad]
    (tmp_path / "c.json").write_text('{"data_dir": "d"}')
    done = run(tmp_path, "target-crm", "--config", "c.json", text="\n".join(lines) + "\n")
    assert done.returncode == 0, done.stderr
    return tmp_path


def servers(folder):
    """Processes of PostgreSQL that work in the folder's database."""
    found = []
    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["name"] == "postgres" and str(process.info["cwd"] or "").startswith(str(folder)):
            found.append(process.pid)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_serve_with_code_0_and_the_database(loaded, number):
    line = [str(BIN / "target-crm-admin"), "--data-dir", "d", "serve", "--port", "0"]
    with subprocess.Popen(line, cwd=loaded, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        while "Ctrl-C" not in (said := serving.stdout.readline()):
            assert said, serving.stderr.read()
        time.sleep(0.5)
        assert servers(loaded)
        serving.send_signal(number)
        assert serving.wait(30) == 0
    assert servers(loaded) == []


def test_rejects_are_tried_again_on_the_embedded_database_and_never_doubled(loaded):
    for _ in range(2):
        done = run(loaded, "target-crm-admin", "--data-dir", "d", "rejects", "--retry")
        assert done.returncode == 0, done.stderr
        assert "tried again 2, still not loaded 2" in done.stdout
    found = json.loads(run(loaded, "target-crm-admin", "--data-dir", "d", "rejects", "--json").stdout)
    assert len(found) == 2
