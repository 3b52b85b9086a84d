"""Undoing any run after any edits: what nobody touched is as it was before the run, what somebody touched stays.

More examples: CRM_EXAMPLES=1000.
"""

from __future__ import annotations

import os

import pytest
from by_hand import by_hand
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from soft_update_player import BY_HAND, ID, RECORD, STREAM, Player, moment

from target_crm.config.settings import Settings
from target_crm.operations.session import UnknownError, open_session
from target_crm.operations.undo import undo

EXAMPLES = int(os.environ.get("CRM_EXAMPLES", "25"))
ROWS = ("companies", "contacts", "tasks")
ITEMS = ("contact_phones", "contact_emails")
MANY = st.lists(RECORD, min_size=1, max_size=8)
DELETIONS = st.lists(st.tuples(STREAM, ID), max_size=2)
CHECKS = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]


def seen(crm):
    """Every row by table and key, without the time of its last write."""
    found = {}
    for table in (*ROWS, *ITEMS):
        rows = crm.rows(table, "id")
        found[table] = {r["id"]: {k: v for k, v in r.items() if k != "updated_at"} for r in rows}
    return found


def issues(crm):
    """Open conflicts, rejects and warnings; what is remembered of each record that has a row."""
    conflicts = "run_id, table_name, row_id, column_name, base_value, crm_value, amo_value"
    rejects = "run_id, stream, account_id, amo_id, record, error, code"
    warnings = "run_id, stream, account_id, amo_id, table_name, row_id, column_name, value, code"
    found = {}
    for table, columns in (("conflicts", conflicts), ("rejects", rejects), ("warnings", warnings)):
        rows = crm.execute(f"SELECT {columns} FROM sync_{table} WHERE resolved_at IS NULL ORDER BY id")
        found[table] = rows
    found["keys"] = crm.execute(
        "SELECT account_id, table_name, amo_id, row_id, amo_updated_at, amo_deleted_at FROM sync_keys "
        "WHERE row_id IS NOT NULL ORDER BY 1, 2, 3"
    )
    return found


class Stage:
    """A CRM on which runs and edits follow one another."""

    def __init__(self, crm):
        self.crm, self.player = crm, Player(crm)

    def load(self, drawn, deletions, size):
        """One run with records (several versions of one too) and deletions; its number and messages."""
        player = self.player
        player.clock += 5
        lines = player.lines(player.dated(drawn))[:-1]
        for stream, amo_id in deletions:
            record = {"id": f"e{player.clock}", "entity_type": stream, "entity_id": amo_id}
            record["deleted_at"] = moment(player.clock)
            lines += [self.crm.schema_message("deleted_records"), *self.crm.messages("deleted_records", record)]
        self.crm.load(lines, batch_size_rows=size, allow_mass_delete=True)
        return self.crm.execute("SELECT max(id) AS id FROM sync_runs")[0]["id"], lines

    def undo(self, run):
        """Undo a run; its counts by table."""
        with open_session(Settings.from_config(self.crm.config)) as session:
            return undo(session, run)


def expect_rows(table, before, after, edited, undone):
    """Rows that were there before, cell by cell; rows that the run inserted."""
    for key, row in edited[table].items():
        if key in before[table]:
            was, came = before[table][key], after[table][key]
            wanted = {c: was[c] if row[c] == came[c] or c == "raw_fields" else row[c] for c in row}
            for link, parent in (("company_id", "companies"), ("contact_id", "contacts")):
                if link in row and row[link] == came[link] and wanted[link] not in undone[parent]:
                    wanted[link] = None  # what it pointed at has been deleted since
            assert undone[table].get(key) == wanted, (table, row["amo_id"])
        elif _touched(key, table, after, edited):
            assert undone[table].get(key) == row, (table, row["amo_id"], "was inserted and edited")
        elif not _referred(key, undone):
            assert key not in undone[table], (table, row["amo_id"], "was inserted and not touched")
    assert not undone[table].keys() - edited[table].keys()


def _touched(key, table, after, edited):
    def own(state):
        items = [{k: r for k, r in state[t].items() if r["contact_id"] == key} for t in ITEMS]
        return state[table][key], items

    return own(after) != own(edited)


def _referred(key, state):
    return any(row.get(c) == key for t in ROWS for row in state[t].values() for c in ("company_id", "contact_id"))


def expect_items(table, before, after, edited, undone):
    """Rows of sets: whole rows, of contacts that were there before."""
    keys = before[table].keys() | after[table].keys() | edited[table].keys()
    for key in keys:
        was, came, row = (state[table].get(key) for state in (before, after, edited))
        owner = (was or came or row)["contact_id"]
        if owner not in before["contacts"] or owner not in edited["contacts"]:
            continue
        assert undone[table].get(key) == (was if row == came else row), (table, was, came, row)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="CRM_EXAMPLES" not in os.environ,
    suppress_health_check=CHECKS,
)
@given(
    history=st.lists(st.one_of(MANY, MANY, BY_HAND), max_size=4),
    drawn=MANY,
    deletions=DELETIONS,
    size=st.sampled_from((1, 2, 100)),
    edits=st.lists(BY_HAND, max_size=4),
)
def test_undoing_gives_back_what_nobody_touched_and_leaves_the_rest(crm, history, drawn, deletions, size, edits):
    stage = Stage(crm)
    for step in history:
        if isinstance(step, list):
            stage.load(step, (), 2)
        else:
            by_hand(crm, step)
    before, issues_before = seen(crm), issues(crm)
    run, lines = stage.load(drawn, deletions, size)
    after, issues_after = seen(crm), issues(crm)
    for step in edits:
        by_hand(crm, step)
    edited = seen(crm)
    stage.undo(run)
    undone = seen(crm)
    for table in ROWS:
        expect_rows(table, before, after, edited, undone)
    for table in ITEMS:
        expect_items(table, before, after, edited, undone)
    twice = "SELECT 1 FROM sync_conflicts WHERE resolved_at IS NULL GROUP BY row_id, column_name HAVING count(*) > 1"
    assert crm.execute(twice) == []
    if edited == after:
        assert undone == before
        assert issues(crm) == issues_before
        stage.undo(crm.execute("SELECT max(id) AS id FROM sync_runs")[0]["id"])
        assert seen(crm) == after
        assert issues(crm) == issues_after
        stage.undo(crm.execute("SELECT max(id) AS id FROM sync_runs")[0]["id"])
        assert seen(crm) == before
        crm.load(lines, batch_size_rows=size, allow_mass_delete=True)
        assert _content(seen(crm)) == _content(after)


def test_the_journal_is_kept_as_long_as_its_retention_says_and_runs_and_conflicts_for_ever(crm):
    stage = Stage(crm)
    for name in ("а", "б"):
        crm.sync("contacts", {"id": 1, "last_name": name})
    crm.execute("UPDATE contacts SET last_name = 'вручную'")
    crm.sync("contacts", {"id": 1, "last_name": "в"})
    crm.execute("UPDATE sync_runs SET started_at = now() - interval '40 days' WHERE id <= 3")
    crm.sync("contacts", {"id": 2, "last_name": "г"}, journal_retention_days=0)
    assert {r["run_id"] for r in crm.execute("SELECT run_id FROM sync_changes")} >= {2, 3}
    before = crm.rows("contacts")
    crm.sync("contacts", {"id": 2, "last_name": "д"}, journal_retention_days=30)
    kept = {r["run_id"] for r in crm.execute("SELECT run_id FROM sync_changes")}
    assert min(kept) > 3
    assert len(crm.conflicts()) == 1
    assert len(crm.execute("SELECT id FROM sync_runs")) == max(kept)
    with pytest.raises(UnknownError, match=r"Run 2 .*journal_retention_days"):
        stage.undo(2)
    assert [r for r in crm.rows("contacts") if r["amo_id"] == 1] == [r for r in before if r["amo_id"] == 1]
    stage.undo(max(kept))
    assert crm.row("contacts", 2)["last_name"] == "г"


def _content(state):
    """Rows without the keys that another insertion gives again."""
    amo = {key: (table, row["amo_id"]) for table in ROWS for key, row in state[table].items()}
    known = {str(key): told for key, told in amo.items()}

    def plain(value):
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k != "created_at"}
        if isinstance(value, list):
            return [plain(v) for v in value]
        return known.get(str(value), value)

    return {
        table: sorted(str(sorted(plain({**row, "id": None}).items())) for row in rows.values())
        for table, rows in state.items()
    }
