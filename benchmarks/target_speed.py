"""Records a second of target-crm, of meltanolabs-target-postgres, and of the floor, on one Singer file in one database.

Companies and contacts as amoCRM sends them. Three loads: all new, all changed, nothing changed. The floor is what
PostgreSQL itself takes: the same lines copied raw into one staging table and upserted by one INSERT ... ON CONFLICT.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from harness import Postgres, main, median_of, postgres, run, show, simulated_account
from ours import extract, load, part_of_a_run
from peers.environments import python_of

# The peer's scripts do not survive the renaming of its environment; it is started as its module.
PEER = ("-c", "from target_postgres.target import TargetPostgres; TargetPostgres.cli()")
WAYS = ("ours", "peer", "floor")
LOADS = ("insert", "update", "unchanged")


def files(contacts: int, folder: Path) -> dict[str, Path]:
    """The Singer files: as amoCRM sends them, and the same with a name changed in every record."""
    with simulated_account(companies=contacts // 3, contacts=contacts, leads=0, notes=0, tasks=0, rps=0) as account:
        extract(account, folder / "all.jsonl", folder)
    kept = {"users", "companies", "contacts"}
    with (folder / "all.jsonl").open("rb") as lines:
        chosen = [m for m in map(json.loads, map(part_of_a_run, lines)) if m.get("stream") in kept]
    for name in ("first", "second"):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8", errors="replace") as out:
            for message in chosen:
                if name == "second" and message["type"] == "RECORD" and message["stream"] != "users":
                    record = message["record"]
                    record["name"] = f"{record['name']} (new)"
                    record["updated_at"] = "2026-12-31T00:00:00+00:00"
                    if "last_name" in record:
                        record["last_name"] = f"{record['last_name']} (new)"
                # NUL and halves of surrogate pairs stop the peer and the floor: all three load the text without them.
                out.write(json.dumps(message, ensure_ascii=False).replace("\\u0000", "") + "\n")
    return {"insert": folder / "first.jsonl", "update": folder / "second.jsonl", "unchanged": folder / "second.jsonl"}


def floor(path: Path, database: str) -> float:
    """Seconds of the plain way, by psycopg: COPY of the raw lines, one statement."""
    started = time.perf_counter()
    with psycopg.connect(database) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS floor (stream text, id bigint, doc jsonb, PRIMARY KEY (stream, id))"
        )
        connection.execute("CREATE TEMP TABLE raw (line jsonb) ON COMMIT DROP")
        with connection.cursor().copy("COPY raw FROM STDIN (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')") as copy:
            for line in path.open("rb"):
                if b'"type": "RECORD"' in line[:40]:
                    copy.write(line)
        connection.execute(
            "INSERT INTO floor SELECT line->>'stream', (line->'record'->>'id')::bigint, line->'record' FROM raw "
            "ON CONFLICT (stream, id) DO UPDATE SET doc = excluded.doc"
        )
    return time.perf_counter() - started


def one(way: str, paths: dict[str, Path], server: Postgres, folder: Path) -> dict[str, float]:
    """Seconds of each load by one of the ways, into a separate database."""
    database = server.fresh()
    taken = {}
    for name in LOADS:
        if way == "floor":
            taken[name] = floor(paths[name], database)
        elif way == "ours":
            taken[name] = load(paths[name], database, folder).seconds
        else:
            config = folder / "peer.json"
            settings = {
                "sqlalchemy_url": database,
                "default_target_schema": "peer",
                "use_copy": True,
                "activate_version": False,
            }
            config.write_text(json.dumps(settings | {"add_record_metadata": False}))
            with paths[name].open("rb") as lines:
                taken[name] = run(
                    [python_of("target-postgres"), *PEER, "--config", config], stdin=lines, stdout=subprocess.DEVNULL
                ).seconds
    return taken


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Interleaved runs of all ways; medians."""
    contacts = 900 if options.small else 45_000
    with postgres() as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = files(contacts, folder)
        with paths["insert"].open() as lines:
            records = sum('"type": "RECORD"' in line[:40] for line in lines)
        size = paths["insert"].stat().st_size / records
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(options.runs):
            for way in WAYS:
                runs[way].append(one(way, paths, server, folder))
    rows = []
    for load_name in LOADS:
        speeds = [records / median_of(runs[way], load_name) for way in WAYS]
        rows.append((load_name, *speeds, speeds[0] / speeds[1], speeds[0] / speeds[2]))
    columns = ("load", "ours, records/s", "target-postgres", "floor", "ours / target-postgres", "ours / floor")
    show(f"{records:,} records of {size:,.0f} bytes", columns, rows)
    return {"records": records, "bytes_a_record": size, "seconds": runs}


if __name__ == "__main__":
    main("target_speed", __doc__, measure)
