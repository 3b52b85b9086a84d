"""How fast and in how much memory tap-amocrm writes an account's contacts to a pipe, the throttle lifted.

The simulator answers from another process on the same machine, so the figure holds its work, too.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from harness import BIN, Process, main, median_of, show, simulated_account
from ours import catalog_of, tap_config

LIFTED = 100_000


def one(contacts: int) -> dict[str, Any]:
    """One full sync of contacts alone: records a second, CPU seconds and memory of the tap."""
    options = {"companies": 1000, "contacts": contacts, "leads": 0, "notes": 0, "tasks": 0, "rps": 0}
    with simulated_account(**options) as account, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalog = catalog_of(account, folder, ["contacts"])
        config = tap_config(account, folder, requests_per_second=LIFTED, max_concurrent_requests=4)
        command = [BIN / "tap-amocrm", "--config", config, "--catalog", catalog]
        tap = Process(command, stdout=subprocess.PIPE)
        assert tap.child.stdout is not None
        lines = 0
        while chunk := tap.child.stdout.read(1 << 20):
            lines += chunk.count(b"\n")
        taken = tap.wait()
    return {"contacts": contacts, "lines": lines, "records_a_second": contacts / taken.seconds, **taken.as_dict()}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Several sizes; the largest shows whether memory grows."""
    sizes = (2_000,) if options.small else (50_000, 200_000, 1_000_000)
    runs = {str(n): [one(n) for _ in range(1 if n == 1_000_000 else options.runs)] for n in sizes}
    rows = [
        (int(n), len(found), median_of(found, "records_a_second"), median_of(found, "memory_mb"))
        for n, found in runs.items()
    ]
    show("tap-amocrm to a pipe, throttle lifted", ("contacts", "runs", "records a second", "memory, MB"), rows)
    return {"sizes": runs}


if __name__ == "__main__":
    main("tap_throughput", __doc__, measure)
