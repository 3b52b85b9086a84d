"""Random sequences of syncs, edits by hand, deletions on both sides and crashes, held against a small model.

The model is the truth table of docs/soft-update.md as one function, written without a look at the merge. More examples:
CRM_EXAMPLES=1000.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from target_crm.errors import TargetError

EXAMPLES = int(os.environ.get("CRM_EXAMPLES", "60"))
COLUMNS = ("name", "price")
IDS = (1, 2, 3)
BATCH = 2


def empty(value):
    return value is None or value == ""


@dataclass
class Row:
    """A row: what it holds, its base, its version and mark."""

    ours: dict[str, Any]
    base: dict[str, Any]
    version: int
    deleted: int | None = None


@dataclass
class Model:
    """What the CRM must hold."""

    rows: dict[int, Row] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    graves: dict[int, int] = field(default_factory=dict)
    conflicts: list[tuple[int, str, Any, Any]] = field(default_factory=list)

    def sync(self, records):
        """Batch by batch; of a batch the newest version of each record counts."""
        for first in range(0, len(records), BATCH):
            self.batch(records[first : first + BATCH])

    def batch(self, records):
        newest: dict[int, dict[str, Any]] = {}
        for record in records:
            seen = newest.get(record["id"])
            if seen is None or record["version"] >= seen["version"]:
                newest[record["id"]] = record
        for amo_id, record in newest.items():
            row = self.rows.get(amo_id)
            if row is not None:
                self.merge(amo_id, row, record)
            elif amo_id not in self.known:
                values = {c: record[c] for c in COLUMNS}
                grave = self.graves.get(amo_id)
                mark = grave if grave is not None and record["version"] < grave else None
                self.rows[amo_id] = Row(dict(values), dict(values), record["version"], mark)
                self.known.add(amo_id)

    def merge(self, amo_id, row, record):
        if record["version"] < row.version:
            return
        row.version = record["version"]
        if row.deleted is not None and record["version"] >= row.deleted:
            row.deleted = None
        for column in COLUMNS:
            base, ours, theirs = row.base[column], row.ours[column], record[column]
            if empty(theirs):
                continue  # row 4
            if empty(ours) or (not empty(base) and ours == base):
                row.ours[column] = row.base[column] = theirs  # rows 2 and 3
            elif not empty(base) and theirs == base:
                continue  # row 5
            else:
                if ours != theirs:  # rows 7 and 8; row 6 and its like only move the base
                    self.conflicts.append((amo_id, column, ours, theirs))
                row.base[column] = theirs

    def delete(self, amo_id, version):
        if version >= self.graves.get(amo_id, -1):
            self.graves[amo_id] = version
        row = self.rows.get(amo_id)
        if row is not None and row.version < version:
            row.deleted = version


RECORD = st.fixed_dictionaries(
    {
        "id": st.sampled_from(IDS),
        "name": st.sampled_from((None, "", "а", "б", "в")),
        "price": st.sampled_from((None, 1, 2, 3)),
        "age": st.sampled_from((0, 0, 0, 1, 3)),
    }
)
STEP = st.one_of(
    # Before a crash some batches are in, and come again: each record once, so that the order of two does not matter.
    st.tuples(
        st.just("sync"),
        st.lists(RECORD, min_size=1, max_size=3, unique_by=lambda r: r["id"]),
        st.sampled_from((3, 9, 17, 30, 45)),
    ),
    st.tuples(st.just("sync"), st.lists(RECORD, min_size=1, max_size=5), st.just(0)),
    st.tuples(
        st.just("edit"), st.sampled_from(IDS), st.sampled_from((("name", None), ("name", "б"), ("name", "рука")))
    ),
    st.tuples(st.just("edit"), st.sampled_from(IDS), st.sampled_from((("price", None), ("price", 2), ("price", 9)))),
    st.tuples(st.just("remove"), st.sampled_from(IDS), st.none()),
    st.tuples(st.just("again"), st.none(), st.none()),
    st.tuples(st.just("amo deletes"), st.sampled_from(IDS), st.none()),
)


def moment(version):
    return f"2026-01-01T{version // 60:02d}:{version % 60:02d}:00+00:00"


class Crash(Exception):
    """The process dies here, as far as the database can tell."""


class Player:
    """Plays steps on the CRM and on the model."""

    def __init__(self, crm):
        self.crm, self.model, self.clock, self.last = crm, Model(), 5, []

    def play(self, step):
        kind, what, more = step
        self.clock += 1
        if kind == "sync":
            records = [{**r, "version": self.clock - r["age"]} for r in what]
            self.last = records
            if more:
                self.crash(records, more)
            self.load(records)
            self.model.sync(records)
        elif kind == "again":
            self.load(list(reversed(self.last)))
            self.model.sync(list(reversed(self.last)))
        elif kind == "edit":
            column, value = more
            self.crm.execute(f"UPDATE leads SET {column} = %s WHERE amo_id = %s", value, what)
            if what in self.model.rows:
                self.model.rows[what].ours[column] = value
        elif kind == "remove":
            self.crm.execute("DELETE FROM leads WHERE amo_id = %s", what)
            self.model.rows.pop(what, None)
        else:
            record = {
                "id": f"e{self.clock}",
                "entity_type": "leads",
                "entity_id": what,
                "deleted_at": moment(self.clock),
            }
            lines = [self.crm.schema_message("deleted_records"), *self.crm.messages("deleted_records", record)]
            self.crm.load(lines, allow_mass_delete=True)
            self.model.delete(what, self.clock)

    def lines(self, records):
        sent = [
            {"id": r["id"], "name": r["name"], "price": r["price"], "updated_at": moment(r["version"])} for r in records
        ]
        return [self.crm.schema_message("leads"), *self.crm.messages("leads", *sent)]

    def load(self, records):
        self.crm.load(self.lines(records), batch_size_rows=BATCH, lock_timeout_seconds=5)

    def crash(self, records, statement):
        """The same load, which breaks off at one of its statements."""
        real, count = psycopg.Cursor.execute, 0

        def execute(cursor, *args, **kwargs):
            nonlocal count
            count += 1
            if count == statement:
                raise Crash
            return real(cursor, *args, **kwargs)

        # What was committed before the crash is there; the rerun brings everything again.
        with mock.patch.object(psycopg.Cursor, "execute", execute), suppress(Crash, psycopg.Error, TargetError):
            self.load(records)

    def check(self):
        found = {
            r["amo_id"]: (
                r["name"],
                r["price"],
                {c: r["raw_fields"]["amo_values"].get(c) or None for c in COLUMNS},
                r["amo_deleted_at"] and r["amo_deleted_at"].hour * 60 + r["amo_deleted_at"].minute,
            )
            for r in self.crm.rows("leads")
        }
        expected = {
            i: (r.ours["name"], r.ours["price"], {c: v or None for c, v in r.base.items()}, r.deleted)
            for i, r in sorted(self.model.rows.items())
        }
        assert found == expected
        ids = {str(r["id"]): r["amo_id"] for r in self.crm.rows("leads")}
        conflicts = [
            (ids[c["row_id"]], c["column_name"], c["crm_value"], c["amo_value"])
            for c in self.crm.conflicts()
            if c["row_id"] in ids
        ]
        assert sorted(conflicts, key=str) == sorted((c for c in self.model.conflicts if c[0] in ids.values()), key=str)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="CRM_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEP, min_size=2, max_size=9))
def test_whatever_happens_the_crm_holds_what_the_truth_table_says(crm, steps):
    crm.load([])
    crm.execute("TRUNCATE leads, sync_keys, sync_pending, sync_conflicts, sync_changes, sync_rejects CASCADE")
    player = Player(crm)
    for step in steps:
        player.play(step)
    player.check()
