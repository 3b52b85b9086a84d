"""How soon a change in amoCRM is a committed row, what that costs, and what a quiet account costs.

An account of 100,000 contacts with their companies, leads, notes and tasks; the pair follows it at the limit of 7
requests a second and 300 ms of latency. Every two seconds something changes: records are updated and created, deleted,
restored, merged and linked, notes are edited. The time is taken from the change to the row that PostgreSQL has
committed. First by polling alone, then nothing for two minutes, then with webhooks, of which some come late, twice or
never. `--polling 3000 --hooks 600` measures for an hour.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ours
import psutil
import psycopg
from harness import BIN, Account, BenchmarkError, console, main, postgres, show, simulated_account

CONTACTS = 100_000
LATENCY_MS, RPS = 300, 7
EVERY = 2.0
# Seconds of each part: changes found by polling, nothing, changes of which webhooks tell.
POLLING, QUIET, HOOKED = 240, 120, 120
LONGEST_WAIT = 60.0
# Of that many records of each kind some are changed.
MOST_CHANGED = 5000
SECRET = "benchmark-secret-of-some-length"
GOALS = {"polling": 10.0, "hooks": 3.0, "share": 0.3, "core": 0.02}


@dataclass
class Change:
    """A change under way: what it was, of which record, when it was made, and the query that finds its row."""

    what: str
    record: int
    made: float
    query: str
    values: tuple[Any, ...]


class Changes:
    """Makes changes one after another, of all kinds in turn."""

    def __init__(self, account: Account) -> None:
        self._account, self._random, self._number = account, random.Random(1), itertools.count(1)
        self._ids = {kind: self._some(kind) for kind in ("companies", "contacts", "leads", "contacts/notes")}
        self._deleted: list[int] = []
        makers: tuple[Callable[[], Change], ...] = (
            self._update_contact, self._note, self._update_lead, self._edited_note, self._task, self._update_company,
            self._delete, self._update_contact, self._restore, self._merge, self._link, self._create,
        )  # fmt: skip
        self._makers = itertools.cycle(makers)

    def _some(self, kind: str) -> list[int]:
        """The IDs of some records of a kind."""
        dump = self._account.dump(kind)
        return [record["id"] for _, record in itertools.islice(dump, MOST_CHANGED)]

    def next(self) -> Change:
        """Make the next change."""
        return next(self._makers)()

    def _take(self, kind: str) -> int:
        ids = self._ids[kind]
        return ids.pop(self._random.randrange(len(ids)))

    def _do(self, what: str, action: str, body: dict[str, Any], query: str, *values: Any) -> Change:
        made = time.monotonic()
        done = self._account.control(action, body)
        record = done[0] if isinstance(done, list) and done else 0
        return Change(what, int(record), made, query, values)

    def _word(self) -> str:
        return f"changed {next(self._number)}"

    def _update(self, kind: str, table: str, column: str, **fields: Any) -> Change:
        record, word = self._take(kind), self._word()
        body = {"kind": kind, "ids": [record], "fields": {"name": word, column: word, **fields}}
        query = f"SELECT 1 FROM crm.{table} WHERE amo_id = %s AND {column} = %s"
        return self._do(f"{kind} updated", "update", body, query, record, word)

    def _update_contact(self) -> Change:
        return self._update("contacts", "contacts", "last_name")

    def _update_company(self) -> Change:
        return self._update("companies", "companies", "name")

    def _update_lead(self) -> Change:
        return self._update("leads", "leads", "name")

    def _create(self) -> Change:
        word = self._word()
        body = {"kind": "contacts", "fields": {"name": word, "last_name": word}}
        return self._do("contact created", "create", body, "SELECT 1 FROM crm.contacts WHERE last_name = %s", word)

    def _task(self) -> Change:
        word = self._word()
        query = "SELECT 1 FROM crm.tasks WHERE text = %s"
        return self._do("task created", "create", {"kind": "tasks", "fields": {"text": word}}, query, word)

    def _note(self) -> Change:
        word, contact = self._word(), self._random.choice(self._ids["contacts"])
        fields = {"entity_id": contact, "note_type": "common", "params": {"text": word}}
        query = "SELECT 1 FROM crm.notes WHERE text = %s"
        return self._do("note created", "create", {"kind": "contacts/notes", "fields": fields}, query, word)

    def _edited_note(self) -> Change:
        note, word = self._take("contacts/notes"), self._word()
        fields = {"note_type": "common", "params": {"text": word}}
        body = {"kind": "contacts/notes", "ids": [note], "fields": fields}
        query = "SELECT 1 FROM crm.notes WHERE text = %s"
        return self._do("note edited", "update", body, query, word)

    def _delete(self) -> Change:
        contact = self._take("contacts")
        self._deleted.append(contact)
        query = "SELECT 1 FROM crm.contacts WHERE amo_id = %s AND amo_deleted_at IS NOT NULL"
        return self._do("contact deleted", "delete", {"kind": "contacts", "ids": [contact]}, query, contact)

    def _restore(self) -> Change:
        # Not the one of a moment ago: its row must be marked as deleted before it can be seen to be restored.
        if len(self._deleted) < 2:
            return self._delete()
        contact = self._deleted.pop(0)
        query = "SELECT 1 FROM crm.contacts WHERE amo_id = %s AND amo_deleted_at IS NULL"
        return self._do("contact restored", "restore", {"kind": "contacts", "ids": [contact]}, query, contact)

    def _merge(self) -> Change:
        into, lost = self._take("contacts"), self._take("contacts")
        query = "SELECT 1 FROM crm.contacts WHERE amo_id = %s AND amo_deleted_at IS NOT NULL"
        return self._do("contacts merged", "merge", {"kind": "contacts", "into": into, "ids": [lost]}, query, lost)

    def _link(self) -> Change:
        lead, company = self._take("leads"), self._random.choice(self._ids["companies"])
        query = (
            "SELECT 1 FROM crm.leads AS l JOIN crm.companies AS c ON c.id = l.company_id "
            "WHERE l.amo_id = %s AND c.amo_id = %s"
        )
        body = {"kind": "leads", "id": lead, "company_id": company}
        return self._do("lead linked", "link", body, query, lead, company)


class Pair:
    """`tap-amocrm | target-crm` that follows."""

    def __init__(self, account: Account, database: str, folder: Path, **settings: Any) -> None:
        self._folder, self._states = folder, folder / "states.jsonl"
        given = {"follow": True, **settings}
        command: list[str | Path] = [BIN / "tap-amocrm", "--config", ours.tap_config(account, folder, **given)]
        state = folder / "state.json"
        if state.exists():
            command += ["--state", state]
        with (folder / "tap.log").open("ab") as log, (folder / "target.log").open("ab") as other:
            self.tap = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=log)
            target = [str(BIN / "target-crm"), "--config", str(ours.target_config(database, folder))]
            self.target = subprocess.Popen(target, stdin=self.tap.stdout, stdout=self._states.open("wb"), stderr=other)
        assert self.tap.stdout is not None
        self.tap.stdout.close()
        self._end_first_reading()

    def _end_first_reading(self) -> None:
        deadline = time.monotonic() + 1800
        while b'"following"' not in self._states.read_bytes():
            if self.tap.poll() is not None or self.target.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError((self._folder / "tap.log").read_text()[-2000:])
            time.sleep(0.5)

    def cpu_seconds(self) -> float:
        """CPU seconds of both so far."""
        times = [psutil.Process(process.pid).cpu_times() for process in (self.tap, self.target)]
        return float(sum(t.user + t.system for t in times))

    def memory_mb(self) -> float:
        """What both hold now."""
        return float(sum(psutil.Process(p.pid).memory_info().rss for p in (self.tap, self.target)) / 2**20)

    def end(self) -> None:
        """End both as a service manager does."""
        self.tap.send_signal(signal.SIGTERM)
        codes = self.tap.wait(30), self.target.wait(60)
        if codes != (0, 0):
            raise BenchmarkError(f"the pair ended with {codes}: {(self._folder / 'tap.log').read_text()[-2000:]}")
        (self._folder / "state.json").write_text(ours.last_state(self._states.read_bytes()))


def measure_changes(changes: Changes, database: str, seconds: float) -> list[dict[str, Any]]:
    """Make a change every two seconds and wait for the row of each; those that did not come have no seconds."""
    begun, found = time.monotonic(), list[dict[str, Any]]()
    open_changes: list[Change] = []
    due = begun
    with psycopg.connect(database, autocommit=True) as connection:
        while open_changes or time.monotonic() < begun + seconds:
            now = time.monotonic()
            if now >= due and now < begun + seconds:
                open_changes.append(changes.next())
                due += EVERY
            for change in list(open_changes):
                committed = connection.execute(change.query, change.values).fetchone() is not None
                age = time.monotonic() - change.made
                if committed or age > LONGEST_WAIT:
                    open_changes.remove(change)
                    at = round(change.made - begun, 2)
                    took = round(age, 2) if committed else None
                    found.append({"what": change.what, "record": change.record, "at": at, "seconds": took})
            time.sleep(0.05)
    return sorted(found, key=lambda one: float(one["at"]))


@contextmanager
def receiver(account: Account, folder: Path) -> Iterator[dict[str, Any]]:
    """`tap-amocrm-hooks serve`; the settings that it needs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "hooks_queue": str(folder / "hooks"),
        "hooks_secret": SECRET,
        "hooks_url": f"http://127.0.0.1:{port}/amo",
    }
    config = ours.tap_config(account, folder, **settings)
    command = [str(BIN / "tap-amocrm-hooks"), "serve", "--config", str(config), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield settings
    finally:
        process.terminate()
        process.wait(20)


def summary(found: list[dict[str, Any]], requests: int, seconds: float, core: float) -> dict[str, Any]:
    """Figures of a part of the measurement."""
    times = sorted(one["seconds"] for one in found if one["seconds"] is not None)
    by_kind: dict[str, list[float]] = {}
    for one in found:
        if one["seconds"] is not None:
            by_kind.setdefault(one["what"], []).append(one["seconds"])
    return {
        "changes": len(found),
        "lost": len(found) - len(times),
        "seconds": round(seconds, 1),
        "p50": percentile(times, 50),
        "p95": percentile(times, 95),
        "slowest": max(times, default=None),
        "requests": requests,
        "share": round(requests / seconds / RPS, 4),
        "core": round(core / seconds, 4),
        "median_by_kind": {kind: round(statistics.median(values), 2) for kind, values in sorted(by_kind.items())},
        "points": [[one["at"], one["seconds"]] for one in found],
    }


def named(found: list[dict[str, Any]], account: Account) -> dict[str, Any]:
    """Of the changes those whose webhook came within a second: edited notes and merges have none, and some are lost."""
    planned: dict[int, deque[float | None]] = {}
    for record, delay in account.control("webhooks")["planned"]:
        planned.setdefault(record, deque()).append(delay)
    came = []
    for one in found:
        if one["what"] != "note edited" and planned.get(one["record"]):
            delay = planned[one["record"]].popleft()
            if one["what"] != "contacts merged" and delay is not None and delay <= 1.0:
                came.append(one)
    times = sorted(one["seconds"] for one in came if one["seconds"] is not None)
    return {"named": len(came), "named_p50": percentile(times, 50), "named_p95": percentile(times, 95)}


def percentile(values: list[float], percent: int) -> float | None:
    """The value that that many percent do not exceed."""
    return values[max(0, -(-len(values) * percent // 100) - 1)] if values else None


class Meter:
    """Requests, CPU seconds and time since it was made."""

    def __init__(self, account: Account, pair: Pair) -> None:
        self._account, self._pair = account, pair
        self._requests, self._cpu, self._begun = self._sent(), pair.cpu_seconds(), time.monotonic()

    def _sent(self) -> int:
        return int(self._account.control("stats")["requests"])

    def read(self, found: list[dict[str, Any]]) -> dict[str, Any]:
        """What the part took."""
        seconds = time.monotonic() - self._begun
        return summary(found, self._sent() - self._requests, seconds, self._pair.cpu_seconds() - self._cpu)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The three parts, one after another."""
    small = options.small
    contacts, spans = (60, (20, 10, 20)) if small else (CONTACTS, (options.polling, QUIET, options.hooks))
    companies = contacts // 3
    sizes = {"companies": companies, "contacts": contacts, "leads": companies, "notes": contacts, "tasks": companies}
    with (
        postgres() as server,
        simulated_account(**sizes, rps=0, plain=False) as account,
        tempfile.TemporaryDirectory(prefix="bench-") as name,
    ):
        folder, database = Path(name), server.fresh()
        console.print(f"first reading of {contacts:,} contacts ...")
        # The first reading is measured elsewhere: it is done without the limit.
        ours.sync(account, database, folder, tap={"requests_per_second": ours.LIFTED})
        account.control("options", {"rps": RPS, "latency": str(LATENCY_MS)})
        changes, parts = Changes(account), dict[str, Any]()
        pair = Pair(account, database, folder)
        memory = pair.memory_mb()
        for part, seconds in (("polling", spans[0]), ("quiet", spans[1])):
            console.print(f"{part}: {seconds} s ...")
            meter = Meter(account, pair)
            if part == "quiet":
                time.sleep(seconds)
            parts[part] = meter.read(measure_changes(changes, database, seconds) if part == "polling" else [])
        grown = pair.memory_mb() - memory
        pair.end()
        with receiver(account, folder) as settings:
            pair = Pair(account, database, folder, **settings)
            console.print(f"hooks: {spans[2]} s ...")
            meter = Meter(account, pair)
            found = measure_changes(changes, database, spans[2])
            parts["hooks"] = meter.read(found) | named(found, account)
            pair.end()
        metrics = json.loads((folder / "metrics.json").read_text())["follow"]
    rows = [[n, *(p[k] for k in ("changes", "lost", "p50", "p95", "share", "core"))] for n, p in parts.items()]
    columns = ["", "changes", "lost", "p50, s", "p95, s", "of the limit", "of a core"]
    hooked = parts["hooks"]
    rows.append(["... of a webhook in time", hooked["named"], "", hooked["named_p50"], hooked["named_p95"], "", ""])
    show("from the change to the committed row", columns, rows)
    return {
        "contacts": contacts, "every": EVERY, "latency_ms": LATENCY_MS, "rps_limit": RPS, "goals": GOALS,
        "memory_mb": round(memory, 1), "memory_grown_mb": round(grown, 1), "hints": metrics["hints"], **parts,
    }  # fmt: skip


if __name__ == "__main__":
    main("follow", __doc__, measure, polling=POLLING, hooks=HOOKED)
