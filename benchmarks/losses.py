"""Faults survived: the tests that break things, run at a larger size, and what they counted.

Killed loads, crashes at any statement, edits beside undos, foreign keys, changes between two requests, faulty and
malformed answers, wrong clocks, expired tokens, killed renewals.
The tests tell by tests/support/survived.py what they broke and what was lost; a test that fails stops the benchmark.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from harness import HERE, BenchmarkError, console, main, show

TESTS = (
    "target-crm/tests/test_crm_kill.py",
    "target-crm/tests/test_crm_model.py",
    "target-crm/tests/test_crm_beside_editors.py",
    "target-crm/tests/test_crm_pointed_at.py",
    "tap-amocrm/tests/test_tap_schedules.py",
    "tap-amocrm/tests/test_tap_faults.py",
    "tap-amocrm/tests/test_tap_clocks.py",
    "tap-amocrm/tests/test_tap_answers.py",
    "tap-amocrm/tests/test_tap_auth_processes.py",
)
# How often, for the tests that take it from the environment. A variable that is set there already keeps its value.
FULL = {
    "CRM_KILLS": "100",
    "CRM_EXAMPLES": "1000",
    "CRM_EDITOR_SECONDS": "300",
    "TAP_SCHEDULES": "2000",
    "TAP_CLOCKS": "500",
}
SMALL = {
    "CRM_KILLS": "1",
    "CRM_EXAMPLES": "5",
    "CRM_EDITOR_SECONDS": "2",
    "TAP_SCHEDULES": "25",
    "TAP_CLOCKS": "5",
}
LOST = ("records", "edits", "tokens")
SMALL_TESTS = ("-k", "any_line or nothing_is_missed")


def sizes(*, small: bool) -> dict[str, str]:
    """How often each thing is broken in this run."""
    return SMALL if small else {name: os.environ.get(name, value) for name, value in FULL.items()}


def run_tests(folder: Path, *, small: bool) -> float:
    """Run them, with counts going to this folder; the seconds that they took.

    Raises:
        BenchmarkError: one of them failed; the message holds the end of what pytest wrote.
    """
    # A run inside a test must not take itself for a worker of the outer one.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"FAULT_COUNTS": str(folder), **sizes(small=small)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    command += [*SMALL_TESTS, "-n", "0"] if small else ["-n", str(os.cpu_count())]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=HERE.parent, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"the tests failed:\n{done.stdout[-3000:]}")
    return time.perf_counter() - started


def collect(folder: Path) -> list[dict[str, Any]]:
    """The reports of the tests, added up by fault: tests or examples that tried it, tries by kind, what was lost."""
    faults: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            told = json.loads(line)
            found = faults.setdefault(
                told["fault"], {"fault": told["fault"], "cases": 0, "kinds": Counter(), "lost": Counter()}
            )
            found["cases"] += 1
            found["kinds"].update(told["kinds"])
            found["lost"].update(told["lost"])
    return [{**found, "tried": sum(found["kinds"].values())} for _, found in sorted(faults.items())]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the tests once and add up."""
    with tempfile.TemporaryDirectory(prefix="bench-faults-") as name:
        seconds = run_tests(Path(name), small=options.small)
        faults = collect(Path(name))
    console.print(f"{seconds:.0f} seconds")
    rows = [[f["fault"], f["cases"], f["tried"], *(f["lost"].get(what) for what in LOST)] for f in faults]
    show("Faults survived", ["fault", "cases", "tried", *(f"{what} lost" for what in LOST)], rows)
    return {"sizes": sizes(small=options.small), "seconds": round(seconds, 1), "faults": faults}


if __name__ == "__main__":
    main("losses", __doc__, measure)
