"""What the journal costs: time of the statements that write it beside that of all others of the merge.

PostgreSQL itself measures them (`pg_stat_statements`, planning and execution). A statement that writes rows and the
journal at once counts for the journal whole. A COPY waits for the client, so the share without COPY is reported as
well.
WAL is what the journal adds to what must reach the disk.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from harness import Postgres, main, median_of, postgres, show
from ours import load
from target_speed import LOADS, files

# The loader's own bookkeeping of the run, and the benchmark's looks at the database, do not belong to a merge.
_NOT_THE_MERGE = r"pg_stat|sync_runs|^\s*(create (schema|table if)|set |show|vacuum|checkpoint)"


def statement_times(server: Postgres, url: str) -> dict[str, float]:
    """Milliseconds and bytes of WAL of the last load's statements: those that write the journal, and the others."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT query ~* 'sync_changes', sum(total_plan_time + total_exec_time), sum(wal_bytes), "
            "sum(total_exec_time) FILTER (WHERE query ~* '^\\s*copy ') "
            "FROM pg_stat_statements WHERE toplevel AND query !~* %s "
            "AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) GROUP BY 1",
            (_NOT_THE_MERGE,),
        ).fetchall()
    found = {journal: (float(spent), int(wal), float(copy or 0)) for journal, spent, wal, copy in rows}
    journal, rest = found.get(True, (0.0, 0, 0.0)), found.get(False, (0.0, 0, 0.0))
    return {
        "journal_ms": journal[0],
        "others_ms": rest[0],
        "share": journal[0] / rest[0] if rest[0] else 0.0,
        "share_without_copy": (journal[0] - journal[2]) / (rest[0] - rest[2]) if rest[0] > rest[2] else 0.0,
        "wal_share": journal[1] / rest[1] if rest[1] else 0.0,
    }


def one(paths: dict[str, Path], server: Postgres, folder: Path) -> dict[str, dict[str, float]]:
    """The three loads into a separate database."""
    database = server.fresh()
    taken = {}
    for name in LOADS:
        server.forget_statements(database)
        seconds = load(paths[name], database, folder).seconds
        taken[name] = {"seconds": seconds, **statement_times(server, database)}
    server.drop(database)
    return taken


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Medians of the runs."""
    contacts = 900 if options.small else 30_000
    with postgres() as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = files(contacts, folder)
        with paths["insert"].open() as lines:
            records = sum(json.loads(line)["type"] == "RECORD" for line in lines)
        runs = [one(paths, server, folder) for _ in range(options.runs)]
    figures = ("seconds", "others_ms", "journal_ms", "share", "share_without_copy", "wal_share")
    medians = {name: {figure: median_of(runs, name, figure) for figure in figures} for name in LOADS}
    columns = (
        "load",
        "seconds",
        "merge without journal, ms",
        "journal, ms",
        "journal / merge",
        "without COPY",
        "of WAL",
    )
    show(f"{records:,} records", columns, [(name, *(medians[name][f] for f in figures)) for name in LOADS])
    return {"records": records, "medians": medians, "runs": runs}


if __name__ == "__main__":
    main("journal_cost", __doc__, measure)
