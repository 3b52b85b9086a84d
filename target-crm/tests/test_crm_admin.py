"""target-crm-admin: the real command on a real database."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

COMMAND = str(Path(sys.executable).parent / "target-crm-admin")


def phones(*values):
    return {
        "custom_fields_values": [
            {"field_id": 1, "field_code": "PHONE", "field_name": "Телефон", "values": [{"value": v} for v in values]}
        ]
    }


@pytest.fixture
def admin(crm):
    """Run a subcommand; JSON when asked for."""

    def run(*arguments, fails=False, text=None):
        line = [COMMAND, "--database-url", crm.url, "--crm-schema", crm.schema, *map(str, arguments)]
        done = subprocess.run(line, capture_output=True, text=True, input=text, check=False)
        assert (done.returncode != 0) == fails, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        if fails:
            return done.stderr
        return json.loads(done.stdout) if "--json" in arguments else done.stdout

    return run


def everything(crm):
    """All tables of the CRM, without what an undo may change: its own marks of time."""
    found = {}
    for table in ("users", "companies", "contacts", "leads", "notes", "tasks", "contact_phones", "contact_emails"):
        rows = crm.rows(table, "id")
        found[table] = [{k: v for k, v in row.items() if k != "updated_at"} for row in rows]
    return found


def last_run(crm):
    return crm.execute("SELECT max(id) AS id FROM sync_runs")[0]["id"]


def conflict(crm, base="Иванов", ours="Сидоров", theirs="Петров"):
    """A conflict on a contact's last name; its number."""
    crm.sync("contacts", {"last_name": base})
    crm.execute("UPDATE contacts SET last_name = %s", ours)
    crm.sync("contacts", {"last_name": theirs})
    return crm.conflicts()[-1]["id"]


def test_status_lists_runs_with_what_they_did(crm, admin):
    crm.sync("contacts", {"id": 1}, {"id": 2})
    crm.sync("contacts", {"id": 1, "last_name": "Новая"})
    last, first = admin("status", "--json")["runs"]
    assert first["counts"]["contacts"]["inserted"] == 2
    assert last["counts"]["contacts"]["updated"] == 1
    assert "contacts" in admin("status")


def test_plan_says_what_the_load_would_do_and_does_nothing(crm, admin, tmp_path):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"}, {"id": 2, "last_name": "Орлов"})
    crm.execute("UPDATE contacts SET last_name = 'Вручную' WHERE amo_id = 2")
    before = everything(crm)
    file = tmp_path / "messages.jsonl"
    records = ({"id": 1, "last_name": "Петров"}, {"id": 2, "last_name": "Сидоров"}, {"id": 3, "last_name": "Новый"})
    file.write_text("\n".join([crm.schema_message("contacts"), *crm.messages("contacts", *records)]) + "\n")
    plan = admin("plan", file, "--json")
    assert everything(crm) == before
    counts = plan["counts"]["contacts"]
    assert (counts["inserted"], counts["updated"], counts["conflicts"]) == (1, 2, 1)
    (change,) = [c for c in plan["changes"] if c["column_name"] == "last_name"]
    assert (change["old_value"], change["new_value"]) == ("Иванов", "Петров")
    assert plan["conflicts"][0]["crm_value"] == "Вручную"
    crm.load(file.read_text().splitlines())
    (run,) = crm.execute("SELECT counts FROM sync_runs ORDER BY id DESC LIMIT 1")
    assert run["counts"]["contacts"] == counts


def test_explain_says_where_each_value_comes_from(crm, admin):
    crm.sync("contacts", {"id": 5, "last_name": "Иванов", "first_name": "Пётр"})
    crm.execute("UPDATE contacts SET first_name = 'Пётр Ильич', position = 'Директор'")
    crm.sync("contacts", {"id": 5, "last_name": "Орлов", "first_name": "Пётр"})
    found = admin("explain", "contacts", "amo:5", "--json")
    cells = {c["column"]: c for c in found["cells"]}
    assert cells["last_name"]["origin"] == "amoCRM"
    assert cells["last_name"]["replaced"] == "Иванов"
    assert cells["last_name"]["run_id"] == last_run(crm)
    assert cells["first_name"]["origin"] == "edited by hand"
    assert cells["first_name"]["amo_value"] == "Пётр"
    assert cells["position"]["origin"] == "by hand"
    assert cells["email"]["origin"] == "empty"
    assert "edited by hand" in admin("explain", "contacts", found["row_id"])


def test_explain_of_nothing_is_one_message(crm, admin):
    crm.sync("contacts", {"id": 1})
    assert "Table contacts has no row amo:9" in admin("explain", "contacts", "amo:9", fails=True)
    assert "Table clients is not in the mapping" in admin("explain", "clients", "amo:9", fails=True)


def test_a_conflict_is_listed_with_its_three_values(crm, admin):
    conflict(crm)
    (found,) = admin("conflicts", "--json")
    assert (found["base_value"], found["crm_value"], found["amo_value"]) == ("Иванов", "Сидоров", "Петров")
    assert "Сидоров" in admin("conflicts")


def test_taking_amocrms_value_writes_it_and_journals_the_decision(crm, admin):
    number = conflict(crm)
    done = admin("conflicts", number, "--take", "amo", "--json")
    assert (done["settled"], done["written"]) == (1, 1)
    assert crm.row("contacts")["last_name"] == "Петров"
    (entry,) = crm.execute("SELECT * FROM sync_changes WHERE run_id = %s", done["run"])
    assert (entry["old_value"], entry["new_value"]) == ("Сидоров", "Петров")
    assert admin("conflicts", "--json") == []


def test_keeping_ours_writes_nothing_and_the_same_pair_never_comes_back(crm, admin):
    number = conflict(crm)
    admin("conflicts", number, "--take", "crm")
    assert crm.row("contacts")["last_name"] == "Сидоров"
    crm.sync("contacts", {"last_name": "Петров"})
    assert admin("conflicts", "--json") == []
    crm.sync("contacts", {"last_name": "Кузнецов"})
    (again,) = admin("conflicts", "--json")
    assert again["amo_value"] == "Кузнецов"


def test_another_value_can_be_typed(crm, admin):
    number = conflict(crm)
    admin("conflicts", number, "--take", "value", "--value", "Сидоров-Петров")
    assert crm.row("contacts")["last_name"] == "Сидоров-Петров"


def test_conflicts_are_resolved_in_bulk_by_column(crm, admin):
    records = [{"id": n, "last_name": "Иванов", "first_name": "Пётр"} for n in range(1, 6)]
    crm.sync("contacts", *records)
    crm.execute("UPDATE contacts SET last_name = 'Сидоров', first_name = 'Павел'")
    crm.sync("contacts", *({**r, "last_name": "Петров", "first_name": "Пахом"} for r in records))
    done = admin("conflicts", "--column", "last_name", "--all", "--take", "amo", "--json")
    assert done["settled"] == 5
    assert {r["last_name"] for r in crm.rows("contacts")} == {"Петров"}
    assert {c["column_name"] for c in admin("conflicts", "--json")} == {"first_name"}


def test_a_cell_that_changed_since_is_left_and_its_conflict_stays_open(crm, admin):
    number = conflict(crm)
    crm.execute("UPDATE contacts SET last_name = 'Позже'")
    done = admin("conflicts", number, "--take", "amo", "--json")
    assert (done["settled"], done["changed_since"]) == (0, 1)
    assert crm.row("contacts")["last_name"] == "Позже"
    assert len(admin("conflicts", "--json")) == 1


def test_a_decision_can_be_taken_back(crm, admin):
    number = conflict(crm)
    run = admin("conflicts", number, "--take", "amo", "--json")["run"]
    admin("undo", run)
    assert crm.row("contacts")["last_name"] == "Сидоров"
    assert [c["id"] for c in admin("conflicts", "--json")] == [number]


def test_resolving_without_numbers_needs_all_to_be_said(crm, admin):
    conflict(crm)
    assert "--all" in admin("conflicts", "--take", "amo", fails=True)


def test_undoing_an_update_gives_the_tables_back_as_they_were(crm, admin):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов", **phones("+79161234567")}, {"id": 2, "last_name": "Орлов"})
    before = everything(crm)
    crm.sync("contacts", {"id": 1, "last_name": "Петров", **phones("+79031112233")}, {"id": 2, "last_name": "Соколов"})
    assert everything(crm) != before
    done = admin("undo", last_run(crm), "--json")
    assert done["contacts"]["restored_columns"] >= 3
    assert everything(crm) == before


def test_undoing_inserts_removes_the_rows_with_their_phones(crm, admin):
    crm.sync("contacts", {"id": 1})
    before = everything(crm)
    crm.sync("contacts", {"id": 2, **phones("+79161234567", "+79161234568")}, {"id": 3})
    done = admin("undo", last_run(crm), "--json")
    assert done["contacts"]["removed_rows"] == 2
    assert everything(crm) == before
    crm.sync("contacts", {"id": 2})
    assert len(crm.rows("contacts")) == 2


def test_an_inserted_row_that_somebody_edited_added_to_or_points_at_stays(crm, admin):
    crm.sync("companies", *({"id": n, "name": f"ООО {n}"} for n in range(1, 6)))
    run = last_run(crm)
    crm.execute("UPDATE companies SET inn = '7707083893' WHERE amo_id = 1")
    crm.execute(
        "INSERT INTO company_phones (company_id, value) SELECT id, '+79990000000' FROM companies WHERE amo_id = 2"
    )
    crm.execute("INSERT INTO notes (company_id, text) SELECT id, 'вручную' FROM companies WHERE amo_id = 3")
    done = admin("undo", run, "--json")
    found = done["companies"]
    assert (found["removed_rows"], found["left_edited"], found["left_referenced"]) == (2, 2, 1)
    assert [r["amo_id"] for r in crm.rows("companies")] == [1, 2, 3]


def test_a_cell_that_was_edited_since_is_left_alone_and_said(crm, admin):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов", "first_name": "Пётр"})
    crm.sync("contacts", {"id": 1, "last_name": "Петров", "first_name": "Павел"})
    run = last_run(crm)
    crm.execute("UPDATE contacts SET last_name = 'Вручную'")
    done = admin("undo", run, "--json")
    assert done["contacts"]["left_edited"] == 1
    row = crm.row("contacts")
    assert (row["last_name"], row["first_name"]) == ("Вручную", "Пётр")


def test_a_row_that_a_later_run_wrote_is_left_until_that_run_is_undone(crm, admin):
    for name in ("Первый", "Второй", "Третий"):
        crm.sync("contacts", {"id": 1, "last_name": name})
    third = last_run(crm)
    done = admin("undo", third - 1, "--json")
    assert done["contacts"]["left_rewritten"] == 1
    assert crm.row("contacts")["last_name"] == "Третий"


def test_runs_are_undone_one_after_another_backwards(crm, admin):
    for name in ("Первый", "Второй", "Третий"):
        crm.sync("contacts", {"id": 1, "last_name": name})
    third = last_run(crm)
    admin("undo", third)
    assert crm.row("contacts")["last_name"] == "Второй"
    admin("undo", third - 1)
    assert crm.row("contacts")["last_name"] == "Первый"


def test_an_undo_can_be_undone(crm, admin):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    crm.sync("contacts", {"id": 1, "last_name": "Петров", **phones("+79161234567")}, {"id": 2, "last_name": "Новый"})
    after = everything(crm)
    admin("undo", last_run(crm))
    admin("undo", last_run(crm))
    assert everything(crm) == after


def test_a_preview_says_the_same_and_does_nothing(crm, admin):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    crm.sync("contacts", {"id": 1, "last_name": "Петров"}, {"id": 2})
    before, run = everything(crm), last_run(crm)
    preview = admin("undo", run, "--preview", "--json")
    assert everything(crm) == before
    assert admin("undo", run, "--json") == preview


def test_a_load_after_an_undo_brings_the_same_again(crm, admin):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    records = ({"id": 1, "last_name": "Петров"}, {"id": 2, "last_name": "Новый"})
    crm.sync("contacts", *records)
    admin("undo", last_run(crm))
    crm.sync("contacts", *records)
    assert [r["last_name"] for r in crm.rows("contacts")] == ["Петров", "Новый"]
    assert crm.conflicts() == []


def test_undoing_a_deletion_takes_the_mark_back(crm, admin):
    crm.sync("contacts", {"id": 1})
    gone = {
        "id": "e1",
        "entity_type": "contacts",
        "entity_id": 1,
        "deleted_at": "2026-06-01T00:00:00+00:00",
        "account_id": 77,
    }
    crm.sync("deleted_records", gone)
    assert crm.row("contacts")["amo_deleted_at"]
    admin("undo", last_run(crm))
    assert crm.row("contacts")["amo_deleted_at"] is None


def test_undoing_what_is_not_there_or_was_undone_is_one_message(crm, admin):
    crm.sync("contacts", {"id": 1})
    run = last_run(crm)
    assert "Run 999 does not exist" in admin("undo", 999, fails=True)
    admin("undo", run)
    assert f"Run {run} was undone by run" in admin("undo", run, fails=True)


def test_rejects_are_listed_with_their_reason(crm, admin):
    crm.sync("leads", {"id": "семь", "price": 7})
    (found,) = admin("rejects", "--json")
    assert found["code"] == "E_KEY_NOT_A_NUMBER"
    assert found["args"] == {"property": "id", "value": "семь"}
    assert 'id must be a whole number, got "семь".' in admin("rejects")


def test_a_reject_that_is_still_bad_stays_open(crm, admin):
    crm.sync("leads", {"id": "семь"})
    first = admin("rejects", "--json")[0]["id"]
    assert "tried again 1, still not loaded 1" in admin("rejects", "--retry")
    (again,) = admin("rejects", "--json")
    assert again["id"] == first


def test_a_reject_is_loaded_once_its_reason_is_gone(crm, admin):
    crm.sync("leads", {"id": 1})
    crm.execute("ALTER TABLE leads ADD CONSTRAINT cheap CHECK (price < 1000)")
    crm.sync("leads", {"id": 2, "price": 5000}, {"id": 3, "price": 5})
    assert len(admin("rejects", "--json")) == 1
    crm.execute("ALTER TABLE leads DROP CONSTRAINT cheap")
    assert "tried again 1, still not loaded 0" in admin("rejects", "--retry")
    assert crm.row("leads", 2)["price"] == 5000
    assert admin("rejects", "--json") == []


def test_a_reject_that_somebody_else_is_trying_again_is_left_to_them(crm, admin):
    crm.sync("leads", {"id": "семь"}, {"id": "восемь"}, {"id": 9})
    first, _ = (r["id"] for r in crm.rows("sync_rejects", "id"))
    with psycopg.connect(crm.url) as other:
        lock = "SELECT pg_advisory_lock(hashtextextended(%s, %s))"
        other.execute(lock, [f"target-crm reject:{crm.schema}", first])
        assert "tried again 1, still not loaded 1" in admin("rejects", "--retry")
    assert "tried again 2, still not loaded 2" in admin("rejects", "--retry")
    assert len(admin("rejects", "--json")) == 2


def test_a_reject_is_dropped_with_a_reason(crm, admin):
    crm.sync("leads", {"id": "семь"})
    admin("rejects", admin("rejects", "--json")[0]["id"], "--drop", "не нужна")
    assert admin("rejects", "--json") == []
    assert admin("rejects", "--resolved", "--json")[0]["resolution"] == "dropped: не нужна"


def test_psql_runs_sql_in_the_crms_schema(crm, admin):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    assert "Иванов" in admin("psql", "-c", "SELECT last_name FROM contacts")


def test_an_unreachable_database_is_one_message(admin, crm):
    done = subprocess.run(
        [COMMAND, "--database-url", "postgresql://u:s3cret@127.0.0.1:1/x", "status"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "can't be reached" in done.stderr
    assert "s3cret" not in done.stderr


def test_an_edit_under_way_while_a_conflict_is_resolved_is_not_lost(crm, admin):
    number = conflict(crm)
    with psycopg.connect(crm.url) as person:
        person.execute(f"UPDATE {crm.schema}.contacts SET last_name = 'Одновременно'".encode())
        line = [
            COMMAND,
            "--database-url",
            crm.url,
            "--crm-schema",
            crm.schema,
            "conflicts",
            str(number),
            "--take",
            "amo",
        ]
        settling = subprocess.Popen([*line, "--json"], stdout=subprocess.PIPE, text=True)
        time.sleep(2.5)
        person.commit()
    done = json.loads(settling.communicate(timeout=30)[0])
    assert (done["settled"], done["changed_since"]) == (0, 1)
    assert crm.row("contacts")["last_name"] == "Одновременно"


def test_an_undo_waits_for_a_load_of_the_account_and_says_so_when_it_takes_too_long(crm, admin, monkeypatch):
    crm.sync("contacts", {"id": 1})
    monkeypatch.setenv("TARGET_CRM_LOCK_TIMEOUT_SECONDS", "0.5")
    with psycopg.connect(crm.url, autocommit=True) as load:
        load.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"target-crm:{crm.schema}:77",))
        assert "Another load of account 77" in admin("undo", last_run(crm), fails=True)
