"""A plan is the load, rolled back: it says what the load then does, and leaves no trace. More: CRM_EXAMPLES=1000."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import psycopg
import pytest
from by_hand import by_hand
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from rich.console import Console
from soft_update_player import BY_HAND, ID, RECORD, STREAM, Player, moment

from target_crm.config.settings import Settings
from target_crm.errors import StreamRejectedError
from target_crm.plan.text import print_plan
from target_crm.target import plan_of

EXAMPLES = int(os.environ.get("CRM_EXAMPLES", "15"))
ADMIN = str(Path(sys.executable).parent / "target-crm-admin")
MANY = st.lists(RECORD, min_size=1, max_size=8)


def whole_database(url):
    """Every row of every table of every schema, and every relation that there is."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
            "AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
        ).fetchall()
        relations = connection.execute(
            "SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname NOT LIKE 'pg_%' ORDER BY 1, 2"
        ).fetchall()
        schemas = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg_%'").fetchall()
        rows = {
            name: sorted(map(str, connection.execute(sql.SQL("SELECT t.* FROM {} t").format(sql.Identifier(*name)))))
            for name in tables
        }
    return sorted(schemas), relations, rows


def bad_lines(crm, count):
    """Records that no load takes."""
    return [json.dumps({"type": "RECORD", "stream": "companies", "record": {"id": f"x{n}"}}) for n in range(count)]


class Keys:
    """Keys of rows as texts; of two insertions of one record each has its own, here both are `new`."""

    def __init__(self, crm):
        self.known = {str(r["id"]) for t in ("companies", "contacts", "tasks") for r in crm.rows(t)}
        self.known |= {str(r["id"]) for t in ("contact_phones", "contact_emails") for r in crm.rows(t, "id")}

    def plain(self, value):
        if isinstance(value, dict):
            return {k: self.plain(v) for k, v in value.items() if k not in ("created_at", "updated_at")}
        if isinstance(value, list):
            return [self.plain(v) for v in value]
        is_key = isinstance(value, str) and len(value) == 36 and value.count("-") == 4
        return "new" if is_key and value not in self.known else value

    def entries(self, found, *names):
        return sorted(json.dumps([self.plain(e[n]) for n in names], sort_keys=True, default=str) for e in found)


CHANGE = ("table_name", "row_id", "column_name", "old_value", "new_value")
CONFLICT = ("table_name", "row_id", "column_name", "base_value", "crm_value", "amo_value")
REJECT = ("stream", "record", "error")


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="CRM_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(
    history=st.lists(st.one_of(MANY, BY_HAND, BY_HAND), max_size=5),
    drawn=MANY,
    deleted=st.lists(st.tuples(STREAM, ID), max_size=2),
    size=st.sampled_from((2, 100)),
    bad=st.integers(0, 2),
)
def test_the_load_does_what_the_plan_said_and_the_plan_did_nothing(crm, history, drawn, deleted, size, bad):
    player = Player(crm)
    more = {"batch_size_rows": size, "allow_mass_delete": True}
    for step in history:
        if isinstance(step, list):
            player.clock += 5
            crm.load(player.lines(player.dated(step)), **more)
        else:
            by_hand(crm, step)
    player.clock += 5
    lines = [crm.schema_message("companies"), *bad_lines(crm, bad), *player.lines(player.dated(drawn))]
    for stream, amo_id in deleted:
        record = {"id": "e", "entity_type": stream, "entity_id": amo_id, "deleted_at": moment(player.clock)}
        lines += [crm.schema_message("deleted_records"), *crm.messages("deleted_records", record)]
    keys, before = Keys(crm), whole_database(crm.url)
    plan = plan_of(Settings.from_config({**crm.config, **more}), io.StringIO("\n".join(lines) + "\n"))
    assert whole_database(crm.url) == before
    # Two bad records and no good one fail the run of a stream; the plan and what is written are the same.
    rejected = bad == 2 and all(stream != "companies" for stream, _ in drawn)
    with pytest.raises(StreamRejectedError) if rejected else nullcontext():
        crm.load(lines, **more)
    (run,) = crm.execute("SELECT id, counts FROM sync_runs ORDER BY id DESC LIMIT 1")
    changes = crm.execute("SELECT * FROM sync_changes WHERE run_id = %s AND column_name <> 'raw_fields'", run["id"])
    conflicts = crm.execute("SELECT * FROM sync_conflicts WHERE run_id = %s", run["id"])
    rejects = crm.execute("SELECT * FROM sync_rejects WHERE run_id = %s", run["id"])
    assert plan.counts == run["counts"]
    assert keys.entries(plan.changes, *CHANGE) == keys.entries(changes, *CHANGE)
    assert keys.entries(plan.conflicts, *CONFLICT) == keys.entries(conflicts, *CONFLICT)
    assert keys.entries(plan.rejects, *REJECT) == keys.entries(rejects, *REJECT)


def test_a_dry_run_on_an_empty_database_makes_no_tables_either(crm):
    before = whole_database(crm.url)
    states = crm.load([crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1})], dry_run=True)
    assert states == []
    assert whole_database(crm.url) == before


def test_a_plan_as_a_table_names_rows_columns_conflicts_edits_and_rejects(crm, tmp_path):
    crm.sync("leads", *({"id": n, "price": 10, "name": "Сделка"} for n in (1, 2, 3)))
    crm.execute("UPDATE leads SET price = 77 WHERE amo_id = 2")
    crm.execute("UPDATE leads SET name = 'Вручную' WHERE amo_id = 3")
    records = (
        {"id": 1, "price": 20, "name": "Сделка"},
        {"id": 2, "price": 30, "name": "Сделка"},
        {"id": 3, "price": 10, "name": "Сделка"},
        {"id": 4, "price": 40, "name": "Новая"},
        {"id": "пять", "price": 50},
    )
    file = tmp_path / "messages.jsonl"
    file.write_text("\n".join([crm.schema_message("leads"), *crm.messages("leads", *records)]) + "\n")
    line = [ADMIN, "--database-url", crm.url, "--crm-schema", crm.schema, "plan", file]
    environment = {**os.environ, "COLUMNS": "200"}
    text = subprocess.run(line, capture_output=True, text=True, check=True, env=environment).stdout
    for told in ("inserted", "kept", "leads", "price", "10", "20", "77", "30", "Новая", "пять"):
        assert told in text, told
    found = json.loads(subprocess.run([*line, "--json"], capture_output=True, text=True, check=True).stdout)
    assert (
        found["counts"]["leads"] | {"inserted": 1, "kept": 2, "conflicts": 1, "rejected": 1} == found["counts"]["leads"]
    )
    assert len(crm.rows("leads")) == 3


def test_a_plan_names_tables_fields_and_records_beside_the_databases_names_in_80_columns(crm):
    crm.sync("companies", {"id": 7, "name": "ООО «Волга»"}, {"id": 8, "name": "ИП Орлова"})
    crm.sync("leads", {"id": 1, "name": "Поставка насосов", "price": 480000, "company_id": 7})
    lines = [
        crm.schema_message("leads"),
        *crm.messages("leads", {"id": 1, "name": "Поставка насосов", "price": 1250000, "company_id": 8}),
        *crm.messages("leads", {"id": 2, "name": "Новая", "price": 40, "company_id": 8}),
    ]
    plan = plan_of(Settings.from_config(crm.config), io.StringIO("\n".join(lines) + "\n"))
    out = io.StringIO()
    print_plan(plan, Console(file=out, width=80, force_terminal=True, color_system=None, highlight=False), "")
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    cells = " ".join(text.replace("│", " ").replace("┃", " ").split())
    for told in (
        "Leads (leads)",
        "Lead · Budget",
        "(leads.price)",
        "Поставка",
        "1,250,000",
        "ООО «Волга»",
        "ИП Орлова",
    ):
        assert told in cells, (told, text)
    assert "Too narrow for: row" in text
    assert "words" not in plan.as_dict()
    assert {c["column_name"] for c in plan.as_dict()["changes"]} == {"*", "price", "company_id"}


def test_a_plan_lists_the_edits_that_stay_with_their_three_values(crm):
    crm.sync("contacts", {"last_name": "Old", "first_name": "Ann"})
    crm.execute("UPDATE contacts SET last_name = 'By hand'")
    lines = [crm.schema_message("contacts"), *crm.messages("contacts", {"last_name": "Old", "first_name": "Anna"})]
    plan = plan_of(Settings.from_config(crm.config), io.StringIO("\n".join(lines) + "\n"))
    (kept,) = plan.kept
    assert (kept["table_name"], kept["column_name"]) == ("contacts", "last_name")
    assert (kept["base_value"], kept["crm_value"], kept["amo_value"]) == ("Old", "By hand", "Old")
    assert plan.conflicts == []


def test_a_plan_lists_an_edit_that_earlier_loads_kept_when_its_record_comes_as_it_was(crm):
    crm.sync("contacts", {"last_name": "Old", "first_name": "Ann"})
    crm.execute("UPDATE contacts SET last_name = 'By hand'")
    lines = [
        crm.schema_message("contacts"),
        *crm.messages("contacts", {"last_name": "Old", "first_name": "Anna"}),
    ]
    crm.load(lines)  # finds the edit; from then on the record is passed over
    plan = plan_of(Settings.from_config(crm.config), io.StringIO("\n".join(lines) + "\n"))
    (kept,) = plan.kept
    assert (kept["base_value"], kept["crm_value"], kept["amo_value"]) == ("Old", "By hand", "Old")
    counts = plan.counts["contacts"]
    assert (counts["kept"], counts["updated"], counts["unchanged"]) == (1, 0, 1)
