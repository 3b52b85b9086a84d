"""kill -9 of a load at random moments: after a rerun from the last STATE all is as if nothing had happened.

More kills: CRM_KILLS=200.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from survived import survived

COMMAND = str(Path(sys.executable).parent / "target-crm")
KILLS = int(os.environ.get("CRM_KILLS", "10"))
CONTACTS = 1500
EDITED = range(1, CONTACTS, 50)
TABLES = ("companies", "contacts", "contact_phones", "notes")


def phone(n):
    values = [{"value": f"+7916{n:07d}"}, {"value": f"доб. {n}"}]
    return {"custom_fields_values": [{"field_id": 1, "field_code": "PHONE", "field_name": "Т", "values": values}]}


def messages(crm, version):
    """A sync of companies, contacts and notes in many small parts, a STATE behind each."""
    lines = []
    moment = f"2026-0{version}-01T00:00:00+00:00"
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
    """The tables' content: without keys of rows and marks of time, links as amo ids."""
    amo = {str(r["id"]): r["amo_id"] for t in ("companies", "contacts") for r in crm.rows(t)}
    found = {}
    for table in TABLES:
        rows = []
        for row in crm.rows(table, "id"):
            kept = {k: v for k, v in row.items() if k not in ("id", "created_at", "updated_at")}
            kept |= {k: amo.get(str(v)) for k, v in kept.items() if k in ("company_id", "contact_id")}
            # The base of a link is the key of a row; another run gives other keys.
            raw = json.dumps(kept.pop("raw_fields"), sort_keys=True, ensure_ascii=False)
            for key, amo_id in amo.items():
                if key in raw:
                    raw = raw.replace(key, str(amo_id))
            rows.append((json.dumps(kept, default=str, sort_keys=True, ensure_ascii=False), raw))
        found[table] = sorted(rows)
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
        stderr=subprocess.DEVNULL,
    )


def last_state(out):
    states = [json.loads(line)["done"] for line in out.decode().split("\n") if line.endswith("}")]
    return states[-1] if states else None


def edit(crm):
    crm.execute("UPDATE contacts SET position = 'вручную', last_name = 'вручную' WHERE amo_id = ANY(%s)", list(EDITED))


def undisturbed(crm, first, second):
    crm.load(first)
    edit(crm)
    crm.load(second)
    found = content(crm)
    for table in (*TABLES, "sync_keys", "sync_pending", "sync_conflicts"):
        crm.execute(f"TRUNCATE {table} CASCADE")
    return found


def test_killed_loads_and_their_reruns_leave_what_an_undisturbed_run_leaves(crm):
    first, second = messages(crm, 1), messages(crm, 2)
    expected = undisturbed(crm, first, second)
    crm.load(first)
    edit(crm)
    chance = random.Random(7)
    done, kills = 0, 0
    while kills < KILLS:
        process = start(crm, second, done)
        time.sleep(0.6 + chance.random() * 1.2)
        ended = process.poll() is not None
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        kills += not ended
        done = last_state(out) or done
        if ended:  # it got through: once more from the start, which must change nothing
            done = 0
    process = start(crm, second, done)
    process.communicate()
    assert process.returncode == 0
    found = content(crm)
    edits = crm.execute("SELECT count(*) AS n FROM contacts WHERE position = 'вручную' AND last_name = 'вручную'")
    lost = sum(len(set(rows) - set(found[table])) for table, rows in expected.items())
    survived("kill -9 of a load", kills, records=lost, edits=len(EDITED) - edits[0]["n"])
    assert found == expected
    assert edits[0]["n"] == len(EDITED)
    left = crm.execute("SELECT status, count(*) AS n FROM sync_runs GROUP BY 1")
    assert {r["status"] for r in left} <= {"succeeded", "interrupted"}
