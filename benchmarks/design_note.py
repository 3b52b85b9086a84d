"""Against the design note: one request per parent (a), the note's batches (b), and ours (c), on one kind of account.

Whole syncs of an account with 300 ms of latency and 7 requests a second, and then the writing alone, from files.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ours
from harness import TOKEN, Account, Postgres, console, main, median_of, postgres, run, show, simulated_account
from peers.environments import driver, python_of

LATENCY_MS, RPS = 300, 7
METHODS = {"a": "rowwise", "b": "batched"}
# The streams that all three read; ours reads the other small lists on top.
STREAMS = ("users", "pipelines", "companies", "contacts", "leads", "notes", "tasks")
KINDS = ("companies", "contacts", "leads", "companies/notes", "contacts/notes", "leads/notes", "tasks")


def note_sync(method: str, account: Account, server: Postgres, folder: Path) -> dict[str, Any]:
    """One whole sync by a method of the note into an empty database."""
    database, out = server.fresh(), folder / "out.json"
    account.forget_requests()
    server.forget_statements()
    command = [python_of("note"), driver("note_run.py"), METHODS[method], database, out, "--api", account.url, TOKEN]
    took = run(command)
    told = json.loads(out.read_text())
    return {
        **took.as_dict(),
        "records": sum(told["counts"].values()),
        "writing_seconds": round(told["seconds"]["writing"], 3),
        "statements": server.statements(database),
        "traffic": account.traffic(),
    }


def our_sync(account: Account, server: Postgres, folder: Path) -> dict[str, Any]:
    """One whole sync by the pair into an empty database."""
    database = server.fresh()
    ours.catalog_of(account, folder, STREAMS)
    account.forget_requests()
    server.forget_statements()
    took = ours.sync(account, database, folder, streams=STREAMS)
    records = took["metrics"]["records_by_stream"]
    return {
        "seconds": took["seconds"],
        "cpu_seconds": round(took["tap"]["cpu_seconds"] + took["target"]["cpu_seconds"], 3),
        "memory_mb": took["tap"]["memory_mb"] + took["target"]["memory_mb"],
        "records": sum(n for stream, n in records.items() if stream in STREAMS[2:]),
        "statements": server.statements(database),
        "traffic": account.traffic(),
    }


def one_sync(way: str, companies: int, server: Postgres) -> dict[str, Any]:
    """A whole sync by one of the three ways from a simulator of its own."""
    options = {"companies": companies, "latency": LATENCY_MS, "rps": RPS, "company_filter": "honour"}
    with simulated_account(**options) as account, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if way == "c":
            return our_sync(account, server, Path(folder))
        return note_sync(way, account, server, Path(folder))


def syncs(server: Postgres, companies: int, ways: str, runs: int) -> dict[str, list[dict[str, Any]]]:
    """`runs` whole syncs by each way.

    Way (a) takes minutes of waiting for answers and hardly any CPU: its runs go side by side, each with a simulator
    of its own. The others follow one another, in turns.
    """
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    if "a" in ways:
        with ThreadPoolExecutor(runs) as pool:
            found["a"] = list(pool.map(lambda _: one_sync("a", companies, server), range(runs)))
    for _ in range(runs):
        for way in ways.replace("a", ""):
            found[way].append(one_sync(way, companies, server))
    return found


def files(companies: int, folder: Path) -> dict[str, int]:
    """Write one account twice, before and after every record changed: as raw records and as Singer messages."""
    with simulated_account(companies=companies, rps=0) as account:
        counts = _raw(account, folder / "before.raw")
        ours.extract(account, folder / "before.singer", folder)
        for kind in KINDS:
            records = [r for k, r in account.dump(kind) if k == kind]
            field = "name" if kind in KINDS[:3] else "text" if kind == "tasks" else "params"
            value: Any = {"text": "изменено"} if field == "params" else "изменено"
            account.control("update", {"kind": kind, "ids": [r["id"] for r in records], "fields": {field: value}})
        _raw(account, folder / "after.raw")
        ours.extract(account, folder / "after.singer", folder)
    return counts


def _raw(account: Account, path: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    with path.open("w", encoding="utf-8") as out:
        for kind, record in account.dump(*KINDS):
            entity, _, notes = kind.partition("/")
            if notes:
                record["entity_type"] = entity
            counts[notes or entity] = counts.get(notes or entity, 0) + 1
            out.write(json.dumps([notes or entity, record]) + "\n")
    return counts


def one_writing(way: str, folder: Path, server: Postgres) -> dict[str, Any]:
    """Insert, load again unchanged, and update one account's records: seconds, statements, row versions of each."""
    database = server.fresh()
    taken: dict[str, Any] = {}
    for step, name in (("insert", "before"), ("unchanged", "before"), ("update", "after")):
        server.forget_statements()
        before = sum(server.row_versions(database).values())
        if way == "c":
            took = ours.load(folder / f"{name}.singer", database, folder)
        else:
            told = folder / "told.json"
            command = [python_of("note"), driver("note_run.py"), METHODS[way], database, told]
            took = run([*command, "--records", folder / f"{name}.raw"])
        taken[step] = {
            **took.as_dict(),
            "statements": server.statements(database),
            "row_versions": sum(server.row_versions(database).values()) - before,
        }
        server.settle(database)
    return taken


def writings(server: Postgres, sizes: Mapping[str, int], runs: int) -> dict[str, Any]:
    """The writing alone by each way, in turns; `sizes` names the companies of each way's account."""
    with tempfile.TemporaryDirectory(prefix="bench-") as base:
        counts: dict[int, dict[str, int]] = {}
        for companies in set(sizes.values()):
            folder = Path(base, str(companies))
            folder.mkdir()
            counts[companies] = files(companies, folder)
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in sizes}
        for _ in range(runs):
            for way, companies in sizes.items():
                found[way].append(one_writing(way, Path(base, str(companies)), server))
    return {
        way: {"companies": sizes[way], "records": sum(counts[sizes[way]].values()), "runs": found[way]} for way in sizes
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All of it: small account by three ways, larger one by two, and the writing."""
    small, large = (6, 20) if options.small else (60, 500)
    sizes = {"a": 20, "b": 20, "c": 20} if options.small else {"a": 100, "b": 2000, "c": 2000}
    with postgres() as server:
        console.print(f"{small} companies, ways a, b, c ...")
        few = syncs(server, small, "abc", options.runs)
        console.print(f"{large} companies, ways b, c ...")
        many = syncs(server, large, "bc", options.runs)
        console.print("writing alone ...")
        written = writings(server, sizes, options.runs)
    result = {
        "latency_ms": LATENCY_MS,
        "rps_limit": RPS,
        "small_account": {"companies": small, "ways": few},
        "large_account": {"companies": large, "ways": many},
        "writing": written,
    }
    _print(result)
    return result


def _print(result: Mapping[str, Any]) -> None:
    for size in ("small_account", "large_account"):
        rows = []
        for way, runs in result[size]["ways"].items():
            traffic = [median_of(runs, "traffic", key) for key in ("requests", "average_rps")]
            rows.append([way, *traffic, median_of(runs, "seconds"), median_of(runs, "statements")])
        title = f"Whole sync, {result[size]['companies']} companies"
        show(title, ["way", "requests", "average rps", "seconds", "statements"], rows)
    rows = []
    for way, told in result["writing"].items():
        speeds = [told["records"] / median_of(told["runs"], s, "seconds") for s in ("insert", "update", "unchanged")]
        rows.append([way, told["records"], *speeds])
    show("Writing alone, records a second", ["way", "records", "insert", "update", "unchanged"], rows)


if __name__ == "__main__":
    main("design_note", __doc__, measure)
