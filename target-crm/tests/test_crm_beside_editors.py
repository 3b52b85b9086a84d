"""People who commit an edit every two milliseconds beside loads, decisions and undos: nothing of theirs is lost.

They edit cells and phones, add phones, notes and contacts that belong to rows, and rows of the application's own that
point at phones. A few seconds by default; more: CRM_EDITOR_SECONDS=300.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter

import psycopg
from survived import survived

from target_crm.config.settings import Settings
from target_crm.operations.conflicts import Filter, resolve
from target_crm.operations.session import UnknownError, open_session
from target_crm.operations.undo import take_back

SECONDS = float(os.environ.get("CRM_EDITOR_SECONDS", "5"))
COLUMNS = ("first_name", "last_name", "position", "email")
PEOPLE, EDITORS = 40, 3
ANY_CONTACT = "(SELECT id FROM contacts ORDER BY random() LIMIT 1)"
ANY_PHONE = "(SELECT id FROM contact_phones ORDER BY random() LIMIT 1)"
ADDS = {
    "notes": f"INSERT INTO notes (contact_id, text) SELECT id, %s FROM {ANY_CONTACT} AS c RETURNING id, contact_id",
    "contact_phones": f"INSERT INTO contact_phones (contact_id, value) SELECT id, %s FROM {ANY_CONTACT} AS c "
    "RETURNING id, contact_id",
    "contacts": "INSERT INTO contacts (company_id, first_name) SELECT id, %s FROM (SELECT id FROM companies "
    "ORDER BY random() LIMIT 1) AS c RETURNING id, company_id",
    "own": f"INSERT INTO own (phone, x) SELECT id, %s FROM {ANY_PHONE} AS c RETURNING id, phone",
}
LINKS = {"notes": "contact_id", "contact_phones": "contact_id", "contacts": "company_id", "own": "phone"}


class Editor(threading.Thread):
    """Somebody who works; `edits` and `added` are what was committed."""

    def __init__(self, crm, number, stop):
        super().__init__()
        self.chance, self.number, self.stop = random.Random(number), number, stop
        self.edits, self.added, self.count = [], [], 0
        self.connection = psycopg.connect(crm.url)
        self.connection.execute(f"SET search_path = {crm.schema}".encode())
        self.connection.commit()

    def run(self):
        with self.connection:
            while not self.stop.is_set():
                try:
                    edits, added = [], []
                    for _ in range(self.chance.choice((1, 1, 1, 4))):
                        self._work(edits, added)
                    self.connection.commit()
                    self.edits += edits
                    self.added += added
                except (psycopg.errors.DeadlockDetected, psycopg.errors.ForeignKeyViolation):
                    self.connection.rollback()  # they are informed, and have committed nothing
                time.sleep(0.002)

    def _work(self, edits, added):
        self.count += 1
        value = f"{self.number}-{self.count}"
        if self.chance.random() < 0.3:
            table = self.chance.choice(list(ADDS))
            found = self.connection.execute(ADDS[table].encode(), [value]).fetchone()
            added += [(table, *found)] if found else []
            return
        table, column, row = ("contacts", self.chance.choice(COLUMNS), ANY_CONTACT)
        if self.chance.random() < 0.4:
            table, column, row = "contact_phones", "comment", ANY_PHONE
        update = f"UPDATE {table} SET {column} = %s WHERE id = {row} RETURNING id::text, old.{column}"
        found = self.connection.execute(update.encode(), [value]).fetchone()
        edits += [(table, found[0], column, value, found[1])] if found else []


def version(crm, number, custom_field):
    """An account in which some names and phones are others than before, and some contacts are new."""
    chance = random.Random(number)
    lines = [crm.schema_message("companies"), *crm.messages("companies", {"id": number, "name": f"ООО {number}"})]
    people = [*range(1, PEOPLE + 1), *range(1000 * number, 1000 * number + 5)]
    records = []
    for person in people:
        names = {name: f"{name}{number if chance.random() < 0.5 else 0}" for name in ("first_name", "last_name")}
        phones = custom_field("PHONE", f"+7916{person:07d}", f"+7903{person * 10 % 10**6 + number % 3:07d}")
        fields = [phones, custom_field("POSITION", f"p{number if chance.random() < 0.3 else 0}")]
        records.append({"id": person, "company_id": number, **names, "custom_fields_values": fields})
    return [*lines, crm.schema_message("contacts"), *crm.messages("contacts", *records)]


def operate(crm, custom_field, did):
    """Loads, decisions and undos one after another for as long as people work."""
    chance, end, number = random.Random(5), time.monotonic() + SECONDS, 1
    with open_session(Settings.from_config({**crm.config, "lock_timeout_seconds": 60})) as session:
        while time.monotonic() < end:
            number += 1
            crm.load(version(crm, number, custom_field), batch_size_rows=20)
            did["loads"] += 1
            if number % 3 == 0:
                resolve(session, Filter(), chance.choice(("amo", "crm")))
                did["decisions"] += 1
            runs = crm.execute("SELECT id FROM sync_runs WHERE status = 'succeeded' ORDER BY id DESC LIMIT 3")
            try:
                take_back(session, chance.choice(runs)["id"])
                did["undoings"] += 1
            except UnknownError:
                session.connection.rollback()  # it was undone before


def lost_edits(crm, edits):
    """Edits that are gone though neither a later edit nor a decision replaced them."""
    now = {(t, str(r["id"]), c): r[c] for t, cs in (("contacts", COLUMNS), ("contact_phones", ("comment",)))
           for r in crm.rows(t, "id") for c in cs}  # fmt: skip
    replaced = {(table, key, column, old) for table, key, column, _, old in edits}
    decided = {
        (e["table_name"], e["row_id"], e["column_name"], e["old_value"])
        for e in crm.execute(
            "SELECT c.* FROM sync_changes AS c JOIN sync_runs AS r ON r.id = c.run_id WHERE r.kind = 'resolve'"
        )
    }
    gone = []
    for table, key, column, value, _ in edits:
        cell = (table, key, column)
        if now.get(cell) != value and (*cell, value) not in replaced and (*cell, value) not in decided:
            gone.append((*cell, value, now.get(cell)))
    return gone


def lost_rows(crm, added):
    """Rows that people added and that are gone, or whose link is."""
    now = {table: {r["id"]: r[link] for r in crm.rows(table, "id")} for table, link in LINKS.items()}
    return [(table, key, link) for table, key, link in added if now[table].get(key) != link]


def test_what_people_commit_beside_loads_decisions_and_undos_stays(crm, custom_field):
    crm.load([])
    crm.execute(
        "CREATE TABLE own (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x text, "
        "phone uuid REFERENCES contact_phones ON DELETE CASCADE)"
    )
    crm.load(version(crm, 1, custom_field))
    stop, did = threading.Event(), Counter()
    editors = [Editor(crm, number, stop) for number in range(EDITORS)]
    for editor in editors:
        editor.start()
    try:
        operate(crm, custom_field, did)
    finally:
        stop.set()
        for editor in editors:
            editor.join()
    edits = [edit for editor in editors for edit in editor.edits]
    added = [row for editor in editors for row in editor.added]
    gone = [*lost_edits(crm, edits), *lost_rows(crm, added)]
    survived(
        "edits beside loads, decisions and undos", {"edits": len(edits), "rows added": len(added)}, edits=len(gone)
    )
    assert gone == []
    assert edits
    assert added
    assert did["undoings"]
