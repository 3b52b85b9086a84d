"""What it costs to start a command: CPU time of `--version` beside that of importing the Singer SDK, the floor.

Measured in pairs, one after the other; the ratio is the median of the pairs' ratios. The SDK imports numpy through
joblib wherever it is installed, as the extra `report` does. Our commands leave it out, so the floor is given both ways:
as it is, and in an environment without numpy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import BIN, BenchmarkError, main, show

FLOORS = {
    "floor_seconds": "import singer_sdk",
    "floor_without_numpy_seconds": "import sys; sys.modules['numpy'] = None; import singer_sdk",
}
COMMANDS = (
    "tap-amocrm",
    "tap-amocrm-check",
    "tap-amocrm-smoke",
    "tap-amocrm-login",
    "target-crm",
    "target-crm-admin",
)


def cpu_seconds(command: Sequence[str | Path]) -> float:
    """CPU time, user's and system's, of one process and what it waited for."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchmarkError(f"{command} ended with code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """CPU seconds and ratios by command."""
    floors = {name: [sys.executable, "-c", code] for name, code in FLOORS.items()}
    found: dict[str, dict[str, float]] = {}
    for name in COMMANDS:
        command = [BIN / name, "--version"]
        cpu_seconds(command)  # what is read from the disk for the first time is nobody's cost
        pairs = [
            {"seconds": cpu_seconds(command), **{floor: cpu_seconds(line) for floor, line in floors.items()}}
            for _ in range(options.runs * 2)
        ]
        found[name] = {
            **{key: round(statistics.median(pair[key] for pair in pairs), 3) for key in pairs[0]},
            "ratio": round(statistics.median(p["seconds"] / p["floor_seconds"] for p in pairs), 3),
            "ratio_without_numpy": round(
                statistics.median(p["seconds"] / p["floor_without_numpy_seconds"] for p in pairs), 3
            ),
        }
    show(
        "CPU seconds of --version beside importing the Singer SDK",
        ("command", "seconds", "floor", "ratio", "floor without numpy", "ratio"),
        [
            (
                name,
                f["seconds"],
                f["floor_seconds"],
                f["ratio"],
                f["floor_without_numpy_seconds"],
                f["ratio_without_numpy"],
            )
            for name, f in found.items()
        ],
    )
    return {"commands": found}


if __name__ == "__main__":
    main("start_up", __doc__, measure)
