"""Against the design note: one request per parent (a), the note's batches (b), and ours (c), on one account.

Whole syncs at 300 ms of latency and 7 requests a second; what each kind of record costs in SQL; the writing alone,
from files, where nothing waits for an answer.
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
from harness import (
    TOKEN,
    Account,
    Measured,
    Postgres,
    console,
    main,
    median_of,
    postgres,
    run,
    show,
    simulated_account,
)
from peers.environments import driver, python_of

LATENCY_MS, RPS = 300, 7
COMPANIES, LARGER = 150, 1_000
METHODS = {"a": "rowwise", "b": "batched"}
# The streams that all three read; ours reads the other small lists on top.
STREAMS = ("users", "pipelines", "companies", "contacts", "leads", "notes", "tasks")
WRITTEN = STREAMS[2:]
COUNTED = ("contacts", "notes", "tasks")
# A run that has nothing to write still says something.
NOTHING = '{"type": "STATE", "value": {}}\n'
STEPS = ("insert", "update", "unchanged")
KINDS = ("companies", "contacts", "leads", "companies/notes", "contacts/notes", "leads/notes", "tasks")


def note_sync(method: str, account: Account, server: Postgres, folder: Path) -> dict[str, Any]:
    """One whole sync by a method of the note into an empty database."""
    database, out = server.fresh(), folder / "out.json"
    account.forget_requests()
    server.forget_statements(database)
    command = [python_of("note"), driver("note_run.py"), METHODS[method], database, out, "--api", account.url, TOKEN]
    took = run(command)
    told = json.loads(out.read_text())
    return {
        **took.as_dict(),
        "records": sum(told["counts"].values()),
        "statements_by_kind": told["statements"],
        "statements": server.statements(database),
        "traffic": account.traffic(),
    }


def our_sync(account: Account, server: Postgres, folder: Path) -> dict[str, Any]:
    """One whole sync by the pair into an empty database."""
    database = server.fresh()
    ours.catalog_of(account, folder, STREAMS)
    account.forget_requests()
    server.forget_statements(database)
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


def one_sync(way: str, companies: int, server: Postgres, *, small: bool) -> dict[str, Any]:
    """A whole sync by one of the three ways from a separate simulator; a small one neither waits nor is refused."""
    speed = {"latency": 10, "rps": 0} if small else {"latency": LATENCY_MS, "rps": RPS}
    options = {"companies": companies, "company_filter": "honour", **speed}
    with simulated_account(**options) as account, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if way == "c":
            return our_sync(account, server, Path(folder))
        return note_sync(way, account, server, Path(folder))


def syncs(server: Postgres, companies: int, runs: int, *, small: bool) -> dict[str, list[dict[str, Any]]]:
    """`runs` whole syncs by each way.

    Way (a) takes minutes of waiting for answers and hardly any CPU: its runs go side by side, each with its own
    simulator. The others follow one another, in turns.
    """
    found: dict[str, list[dict[str, Any]]] = {"b": [], "c": []}
    with ThreadPoolExecutor(runs) as pool:
        side_by_side = list(pool.map(lambda _: one_sync("a", companies, server, small=small), range(runs)))
    for _ in range(runs):
        for way, taken in found.items():
            taken.append(one_sync(way, companies, server, small=small))
    return {"a": side_by_side, **found}


def files(companies: int, folder: Path) -> int:
    """Write one account twice, before and after every record changed, as raw records and as Singer messages.

    Beside them a file of each kind alone, and one of none. Returns how many records there are.
    """
    with simulated_account(companies=companies, rps=0) as account:
        records = _raw(account, folder / "before.raw")
        ours.extract(account, folder / "before.singer", folder)
        for kind in KINDS:
            ids = [r["id"] for k, r in account.dump(kind) if k == kind]
            field = "name" if kind in KINDS[:3] else "text" if kind == "tasks" else "params"
            value: Any = {"text": "изменено"} if field == "params" else "изменено"
            account.control("update", {"kind": kind, "ids": ids, "fields": {field: value}})
        _raw(account, folder / "after.raw")
        ours.extract(account, folder / "after.singer", folder)
    for stream in ("none", *WRITTEN):
        for name in ("raw", "singer"):
            with (folder / f"before.{name}").open("rb") as lines, (folder / f"{stream}.{name}").open("wb") as out:
                out.writelines(ours.part_of_a_run(line) for line in lines if _stream_of(line) == stream)
    (folder / "none.singer").write_text(NOTHING, "utf-8")
    return records


def _stream_of(line: bytes) -> str:
    message = json.loads(line)
    return str(message[0] if isinstance(message, list) else message.get("stream"))


def _raw(account: Account, path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as out:
        for kind, record in account.dump(*KINDS):
            count += 1
            entity, _, notes = kind.partition("/")
            if notes:
                record["entity_type"] = entity
            out.write(json.dumps([notes or entity, record]) + "\n")
    return count


def write(way: str, name: str, folder: Path, database: str) -> Measured:
    """Load the file of this name by one of the ways."""
    if way == "c":
        return ours.load(folder / f"{name}.singer", database, folder)
    command = [python_of("note"), driver("note_run.py"), METHODS[way], database, folder / "told.json"]
    return run([*command, "--records", folder / f"{name}.raw"])


def our_statements(folder: Path, server: Postgres) -> dict[str, int]:
    """SQL statements that each kind of record takes us, beyond those of a run that has nothing to write."""
    database = server.fresh()
    counted = {}
    write("c", "none", folder, database)
    for name in ("none", *COUNTED):
        server.forget_statements(database)
        write("c", name, folder, database)
        counted[name] = server.statements(database)
    return {name: counted[name] - counted["none"] for name in COUNTED}


def one_writing(way: str, folder: Path, server: Postgres) -> dict[str, Any]:
    """Insert, load again unchanged, and update one account's records, and a load of nothing, which shows the start."""
    database = server.fresh()
    taken: dict[str, Any] = {}
    for step, name in (("insert", "before"), ("unchanged", "before"), ("update", "after"), ("start", "none")):
        server.forget_statements(database)
        before = sum(server.row_versions(database).values())
        took = write(way, name, folder, database)
        taken[step] = {
            **took.as_dict(),
            "statements": server.statements(database),
            "row_versions": sum(server.row_versions(database).values()) - before,
        }
        server.settle(database)
    server.drop(database)
    return taken


def writings(server: Postgres, companies: int, ways: str, runs: int, folder: Path) -> dict[str, Any]:
    """The writing alone, by these ways in turns, nothing else running."""
    records = files(companies, folder)
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(runs):
        for way in ways:
            found[way].append(one_writing(way, folder, server))
    return {"companies": companies, "records": records, "ways": found}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The syncs, the statements, the writing of the same account, and that of a larger one without way (a)."""
    companies = 5 if options.small else COMPANIES
    with postgres() as server, tempfile.TemporaryDirectory(prefix="bench-") as base:
        folders = [Path(base, name) for name in ("account", "larger")]
        for folder in folders:
            folder.mkdir()
        console.print(f"{companies} companies, whole syncs ...")
        whole = syncs(server, companies, options.runs, small=options.small)
        console.print("writing alone ...")
        written = {"account": writings(server, companies, "abc", options.runs, folders[0])}
        counted = {way: whole[way][0]["statements_by_kind"] for way in "ab"}
        counted["c"] = our_statements(folders[0], server)
        if not options.small:
            written["larger"] = writings(server, LARGER, "bc", options.runs, folders[1])
    result = {
        "latency_ms": LATENCY_MS,
        "rps_limit": RPS,
        "companies": companies,
        "syncs": whole,
        "statements": counted,
        "writing": written,
    }
    _print(result)
    return result


def _print(result: Mapping[str, Any]) -> None:
    rows = []
    for way, runs in result["syncs"].items():
        traffic = [median_of(runs, "traffic", key) for key in ("requests", "average_rps")]
        rows.append([way, *traffic, median_of(runs, "seconds"), median_of(runs, "statements")])
    title = f"Whole sync, {result['companies']} companies"
    show(title, ["way", "requests", "average rps", "seconds", "statements"], rows)
    rows = []
    for told in result["writing"].values():
        for way, runs in told["ways"].items():
            speeds = [told["records"] / median_of(runs, step, "seconds") for step in STEPS]
            rows.append([way, told["records"], *speeds])
    show("Writing alone, records a second", ["way", "records", *STEPS], rows)


if __name__ == "__main__":
    main("design_note", __doc__, measure)
