"""What a load of 10,000 contacts takes when the table holds 10,000 to 1,000,000 already, and the memory of large loads.

Insert, update and reload unchanged by target-crm, by meltanolabs-target-postgres, and by the floor, each in its own
database, in turns. Our table is filled by our target, whose memory is measured while it takes the bulk. The peer
takes 90,000 records for the same purpose; the rest of its table and the floor's are copies made in SQL.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import ours
import psycopg
from harness import (
    BIN,
    BenchmarkError,
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
from peers.environments import python_of
from psycopg import sql
from target_speed import PEER, floor

WAYS = ("ours", "peer", "floor")
LOADS = ("insert", "update", "unchanged")
TABLES = {"peer": ("peer", "contacts"), "floor": ("public", "floor")}
DISTINCT = 100_000
SHIFT = 1_000_000_000  # apart from any id of the account; copies made in SQL are shifted the other way
_ID = re.compile(rb'"id":(\d+)')
SIZES, PART = (10_000, 100_000, 1_000_000), 10_000
COPIED_UP_TO = 100_000  # tables up to this size are copied for each run; in a larger one a run's part is little


class Contacts:
    """An account's contacts as Singer files, cut into parts; what they reference is in `parents`.

    From the hundred-thousandth on they are the first ones again, under other ids.
    """

    def __init__(self, folder: Path, total: int) -> None:
        self.folder, self.parents = folder, folder / "parents.jsonl"
        self.read = min(total, DISTINCT)
        options = {"companies": 1_000, "contacts": self.read, "leads": 0, "notes": 0, "tasks": 0, "rps": 0}
        with simulated_account(**options) as account:
            catalog = ours.catalog_of(account, folder, ["users", "companies", "contacts"])
            config = ours.tap_config(account, folder, requests_per_second=ours.LIFTED)
            with (folder / "all.jsonl").open("wb") as out:
                run([BIN / "tap-amocrm", "--config", config, "--catalog", catalog], stdout=out)
        self.schemas = {}
        with (
            (folder / "all.jsonl").open("rb") as lines,
            self.parents.open("wb") as parents,
            (folder / "contacts.jsonl").open("wb") as contacts,
        ):
            for line in lines:
                kind, stream = line[:40].split(b'"')[3], line[:120].split(b'"stream"')[-1].split(b'"')[1].decode()
                if kind == b"SCHEMA":
                    line = self.schemas[stream] = ours.part_of_a_run(line)
                if stream in ("users", "companies"):
                    parents.write(line)
                elif kind == b"RECORD":
                    contacts.write(line)

    def part(self, first: int, count: int, *, changed: bool = False) -> Path:
        """A file of `count` contacts from number `first` on; changed ones are newer and have another last name."""
        path = self.folder / "part.jsonl"
        with path.open("wb") as out:
            out.write(self.schemas["contacts"])
            for line in self._lines(first, count):
                # NUL and halves of surrogate pairs stop the peer and the floor: all load the text without them.
                text = line.replace(b"\\u0000", b"").decode("utf-8", "replace")
                if changed or "\\ud" in text:
                    message = json.loads(text)
                    if changed:
                        message["record"] |= {"last_name": "изменено", "updated_at": "2030-01-01T00:00:00+00:00"}
                    text = json.dumps(message, ensure_ascii=False) + "\n"
                # The floor tells a record by the spacing of Python's own JSON.
                text = text.replace('"type":"RECORD"', '"type": "RECORD"', 1)
                out.write(text.encode("utf-8", "replace"))
        return path

    def _lines(self, first: int, count: int) -> Iterator[bytes]:
        """The messages of contacts as the tap wrote them."""
        done = first
        while done < first + count:
            again, start = divmod(done, self.read)
            end = min(self.read, start + first + count - done)
            with (self.folder / "contacts.jsonl").open("rb") as lines:
                for line in islice(lines, start, end):
                    yield _ID.sub(lambda found: b'"id":%d' % (int(found[1]) + again * SHIFT), line, count=1)  # noqa: B023
            done += end - start


def load(way: str, path: Path, database: str, folder: Path) -> Measured:
    """Load a file by one of the ways."""
    if way == "ours":
        return ours.load(path, database, folder)
    if way == "floor":
        return Measured(floor(path, database), 0.0, 0.0)
    config = folder / "peer.json"
    settings = {"sqlalchemy_url": database, "default_target_schema": "peer", "use_copy": True}
    config.write_text(json.dumps(settings | {"activate_version": False, "add_record_metadata": False}))
    command = [python_of("target-postgres"), *PEER, "--config", config]
    with path.open("rb") as lines:
        return run(command, stdin=lines, stdout=subprocess.DEVNULL)


def multiply(way: str, database: str, size: int) -> None:
    """Fill the way's table with copies of its rows, under other ids, up to this many."""
    table = sql.Identifier(*TABLES[way])
    with psycopg.connect(database, autocommit=True) as connection:
        names = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
            TABLES[way],
        ).fetchall()
        columns = [sql.Identifier(name) for (name,) in names]
        values = [sql.SQL("id - copy * {}").format(SHIFT * size) if n == "id" else sql.Identifier(n) for (n,) in names]
        counted = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
        if not counted or not counted[0]:
            raise BenchmarkError(f"{way} has loaded nothing")
        connection.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}, generate_series(1, {}) AS copy").format(
                table, sql.SQL(", ").join(columns), sql.SQL(", ").join(values), table, size // counted[0] - 1
            )
        )


def grow(way: str, contacts: Contacts, database: str, sizes: tuple[int, int]) -> dict[str, Any] | None:
    """Fill the way's table up from one size to the next; what it took, where the way did it itself."""
    before, size = sizes
    if before and (way == "floor" or (way == "peer" and size > COPIED_UP_TO)):
        multiply(way, database, size)
        return None
    took = load(way, contacts.part(before, size - before), database, contacts.folder)
    return {"records": size - before, **took.as_dict()} if way != "floor" else None


def three_loads(
    way: str, contacts: Contacts, database: str, parts: Mapping[str, int], part: int
) -> dict[str, dict[str, float]]:
    """Insert a part that is new, update one that is there, load that again."""
    taken = {}
    for name in LOADS:
        path = contacts.part(parts["new"] if name == "insert" else parts["old"], part, changed=name != "insert")
        taken[name] = load(way, path, database, contacts.folder).as_dict()
    return taken


def at_size(
    contacts: Contacts, databases: Mapping[str, str], size: int, part: int, runs: int, server: Postgres, new_from: int
) -> dict[str, list[dict[str, Any]]]:
    """The three loads at one size, by all ways in turns."""
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in databases}
    for number in range(runs):
        copied = size <= COPIED_UP_TO
        # What is new comes from behind all that any table holds, what is updated from among the oldest.
        parts = {"new": new_from + number * part, "old": min(number, size // part - 1) * part}
        for way, database in databases.items():
            used = server.copy_of(database) if copied else database
            found[way].append(three_loads(way, contacts, used, parts, part))
            if copied:
                server.drop(used)
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All sizes, from the smallest on."""
    sizes: Sequence[int] = (300,) if options.small else SIZES
    part = 300 if options.small else PART
    found: dict[str, dict[str, Any]] = {}
    bulk: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    with postgres() as server, tempfile.TemporaryDirectory(prefix="bench-") as name:
        console.print("the account ...")
        contacts = Contacts(Path(name), max(sizes) + options.runs * part)
        databases = {way: server.fresh() for way in WAYS}
        ours.load(contacts.parents, databases["ours"], contacts.folder)
        before = 0
        for size in sizes:
            console.print(f"{size:,} contacts ...")
            for way, database in databases.items():
                took = grow(way, contacts, database, (before, size))
                if took:
                    bulk[way].append(took)
                server.settle(database)
            found[str(size)] = at_size(contacts, databases, size, part, options.runs, server, max(sizes))
            before = size
    _print(found, part)
    return {"part": part, "sizes": found, "bulk": bulk}


def _print(found: Mapping[str, Any], part: int) -> None:
    rows = []
    for size, ways in found.items():
        for way, runs in ways.items():
            rows.append([f"{int(size):,}", way, *(median_of(runs, name, "seconds") for name in LOADS)])
    show(f"Seconds for {part:,} contacts", ["contacts in the table", "way", *LOADS], rows)


if __name__ == "__main__":
    main("target_growth", __doc__, measure)
