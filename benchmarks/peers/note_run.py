"""Run one of the design note's methods: `rowwise` (before the note) or `batched` (the note's own).

    python note_run.py rowwise|batched DATABASE_URL OUT.json --api URL TOKEN      read an account and write it
    python note_run.py rowwise|batched DATABASE_URL OUT.json --records FILE ...   write files of records, one by one

A file holds one JSON array [kind, record] a line. OUT.json gets the seconds of reading and of writing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Do what the arguments say."""
    method, database, out, what, *rest = sys.argv[1:]
    from note_settings import configure

    configure(database)
    # Django's models can only be imported once its settings are there.
    from django.db import connection
    from note_models import create_tables
    from note_reads import Api, read_account
    from note_writes import BulkWriter, RowWriter

    create_tables()

    writer: Any = RowWriter() if method == "rowwise" else BulkWriter()
    statements: dict[str, int] = {}
    writing = ""

    def count(execute: Any, *given: Any) -> Any:
        statements[writing] = statements.get(writing, 0) + 1
        return execute(*given)

    def write(kind: str, records: list[dict[str, Any]]) -> None:
        nonlocal writing
        writing = kind
        with connection.execute_wrapper(count):
            writer.write(kind, records)

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
    with Path(out).open("w", encoding="utf-8") as file:
        json.dump({"counts": counts, "statements": statements}, file)


if __name__ == "__main__":
    main()
