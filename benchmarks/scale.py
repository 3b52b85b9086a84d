"""Accounts of 1,000 to 100,000 contacts with their companies, leads, notes and tasks: requests, seconds, CPU, memory.

A first sync, one with nothing new, and one after a hundredth of the contacts and notes changed. The smaller accounts
are synced at 7 requests a second and 300 ms of latency; all are synced with the throttle lifted, too, which shows what
the work costs without the waiting. PostgreSQL's CPU seconds hold the VACUUM and the checkpoint that a load calls for.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ours
from harness import Account, Postgres, console, main, median_of, postgres, show, simulated_account

LATENCY_MS, RPS = 300, 7
# Contacts -> times synced at the limit, times synced without. Large accounts take long, so they are synced once.
SIZES = {1_000: (5, 5), 10_000: (5, 3), 100_000: (0, 1)}
CHANGED_SHARE = 100


def one(contacts: int, server: Postgres, *, lifted: bool, alone: bool = False) -> dict[str, Any]:
    """The three syncs of one account by the pair, into a separate database; `alone`: companies and contacts."""
    companies = contacts // 3
    sizes = {"companies": companies, "contacts": contacts, "leads": companies}
    sizes |= {"leads": 0, "notes": 0, "tasks": 0} if alone else {"notes": 2 * contacts, "tasks": 2 * companies}
    speed = {"rps": 0} if lifted else {"rps": RPS, "latency": LATENCY_MS}
    settings = {"requests_per_second": ours.LIFTED} if lifted else {}
    taken: dict[str, Any] = {}
    with simulated_account(**sizes, **speed) as account, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        database = server.fresh()
        for step in ("first", "nothing_new", "hundredth_changed"):
            if step == "hundredth_changed":
                change(account)
            before = server.cpu_seconds()
            took = ours.sync(account, database, Path(folder), tap=settings)
            server.settle(database)
            metrics = took["metrics"]
            taken[step] = {
                "requests": metrics["requests"],
                "average_rps": metrics["average_rps"],
                "records": sum(metrics["records_by_stream"].values()),
                "seconds": took["seconds"],
                "tap": took["tap"],
                "target": took["target"],
                "postgres_cpu_seconds": round(server.cpu_seconds() - before, 3),
            }
        server.drop(database)
    return taken


def change(account: Account) -> None:
    """Every hundredth contact and note of a contact gets another name or text."""
    for kind, fields in (("contacts", {"last_name": "изменено"}), ("contacts/notes", {"params": {"text": "изменено"}})):
        ids = [record["id"] for found, record in account.dump(kind) if found == kind]
        account.control("update", {"kind": kind, "ids": ids[::CHANGED_SHARE], "fields": fields})


def cpu_seconds(step: Mapping[str, Any]) -> float:
    """CPU seconds of tap, target and PostgreSQL together."""
    return float(step["tap"]["cpu_seconds"] + step["target"]["cpu_seconds"] + step["postgres_cpu_seconds"])


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All sizes, from the smallest on."""
    sizes = {30: (0, 1)} if options.small else SIZES
    limited: dict[str, list[dict[str, Any]]] = {}
    lifted: dict[str, list[dict[str, Any]]] = {}
    with postgres() as server:
        for contacts, (at_limit, without) in sizes.items():
            console.print(f"{contacts:,} contacts ...")
            limited[str(contacts)] = [one(contacts, server, lifted=False) for _ in range(at_limit)]
            lifted[str(contacts)] = [one(contacts, server, lifted=True) for _ in range(without)]
    rows = []
    for name, found in (("at the limit", limited), ("lifted", lifted)):
        for contacts, runs in found.items():
            if not runs:
                continue
            cpu = [{"cpu": cpu_seconds(r["first"])} for r in runs]
            row = [
                f"{int(contacts):,} {name}",
                median_of(runs, "first", "requests"),
                median_of(runs, "first", "seconds"),
            ]
            memory = [median_of(runs, "first", part, "memory_mb") for part in ("tap", "target")]
            rows.append([*row, median_of(cpu, "cpu"), *memory])
    columns = ["contacts", "requests", "seconds", "CPU seconds", "tap, MB", "target, MB"]
    show("A first sync", columns, rows)
    return {"latency_ms": LATENCY_MS, "rps_limit": RPS, "limited": limited, "lifted": lifted}


if __name__ == "__main__":
    main("scale", __doc__, measure)
