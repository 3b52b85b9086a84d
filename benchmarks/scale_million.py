"""An account of 1,000,000 contacts with their companies: requests, CPU and memory, the throttle lifted.

The same three syncs as those of `scale`, once, since they take long; without leads, notes and tasks.
"""

from __future__ import annotations

import argparse
from typing import Any

from harness import main, postgres, show
from scale import cpu_seconds, one

CONTACTS = 1_000_000


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One account, once."""
    contacts = 30 if options.small else CONTACTS
    options.runs = 1
    with postgres() as server:
        steps = one(contacts, server, lifted=True, alone=True)
    rows = [
        [name, step["records"], step["requests"], cpu_seconds(step), *(step[p]["memory_mb"] for p in ("tap", "target"))]
        for name, step in steps.items()
    ]
    columns = ["sync", "records", "requests", "CPU seconds", "tap, MB", "target, MB"]
    show(f"{contacts:,} contacts and their companies", columns, rows)
    return {"contacts": contacts, "steps": steps}


if __name__ == "__main__":
    main("scale_million", __doc__, measure)
