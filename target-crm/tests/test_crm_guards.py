"""Loads that must stop, wait or stay apart: guards over batches and tables, two loads at once, TLS, hostile names."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tls_proxy import TlsProxy

from target_crm.errors import BusyError, DatabaseError, GuardError

COMMAND = str(Path(sys.executable).parent / "target-crm")


def gone(entity, entity_id):
    when = "2027-01-01T00:00:00+00:00"
    return {"id": f"{entity}{entity_id}", "entity_type": entity, "entity_id": entity_id, "deleted_at": when}


def marked(crm):
    return {t: sum(r["amo_deleted_at"] is not None for r in crm.rows(t)) for t in ("contacts", "leads")}


def test_deletions_over_several_batches_are_counted_together_and_none_is_marked(crm):
    crm.sync("contacts", *({"id": n} for n in range(1, 41)))
    deletions = [gone("contacts", n) for n in range(1, 7)]
    with pytest.raises(GuardError, match=r"mark 6 of 40 rows of contacts .*max_deletes_percent = 10"):
        crm.sync("deleted_records", *deletions, batch_size_rows=2)
    assert marked(crm)["contacts"] == 0
    crm.sync("deleted_records", *deletions, batch_size_rows=2, max_deletes_percent=15)
    assert marked(crm)["contacts"] == 6


def test_a_guard_on_one_table_leaves_no_mark_in_another(crm):
    crm.sync("contacts", *({"id": n} for n in range(1, 41)))
    crm.sync("leads", *({"id": n} for n in range(1, 41)))
    with pytest.raises(GuardError, match="leads"):
        crm.sync("deleted_records", gone("contacts", 1), *(gone("leads", n) for n in range(1, 11)))
    assert marked(crm) == {"contacts": 0, "leads": 0}


def test_records_listed_as_deleted_are_held_by_the_same_guard_and_no_state_leaves(crm):
    crm.sync("contacts", *({"id": n, "last_name": "а"} for n in range(1, 21)))
    records = [{"id": n, "is_deleted": True} for n in range(1, 11)]
    state = json.dumps({"type": "STATE", "value": {"n": 1}})
    config = Path(crm.folder) / "config.json"
    config.write_text(json.dumps(crm.config))
    lines = [crm.schema_message("contacts"), *crm.messages("contacts", *records), state]
    done = subprocess.run([COMMAND, "--config", config], input="\n".join(lines), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "allow_mass_delete" in done.stderr
    assert "Traceback" not in done.stderr
    assert marked(crm)["contacts"] == 0
    assert crm.execute("SELECT status FROM sync_runs ORDER BY id DESC LIMIT 1")[0]["status"] == "failed"


def test_a_mapping_error_is_stopped_at_its_first_batch_before_any_row_of_the_table_changes(crm):
    crm.sync("contacts", *({"id": n, "last_name": f"а{n}"} for n in range(1, 101)))
    before = crm.rows("contacts")
    broken = [{"id": n, "last_name": "сломано"} for n in range(1, 101)]
    with pytest.raises(GuardError, match=r"contacts.last_name in 25 of 25"):
        crm.sync("contacts", *broken, max_changes_percent=50, batch_size_rows=25)
    assert crm.rows("contacts") == before


def hold(crm, account):
    """Another load of the account, as far as its lock tells."""
    connection = psycopg.connect(crm.url, autocommit=True)
    name = f"target-crm:{crm.schema}:{account}"
    connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))
    return connection


def slow_load(crm, account, **settings):
    """The real command on an open pipe: it has taken its first batch and waits for more."""
    config = Path(crm.folder) / f"config-{account}-{time.monotonic_ns()}.json"
    config.write_text(json.dumps({**crm.config, "batch_size_rows": 1, **settings}))
    return subprocess.Popen(
        [COMMAND, "--config", config], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def say(process, *lines):
    process.stdin.write("".join(line + "\n" for line in lines))
    process.stdin.flush()


def wait_for(crm, query, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if crm.execute(query):
            return
        time.sleep(0.1)
    raise AssertionError(query)


def of_account(crm, account, *records):
    return crm.messages("contacts", *({**r, "account_id": account} for r in records))


def test_a_second_load_of_the_account_ends_with_a_clear_message_when_it_does_not_wait(crm):
    crm.load([])
    with hold(crm, 77), pytest.raises(BusyError, match=r"account 77 .*lock_timeout_seconds"):
        crm.sync("contacts", {"id": 1}, lock_timeout_seconds=0)
    assert crm.rows("contacts") == []


def test_two_loads_of_one_account_follow_one_another_and_of_two_accounts_run_side_by_side(crm):
    crm.load([])
    first = slow_load(crm, 77)
    say(first, crm.schema_message("contacts"), *of_account(crm, 77, {"id": 1}, {"id": 2}))
    wait_for(crm, "SELECT 1 FROM contacts WHERE amo_account_id = 77")
    second, other = slow_load(crm, 77), slow_load(crm, 88)
    for process, account in ((second, 77), (other, 88)):
        say(process, crm.schema_message("contacts"), *of_account(crm, account, {"id": 3}, {"id": 4}))
    other.stdin.close()
    assert other.wait(30) == 0  # while the first is still at it
    second.stdin.close()
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1)
    say(first, *of_account(crm, 77, {"id": 5}))
    first.stdin.close()
    assert first.wait(30) == 0
    assert second.wait(30) == 0
    assert "Another load of account 77 is running; waiting" in second.stderr.read()
    found = crm.execute("SELECT amo_account_id AS a, count(*) AS n FROM contacts GROUP BY 1 ORDER BY 1")
    assert [(r["a"], r["n"]) for r in found] == [(77, 5), (88, 2)]


@pytest.fixture(scope="module")
def tls(database_url, tmp_path_factory):
    with TlsProxy(database_url, tmp_path_factory.mktemp("tls")) as proxy:
        yield proxy


def test_a_load_over_verified_tls(crm, tls):
    crm.sync("contacts", {"id": 1}, database_url=f"{tls.url}?sslmode=verify-full&sslrootcert={tls.authority}")
    assert crm.row("contacts")["amo_id"] == 1
    assert tls.encrypted > 0


@pytest.mark.parametrize(
    "settings", ["sslmode=verify-full&sslrootcert={stranger}", "sslmode=verify-ca&sslrootcert=/nowhere"]
)
def test_a_certificate_that_cannot_be_verified_ends_the_load_with_one_message(crm, tls, settings):
    url = f"{tls.url}?{settings.format(stranger=tls.stranger)}"
    with pytest.raises(DatabaseError, match=r"can't be reached.*certificate"):
        crm.load([], database_url=url)


HOSTILE = [
    '"; DROP TABLE contacts; --',
    "'); DELETE FROM contacts; --",
    "%s %(x)s {} {0}",
    "a\"'`\\\\;\u0001",
    "$$; --",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_of_streams_properties_fields_and_values_are_only_text(crm, name):
    field = {"field_id": name, "field_code": name, "field_name": name, "values": [{"value": name, "enum_code": name}]}
    phone = {"field_id": 1, "field_code": "PHONE", "field_name": name, "values": [{"value": name, "enum_code": name}]}
    record = {"id": 1, name: {name: [name]}, "last_name": name, "custom_fields_values": [field, phone]}
    record["_embedded"] = {"tags": [{"name": name}]}
    crm.sync("contacts", record)
    foreign = {"type": "RECORD", "stream": name, "record": {"id": 1, "account_id": 77, name: name}}
    schema = json.loads(crm.schema_message(name))
    schema["schema"]["properties"][name] = {"type": "string"}
    schema["schema"]["x-amocrm-account"]["timezone"] = name
    crm.load([json.dumps(schema), json.dumps(foreign)])
    deleted = {"id": name, "entity_type": name, "entity_id": 1, "deleted_at": "2027-01-01T00:00:00Z"}
    crm.sync("deleted_records", deleted)
    crm.sync("pipelines", {"id": 1, "name": name, "_embedded": {"statuses": [{"id": 2, "name": name}]}})
    crm.sync("leads", {"id": 1, "pipeline_id": 1, "status_id": 2, "name": name})
    row = crm.row("contacts")
    assert (row["last_name"], row["tags"]) == (name, [name])
    assert row["raw_fields"]["amo"][name] == {name: [name]}
    assert [r["comment"] for r in crm.rows("contact_phones", "id")] == [name.strip()]
    lead = crm.row("leads")
    assert (lead["name"], lead["pipeline"], lead["status"]) == (name, name, name)


@pytest.mark.parametrize("schema", ['crm "x"; DROP SCHEMA public; --', "CRM База", "select"])
def test_a_schema_of_any_name_is_quoted(crm, schema):
    crm.load([crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1})], crm_schema=schema)
    count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, "contacts"))
    assert crm.connection.execute(count).fetchone() == (1,)
    crm.connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))


def test_records_that_deadlock_together_are_merged_in_parts(crm):
    crm.sync("contacts", *({"id": n, "last_name": "Иванов"} for n in range(1, 11)))
    # As if other sessions locked that many of the rows in another order again and again.
    crm.execute(
        "CREATE FUNCTION deadlock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF (SELECT count(*) FROM written) > 5 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; "
        "END IF; RETURN NULL; END $$"
    )
    crm.execute(
        "CREATE TRIGGER deadlock AFTER UPDATE ON contacts REFERENCING NEW TABLE AS written "
        "FOR EACH STATEMENT EXECUTE FUNCTION deadlock()"
    )
    counts = crm.sync("contacts", *({"id": n, "last_name": "Петров"} for n in range(1, 11)))
    assert (counts["updated"], counts["read"]) == (10, 10)
    assert {row["last_name"] for row in crm.rows("contacts")} == {"Петров"}
