"""Two nightly syncs in a minute: a simulated amoCRM, an embedded PostgreSQL, and a manual edit between them.

What it runs is what a user runs, `meltano run tap-amocrm target-crm`; the rest is setting the stage (a simulator and
an empty database), changing something on both sides, and showing what the tables hold. Run again, it continues from the
state that the last run left: the database (`.crm`), Meltano's bookmarks (`.meltano`) and the account's changes
(`.demo/account.jsonl`) are still there; `make clean` forgets them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from target_crm.config.settings import Settings
from target_crm.database.connection import Database

ROOT = Path(__file__).resolve().parent.parent
STAGE = ROOT / ".demo"
BIN = Path(sys.executable).parent
console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)


class Account:
    """The simulated amoCRM as a user sees it, through the simulator's control endpoints."""

    def __init__(self, url: str) -> None:
        self.url = url

    def control(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask one of the simulator's own endpoints; a body makes it a POST."""
        request = urllib.request.Request(
            f"{self.url}/_sim/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def simulated_account(options: argparse.Namespace) -> Iterator[Account]:
    """Start the simulator on a free port and stop it at the end."""
    ready = STAGE / "simulator.url"
    ready.unlink(missing_ok=True)
    with (STAGE / "simulator.log").open("ab") as log:
        server = subprocess.Popen(
            [
                *(BIN / "amocrm-sim", "serve", "--port", "0", "--ready-file", ready),
                *("--journal", STAGE / "account.jsonl", "--seed", "7", "--latency", "150-350"),
                *("--companies", str(options.companies), "--contacts", str(options.companies * 3)),
                *("--leads", str(options.companies), "--notes", str(options.companies * 6)),
                *("--tasks", str(options.companies * 2), "--token", "demo-token"),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(300):
            if ready.exists() and ready.read_text().strip():
                break
            if server.poll() is not None:
                sys.exit(f"The simulator did not start; see {STAGE / 'simulator.log'}")
            time.sleep(0.1)
        yield Account(ready.read_text().strip())
    finally:
        server.terminate()
        server.wait(10)


def meltano_run(account: Account, number: int) -> dict[str, Any]:
    """One `meltano run tap-amocrm target-crm`; its log goes to a file. Returns what it measured."""
    metrics, log = STAGE / f"metrics-{number}.json", STAGE / f"run-{number}.log"
    metrics.unlink(missing_ok=True)
    started = time.monotonic()
    with log.open("wb") as out:
        code = subprocess.run(
            [BIN / "meltano", "run", "tap-amocrm", "target-crm"],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
            env={
                **os.environ,
                "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
                "NO_COLOR": "1",
                "TAP_AMOCRM_API_URL": account.url,
                "TAP_AMOCRM_ACCESS_TOKEN": "demo-token",
                "TAP_AMOCRM_METRICS_FILE": str(metrics),
                "TARGET_CRM_DATA_DIR": str(ROOT / ".crm"),
            },
        ).returncode
    if code:
        console.print(f"[red]meltano ended with code {code}. The end of {log}:[/red]")
        sys.exit("\n".join(log.read_text(errors="replace").splitlines()[-25:]))
    return {"wall_seconds": time.monotonic() - started, **json.loads(metrics.read_text())}


def crm_rows(url: str, query: str, values: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
    """Rows of the CRM's tables."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(query, values).fetchall()  # type: ignore[arg-type]


def show_run(title: str, url: str, metrics: Mapping[str, Any]) -> None:
    """A table of the records that were read and the rows that were written, from the run's counts."""
    run = crm_rows(url, "SELECT id, counts FROM crm.sync_runs WHERE kind = 'load' ORDER BY id DESC LIMIT 1")[0]
    table = Table(title=title, title_justify="left")
    for name in ("stream", "records", "requests", "inserted", "updated", "unchanged", "kept", "deleted"):
        table.add_column(name, justify="left" if name == "stream" else "right")
    streams = {**metrics["requests_by_stream"], **metrics["records_by_stream"]}
    for stream in streams:
        counts = run["counts"].get(stream, {})
        written = [counts.get(k) for k in ("inserted", "updated", "unchanged", "kept", "deleted")]
        numbers = [metrics["records_by_stream"].get(stream, 0), metrics["requests_by_stream"].get(stream, 0), *written]
        table.add_row(stream, *("" if n is None else f"{n:,}" for n in numbers))
    console.print(table)
    console.print(
        f"Run {run['id']}: {metrics['requests']} requests in {metrics['duration_seconds']:.1f} s, "
        f"{metrics['average_rps']:.2f} a second on average, {metrics['peak_rps']} at most; "
        f"{metrics['wall_seconds']:.1f} s with Meltano's own start.\n"
    )


def change_both_sides(account: Account, url: str) -> dict[str, Any]:
    """An edit in amoCRM, a manual edit in the CRM, a new note, a deleted contact. Returns what to check later."""
    contacts = crm_rows(
        url,
        "SELECT id, amo_id, first_name, position FROM crm.contacts WHERE amo_deleted_at IS NULL "
        "AND position IS NOT NULL AND company_id IS NOT NULL ORDER BY random() LIMIT 4",
    )
    by_hand, in_amo, deleted, disputed = contacts
    stamp = time.strftime("%H:%M:%S")
    crm_rows(
        url,
        "UPDATE crm.contacts SET position = %s WHERE id = %s RETURNING id",
        (f"Typed by hand at {stamp}", by_hand["id"]),
    )
    crm_rows(
        url,
        "UPDATE crm.contacts SET first_name = %s WHERE id = %s RETURNING id",
        (f"Renamed by hand at {stamp}", disputed["id"]),
    )
    name = f"Renamed in amoCRM at {stamp}"
    # The same contact is touched in amoCRM as well: a loader that simply overwrites would lose the manual edit.
    for contact in (by_hand, in_amo, disputed):
        fields = {"first_name": name, "name": name}
        account.control("update", {"kind": "contacts", "ids": [contact["amo_id"]], "fields": fields})
    note = {"entity_id": in_amo["amo_id"], "note_type": "common", "params": {"text": f"New note at {stamp}"}}
    account.control("create", {"kind": "contacts/notes", "fields": note})
    account.control("delete", {"kind": "contacts", "ids": [deleted["amo_id"]]})
    console.print(
        "Between the runs:\n"
        f"  in amoCRM    contacts {by_hand['amo_id']} and {in_amo['amo_id']} renamed, a note added, contact "
        f"{deleted['amo_id']} deleted\n"
        f"  in the CRM   position of contact {by_hand['amo_id']} typed by hand (it was {by_hand['position']!r})\n"
        f"  in both      first name of contact {disputed['amo_id']} changed, to different values\n"
    )
    ids = {"by_hand": by_hand["id"], "in_amo": in_amo["id"], "deleted": deleted["id"], "disputed": disputed["id"]}
    return {**ids, "name": name, "stamp": stamp}


def show_outcome(url: str, changed: Mapping[str, Any]) -> bool:
    """Whether the manual edit is still there and everything else has arrived."""
    ids = [changed[k] for k in ("by_hand", "in_amo", "deleted", "disputed")]
    rows = {r["id"]: r for r in crm_rows(url, "SELECT * FROM crm.contacts WHERE id = ANY(%s)", (ids,))}
    by_hand, in_amo, deleted, disputed = (rows[i] for i in ids)
    conflicts = crm_rows(
        url,
        "SELECT crm_value, amo_value FROM crm.sync_conflicts WHERE row_id = %s AND resolved_at IS NULL",
        (str(disputed["id"]),),
    )
    notes = crm_rows(
        url, "SELECT text FROM crm.notes WHERE contact_id = %s AND text LIKE %s", (in_amo["id"], f"%{changed['stamp']}")
    )
    checks = [
        (
            "the manual edit is still there",
            by_hand["position"],
            by_hand["position"] == f"Typed by hand at {changed['stamp']}",
        ),
        (
            "... and amoCRM's new name arrived in the same row",
            by_hand["first_name"],
            by_hand["first_name"] == changed["name"],
        ),
        ("the other renamed contact", in_amo["first_name"], in_amo["first_name"] == changed["name"]),
        ("the new note", notes[0]["text"] if notes else "missing", bool(notes)),
        (
            "the deleted contact is marked, not removed",
            f"amo_deleted_at {deleted['amo_deleted_at']}",
            deleted["amo_deleted_at"] is not None,
        ),
        (
            "changed on both sides: the CRM's name is kept, and a conflict waits for a decision",
            disputed["first_name"],
            disputed["first_name"] == f"Renamed by hand at {changed['stamp']}"
            and [c["amo_value"] for c in conflicts] == [changed["name"]],
        ),
    ]
    for what, seen, right in checks:
        console.print(f"  {'[green]yes[/green]' if right else '[red]NO[/red] '}  {what}: {seen}")
    return all(right for _, _, right in checks)


def write_report(url: str) -> Path:
    """The report of the last run, written by the usual command."""
    file, metrics = STAGE / "report.html", STAGE / "metrics-2.json"
    command = [BIN / "target-crm-admin", "--database-url", url, "report", "--last", "--html", file]
    subprocess.run([*command, "--metrics-file", metrics], check=True, stdout=subprocess.DEVNULL)
    return file


def main() -> int:
    """Run the demo; 0 if everything is as expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--companies", type=int, default=300)
    options = parser.parse_args()
    STAGE.mkdir(exist_ok=True)
    again = (ROOT / ".crm").exists()
    with simulated_account(options) as account, Database(Settings(data_dir=ROOT / ".crm")) as database:
        console.print(
            f"A simulated amoCRM at {account.url}: {options.companies} companies with their contacts, leads, notes and "
            "tasks.\n"
        )
        title = "First run of another round: continues from the last one" if again else "First run: everything"
        show_run(title, database.url, meltano_run(account, 1))
        changed = change_both_sides(account, database.url)
        show_run("Second run: only what changed", database.url, meltano_run(account, 2))
        right = show_outcome(database.url, changed)
        stats = account.control("stats")
        console.print(
            f"\nAs the simulator saw it: at most {stats['peak']} requests in any second, "
            f"{stats['refusals']} refusals (429)"
            + ("." if not stats["refusals"] else ": this machine was too busy to keep the intervals between requests.")
        )
        report = write_report(database.url)
    console.print(
        f"The run as a page: {report.relative_to(ROOT)}\n"
        "Look further:      .venv/bin/target-crm-admin status | conflicts | explain contacts amo:ID | undo RUN | psql\n"
        "Sync once more:    make demo"
    )
    show_page()
    return 0 if right else 1


def show_page() -> None:
    """Serve the review page if a person sits at the terminal, otherwise name the command that does."""
    if sys.stdout.isatty():
        subprocess.run([BIN / "target-crm-admin", "serve", "--port", "0"], cwd=ROOT, check=False)
    else:
        console.print("Review, resolve and undo in the browser:  make serve")


if __name__ == "__main__":
    sys.exit(main())
