"""A test is repeated only when the machine stalled, and the summary says how often."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parent / "support"
TEST = """
import pytest, stalls
tries = []

@pytest.mark.may_repeat(times=2)
def test_it():
    tries.append(1)
    stalls.WATCH.seconds += {stalled}
    assert len(tries) > {failures}
"""


def run(tmp_path, *, stalled, failures):
    """Run a test that fails so often, on a machine that stalls so long each time; return code and output."""
    (tmp_path / "test_one.py").write_text(TEST.format(stalled=stalled, failures=failures))
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    line = [sys.executable, "-m", "pytest", "-p", "stalls", "-p", "no:cacheprovider", "-q", "test_one.py"]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_failure_on_a_machine_that_did_not_stall_is_a_failure(tmp_path):
    code, said = run(tmp_path, stalled=0, failures=1)
    assert code == 1
    assert "repeated" not in said


def test_a_failure_during_a_stall_is_repeated_and_recorded(tmp_path):
    code, said = run(tmp_path, stalled=1.5, failures=1)
    assert code == 0, said
    assert "test_one.py::test_it: repeated 1 times, the machine stalled for 1.5 s" in said


def test_it_is_not_repeated_for_ever(tmp_path):
    code, said = run(tmp_path, stalled=1.5, failures=9)
    assert code == 1
    assert "repeated 2 times" in said
