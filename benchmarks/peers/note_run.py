"""Run one of the design note's methods: `rowwise` (before the note) or `batched` (the note's own).

    python note_run.py rowwise|batched DATABASE_URL OUT.json --api URL TOKEN      read an account and write it
    python note_run.py rowwise|batched DATABASE_URL OUT.json --records FILE ...   write files of records, one by one

A file holds one JSON array [kind, record] a line. OUT.json gets the seconds of reading and of writing.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Do what the arguments say."""
    method, database, out, what, *rest = sys.argv[1:]
    from note_settings import configure

    configure(database)
    # Django's models can only be imported once its settings are there.
    from note_models import create_tables
    from note_reads import Api, read_account
    from note_writes import BulkWriter, RowWriter

    create_tables()

    writer: Any = RowWriter() if method == "rowwise" else BulkWriter()
    seconds = {"writing": 0.0}

    def write(kind: str, records: list[dict[str, Any]]) -> None:
        started = time.perf_counter()
        writer.write(kind, records)
        seconds["writing"] += time.perf_counter() - started

    started = time.perf_counter()
    if what == "--api":
        counts = read_account(Api(rest[0], rest[1]), write, batched=method == "batched")
    else:
        counts = {}
        for path in rest:
            lists: dict[str, list[Any]] = {}
            with Path(path).open(encoding="utf-8") as lines:
                for line in lines:
                    kind, record = json.loads(line)
                    lists.setdefault(kind, []).append(record)
            for kind, records in lists.items():
                counts[kind] = len(records)
                write(kind, records)
    seconds["total"] = time.perf_counter() - started
    with Path(out).open("w", encoding="utf-8") as file:
        json.dump({"counts": counts, "seconds": seconds}, file)


if __name__ == "__main__":
    main()
