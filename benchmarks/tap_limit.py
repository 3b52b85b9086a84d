"""How much of the limit of 7 requests a second tap-amocrm uses, and what a full sync costs beside its pages.

A server that takes 300 ms on average; all figures as the server saw them. Requests a second count from the first
request to the last; beside it is what is left of it when the process's start and end are counted, too.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any

from harness import BIN, main, run, show, simulated_account
from ours import tap_config

COMPANIES = (3_400, 3_600, 5_600)


def one(companies: int, latency: str) -> dict[str, Any]:
    """A full sync of a whole account at the limit."""
    with (
        simulated_account(companies=companies, rps=7, latency=latency) as account,
        tempfile.TemporaryDirectory() as name,
    ):
        folder = Path(name)
        config = tap_config(account, folder, requests_per_second=7)
        with (folder / "out.jsonl").open("wb") as out:
            process = run([BIN / "tap-amocrm", "--config", config], stdout=out)
        entries = account.control("requests")
        stats = account.control("stats")
        metrics = json.loads((folder / "metrics.json").read_text())
    span = entries[-1]["at"] - entries[0]["at"]
    pages = sum(math.ceil(n / 250) for n in metrics["records_by_stream"].values())
    return {
        "companies": companies,
        "latency": latency,
        "requests": len(entries),
        "pages": pages,
        "bound": 1.05 * pages + 15,
        "seconds": round(span, 2),
        "average_rps": round((len(entries) - 1) / span, 3),
        "average_rps_with_start_and_end": round(len(entries) / process.seconds, 3),
        "shortest_time_of_eight": round(min(b["at"] - a["at"] for a, b in zip(entries, entries[7:], strict=False)), 4),
        "peak_rps": stats["peak"],
        "refusals": stats["refusals"],
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Several sizes and kinds of latency, each once: the limit makes them slow."""
    cases = [(60, "20-40")] if options.small else [(c, lat) for c in COMPANIES for lat in ("300", "200-400")]
    found = [one(*case) for case in cases]
    columns = ("companies", "latency, ms", "requests", "pages", "1.05 x pages + 15", "requests a second")
    columns += ("the same with start and end", "peak", "429")
    names = ("companies", "latency", "requests", "pages", "bound", "average_rps", "average_rps_with_start_and_end")
    names += ("peak_rps", "refusals")
    show("tap-amocrm at the limit", columns, [[f[n] for n in names] for f in found])
    return {"syncs": found}


if __name__ == "__main__":
    main("tap_limit", __doc__, measure)
