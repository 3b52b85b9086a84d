"""All benchmarks, or those named: `python benchmarks/run.py [--small] [--runs N] [NAME ...]`.

Each prints a table and writes `results/NAME.json`; at the end the page `docs/benchmarks.md`, its plots and the READMEs'
short table are made again from all results (not after `--small`, whose results go elsewhere).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = (
    "conformance",
    "tap_throughput",
    "tap_limit",
    "resume",
    "follow",
    "target_speed",
    "target_growth",
    "journal_cost",
    "design_note",
    "amochka",
    "scale",
    "scale_million",
    "fleet",
    "fleet_simulation",
    "losses",
    "review_page",
    "start_up",
    "matching",
    "map_init",
)


def main() -> int:
    """Run the benchmarks one after another; 1 if any of them failed."""
    given = sys.argv[1:]
    names = [name for name in given if name in NAMES] or list(NAMES)
    options = [word for word in given if word not in NAMES]
    failed = [
        name for name in names if subprocess.call([sys.executable, HERE / f"{name}.py", *options], cwd=HERE.parent) != 0
    ]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    return 0 if "--small" in options else subprocess.call([sys.executable, HERE / "page.py"])


if __name__ == "__main__":
    sys.exit(main())
