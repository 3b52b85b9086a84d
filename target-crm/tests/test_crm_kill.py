"""kill -9 of the load or of the database at random moments: after reruns from the last STATE all is as if undisturbed.

Versions of an account are loaded one after another, each with other names and phones, so that whenever a kill comes
there is something to write. A few kills of each by default; more: CRM_KILLS=200. Counted are those that cut a load
short.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import psycopg
import pytest
from survived import survived

from target_crm.database.embedded import EmbeddedServer

COMMAND = str(Path(sys.executable).parent / "target-crm")
KILLS = int(os.environ.get("CRM_KILLS", "5"))
CONTACTS = 1500
EDITED = range(1, CONTACTS, 50)
TABLES = ("companies", "contacts", "contact_phones", "notes")
# The programs of the server that is killed; left out, the embedded one's.
BINARIES = Path(os.environ["TEST_POSTGRES_BIN"]) if "TEST_POSTGRES_BIN" in os.environ else None


class Server:
    """A PostgreSQL that can be killed and started again."""

    def __init__(self):
        self.base = Path(tempfile.mkdtemp(prefix="kill"))
        self.base.chmod(0o755)
        self.directory = self.base / "pg"
        self._starts = []
        self.url = self.start()

    def start(self):
        server = EmbeddedServer(self.directory, BINARIES)
        server.__enter__()
        self._starts.append(server)
        return server.url

    def kill(self):
        postmaster = psutil.Process(int((self.directory / "postmaster.pid").read_text().split()[0]))
        postmaster.kill()
        while postmaster.is_running() and postmaster.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)

    def close(self):
        for server in self._starts:
            server.__exit__(None, None, None)
        shutil.rmtree(self.base, ignore_errors=True)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


@pytest.fixture
def victim(crm, server):
    """The CRM on a separate server."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"SET search_path = {crm.schema}".encode())
        yield replace(crm, url=server.url, config={**crm.config, "database_url": server.url}, connection=connection)


def phone(n):
    values = [{"value": f"+7916{n:07d}"}, {"value": f"доб. {n}"}]
    return {"custom_fields_values": [{"field_id": 1, "field_code": "PHONE", "field_name": "Т", "values": values}]}


def messages(crm, version):
    """A sync of contacts, companies and notes in many small parts, a STATE behind each."""
    lines = []
    moment = f"{datetime(2026, 1, 1) + timedelta(days=version):%Y-%m-%dT%H:%M:%S}+00:00"
    for stream, count in (("contacts", CONTACTS), ("companies", 200), ("notes", 600)):
        lines.append(crm.schema_message(stream))
        for n in range(1, count + 1):
            record = {"id": n, "account_id": 77, "updated_at": moment, "name": f"{stream} {n} v{version}"}
            if stream == "contacts":
                record |= {"last_name": f"Фамилия {n} v{version}", "company_id": n % 200 + 1, **phone(n * version)}
            if stream == "notes":
                record |= {"entity_type": "contacts", "entity_id": n, "note_type": "common", "params": {"text": moment}}
            lines.append(json.dumps({"type": "RECORD", "stream": stream, "record": record}))
            if n % 25 == 0:
                lines.append(json.dumps({"type": "STATE", "value": {"done": len(lines)}}))
    return lines


def content(crm):
    """The tables' content: without keys of rows and marks of time, links as amo ids; also the conflicts."""
    amo = {str(r["id"]): r["amo_id"] for t in ("companies", "contacts", "notes") for r in crm.rows(t)}
    found = {}
    for table in TABLES:
        rows = []
        for row in crm.rows(table, "id"):
            kept = {k: v for k, v in row.items() if k not in ("id", "created_at", "updated_at", "position")}
            kept |= {k: amo.get(str(v)) for k, v in kept.items() if k in ("company_id", "contact_id")}
            # The base of a link is the key of a row; another run gives other keys.
            raw = kept.pop("raw_fields")
            base = {k: amo.get(str(v), v) if k.endswith("_id") else v for k, v in raw["amo_values"].items()}
            rows.append(json.dumps([kept, raw.get("amo"), base], default=str, sort_keys=True, ensure_ascii=False))
        found[table] = sorted(rows)
    found["conflicts"] = sorted(
        (amo[c["row_id"]], c["column_name"], c["crm_value"], c["amo_value"]) for c in crm.conflicts()
    )
    return found


def start(crm, lines, done):
    """The load of what comes behind the STATE; its SCHEMAs come again, as a tap would send them."""
    config = Path(crm.folder) / "config.json"
    config.write_text(json.dumps({**crm.config, "batch_size_rows": 100}))
    schemas = [line for line in lines[:done] if '"SCHEMA"' in line]
    source = Path(crm.folder) / "input.jsonl"
    source.write_text("\n".join([*schemas, *lines[done:]]) + "\n")
    return subprocess.Popen(
        [COMMAND, "--config", str(config)],
        stdin=source.open("rb"),
        stdout=subprocess.PIPE,
        stderr=(Path(crm.folder) / "log").open("wb"),
    )


def last_state(out):
    states = [json.loads(line)["done"] for line in out.decode().split("\n") if line.endswith("}")]
    return states[-1] if states else None


def edit(crm):
    crm.execute("UPDATE contacts SET last_name = 'вручную' WHERE amo_id = ANY(%s)", list(EDITED))


def undisturbed(crm, versions):
    """What the same versions leave when nobody kills anything."""
    for table in (*TABLES, "sync_keys", "sync_pending", "sync_conflicts", "sync_runs"):
        crm.execute(f"TRUNCATE {table} CASCADE")
    crm.load(messages(crm, 1))
    edit(crm)
    for version in range(2, versions + 1):
        crm.load(messages(crm, version))
    return content(crm)


def type_by_hand(crm, number):
    """Somebody continues working meanwhile."""
    crm.execute("UPDATE contacts SET position = %s WHERE amo_id = %s", f"вручную {number}", number)


def load_under_kills(crm, seed, kill):
    """Load versions, kill what loads, continue from the last STATE until all is loaded: (versions, rounds).

    `kill` gets the process of a load and gives the CRM as it can be reached afterwards.
    """
    chance = random.Random(seed)
    crm.load(messages(crm, 1))
    edit(crm)
    version, done, rounds, kills, seconds = 2, 0, 0, 0, None
    lines = messages(crm, version)
    while kills < KILLS:
        rounds += 1
        began = time.monotonic()
        process = start(crm, lines, done)
        # The first load gets through and tells how long one takes. Later ones may have little left to do.
        delay = None if seconds is None else seconds * (0.25 + 0.75 * chance.random() * (1 - done / len(lines)))
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            crm = kill(process)
        else:
            assert process.returncode == 0
        out, _ = process.communicate(timeout=60)
        type_by_hand(crm, rounds)
        if process.returncode:
            kills += 1
            done = last_state(out) or done
            continue
        if not done:
            seconds = time.monotonic() - began
        version, done = version + 1, 0
        lines = messages(crm, version)
    # What got through comes once more from the start, which must change nothing.
    for begin in (done, 0):
        process = start(crm, lines, begin)
        process.communicate()
        assert process.returncode == 0
    return version, rounds


def check_that_nothing_is_lost(crm, versions, rounds, what):
    """All that must hold at the end; `what` names the kills in the count of faults survived."""
    found, runs = content(crm), crm.rows("sync_runs", "id")
    names = crm.execute("SELECT count(*) AS n FROM contacts WHERE last_name = 'вручную'")
    typed = {r["amo_id"]: r["position"] for r in crm.rows("contacts") if r["position"]}
    expected = undisturbed(crm, versions)
    lost = sum(len(set(rows) - set(found[table])) for table, rows in expected.items())
    survived(what, KILLS, records=lost, edits=len(EDITED) + rounds - names[0]["n"] - len(typed))
    assert found == expected
    assert names[0]["n"] == len(EDITED)
    assert typed == {n: f"вручную {n}" for n in range(1, rounds + 1)}
    assert {r["status"] for r in runs} <= {"succeeded", "interrupted", "failed"}
    assert all(r["finished_at"] for r in runs)


def test_killed_loads_and_their_reruns_leave_what_an_undisturbed_run_leaves(crm):
    def kill(process):
        process.send_signal(signal.SIGKILL)
        return crm

    versions, rounds = load_under_kills(crm, 7, kill)
    check_that_nothing_is_lost(crm, versions, rounds, "kill -9 of a load")


def test_a_killed_database_leaves_after_the_rerun_what_an_undisturbed_run_leaves(crm, victim, server):
    def kill(process):
        server.kill()
        process.wait(60)
        told = (Path(victim.folder) / "log").read_text("utf-8")
        assert "Traceback" not in told
        if process.returncode:
            assert process.returncode == 1
            assert re.search("The (connection to the )?database", told)
        server.start()
        victim.connection = psycopg.connect(server.url, autocommit=True)
        victim.connection.execute(f"SET search_path = {victim.schema}".encode())
        return victim

    versions, rounds = load_under_kills(victim, 11, kill)
    check_that_nothing_is_lost(victim, versions, rounds, "kill -9 of the database")
    victim.connection.close()
