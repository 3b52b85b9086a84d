"""Foreign keys of an application's own tables: rows that they point at are never removed, whatever the key's shape."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest
from psycopg import sql
from survived import survived

from target_crm.config.settings import Settings
from target_crm.operations.session import open_session
from target_crm.operations.undo import take_back

MINE = "CREATE TABLE own (x text, {columns}); INSERT INTO own SELECT 'моё', {values}"
SHAPES = {
    "to the key, cascade": ("c uuid REFERENCES contacts ON DELETE CASCADE", "id FROM contacts"),
    "to the key, set null": ("c uuid REFERENCES contacts ON DELETE SET NULL", "id FROM contacts"),
    "to the key, no action": ("c uuid REFERENCES contacts", "id FROM contacts"),
    "to the key, deferred": ("c uuid REFERENCES contacts DEFERRABLE INITIALLY DEFERRED", "id FROM contacts"),
    "of two columns, cascade": (
        "a bigint, i bigint, FOREIGN KEY (a, i) REFERENCES contacts (amo_account_id, amo_id) ON DELETE CASCADE",
        "amo_account_id, amo_id FROM contacts",
    ),
    "of two columns, set null": (
        "a bigint, i bigint, FOREIGN KEY (i, a) REFERENCES contacts (amo_id, amo_account_id) ON DELETE SET NULL",
        "amo_account_id, amo_id FROM contacts",
    ),
    "of two columns, set default": (
        "a bigint, i bigint, FOREIGN KEY (a, i) REFERENCES contacts (amo_account_id, amo_id) ON DELETE SET DEFAULT",
        "amo_account_id, amo_id FROM contacts",
    ),
    "of another type, cascade": ("i numeric REFERENCES numbered (amo_id) ON DELETE CASCADE", "amo_id FROM contacts"),
    "from a partition, cascade": ("c uuid REFERENCES contacts ON DELETE CASCADE", "id FROM contacts"),
    "to a phone, cascade": ("p uuid REFERENCES contact_phones ON DELETE CASCADE", "id FROM contact_phones"),
    "to a phone, set null": ("p uuid REFERENCES contact_phones ON DELETE SET NULL", "id FROM contact_phones"),
    "to an e-mail, no action": ("p uuid REFERENCES contact_emails", "id FROM contact_emails"),
}


def make(crm, shape):
    """The application's table of that shape, with one row."""
    columns, values = SHAPES[shape]
    text = MINE.replace("{columns}", columns).replace("{values}", values)
    if shape == "of another type, cascade":
        crm.execute("ALTER TABLE contacts ADD UNIQUE (amo_id)")
        text = text.replace("numbered", "contacts").replace("numeric", "integer")
    if shape == "from a partition, cascade":
        text = text.replace("; INSERT", " PARTITION BY LIST (x); CREATE TABLE part PARTITION OF own DEFAULT; INSERT")
    crm.execute(text)


@pytest.fixture
def contact(crm, custom_field):
    def sync(name, *phones):
        fields = [custom_field("PHONE", *phones), custom_field("EMAIL", "a@firma.ru")]
        crm.sync("contacts", {"id": 1, "last_name": name, "custom_fields_values": fields})

    return sync


def undo(crm, run=None, **settings):
    run = run or crm.execute("SELECT max(id) AS id FROM sync_runs")[0]["id"]
    with open_session(Settings.from_config({**crm.config, **settings})) as session:
        return take_back(session, run)[1]


def everything(crm):
    return [crm.rows(t, "1") for t in ("own", "contacts", "contact_phones", "contact_emails")]


@pytest.mark.parametrize("shape", SHAPES)
def test_undoing_keeps_an_inserted_row_that_a_foreign_key_points_at(crm, contact, shape):
    contact("Иванов", "+79161234567")
    crm.sync("companies", {"id": 1, "name": "ООО"})
    make(crm, shape)
    before = everything(crm)
    run = crm.execute("SELECT min(id) AS id FROM sync_runs")[0]["id"]
    done = undo(crm, run)
    lost = sum(row not in rows for rows, found in zip(everything(crm), before, strict=True) for row in found)
    survived("undo beside foreign keys", {shape: 1}, edits=lost)
    assert everything(crm) == before
    assert (done.counts["contacts"].removed_rows, done.counts["contacts"].left_referenced) == (0, 1)
    (kept,) = done.kept_for
    assert (kept.table, kept.rows, kept.pointing.rpartition(".")[2], kept.readable) == ("contacts", 1, "own", True)


def test_a_foreign_key_that_this_role_can_not_read_keeps_the_rows(crm, contact):
    contact("Иванов", "+79161234567")
    make(crm, "to the key, cascade")
    role = sql.Identifier(f"undoer_{crm.schema}")
    crm.connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'geheim'").format(role))
    try:
        crm.connection.execute(
            sql.SQL("GRANT ALL ON SCHEMA {0} TO {1}; GRANT ALL ON ALL TABLES IN SCHEMA {0} TO {1}").format(
                sql.Identifier(crm.schema), role
            )
        )
        crm.connection.execute(sql.SQL("REVOKE ALL ON own FROM {}").format(role))
        done = undo(crm, database_url=f"{crm.url}&user=undoer_{crm.schema}&password=geheim")
    finally:
        crm.connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))
    assert [r["x"] for r in crm.rows("own", "1")] == ["моё"]
    assert [kept.readable for kept in done.kept_for] == [False]
    assert len(crm.rows("contacts")) == 1


@pytest.mark.parametrize("table", ["contacts", "contact_phones"])
def test_a_row_that_a_trigger_does_not_let_go_stays_with_its_phones(crm, custom_field, table):
    phones = [custom_field("PHONE", "+79161234567", "+79031112233")]
    crm.sync("contacts", *({"id": n, "last_name": "Иванов", "custom_fields_values": phones} for n in (1, 2)))
    key = crm.row("contacts")["id"]
    column = "id" if table == "contacts" else "contact_id"
    crm.execute(
        "CREATE FUNCTION keep_it() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RETURN CASE WHEN old.{column} = '{key}' THEN NULL ELSE old END; END $$;"
        f"CREATE TRIGGER keep_it BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION keep_it()"
    )
    done = undo(crm)
    assert [r["amo_id"] for r in crm.rows("contacts")] == [1]
    assert [r["value"] for r in crm.rows("contact_phones", "value")] == ["+79031112233", "+79161234567"]
    assert (done.counts["contacts"].removed_rows, done.counts["contacts"].left_by_trigger) == (1, 1)
    undo(crm)
    assert [r["amo_id"] for r in crm.rows("contacts")] == [1, 2]
    assert len(crm.rows("contact_phones", "value")) == 4


def test_rows_of_one_run_that_point_at_one_another_go_together(crm):
    lines = [crm.schema_message("companies"), *crm.messages("companies", {"id": 1, "name": "А"})]
    lines += [crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1, "company_id": 1})]
    crm.load(lines)
    assert crm.row("contacts")["company_id"]
    undo(crm)
    assert crm.rows("companies") == crm.rows("contacts") == []


@pytest.mark.parametrize("action", ["ON DELETE CASCADE", "ON DELETE SET NULL", ""])
def test_a_load_keeps_a_phone_that_a_foreign_key_points_at(crm, contact, caplog, action):
    contact("Иванов", "+79161234567", "+79031112233")
    crm.execute(f"CREATE TABLE own (x text, p uuid REFERENCES contact_phones {action})")
    crm.execute("INSERT INTO own SELECT 'моё', id FROM contact_phones WHERE value = '+79031112233'")
    before = crm.rows("own", "1")
    contact("Петров", "+79161234500")
    assert crm.rows("own", "1") == before
    assert [r["value"] for r in crm.rows("contact_phones", "value")] == ["+79031112233", "+79161234500"]
    assert crm.row("contacts")["last_name"] == "Петров"
    assert crm.rows("sync_rejects", "id") == []
    assert "1 rows whose items were removed in amoCRM are kept" in caplog.text


def test_an_undone_load_keeps_a_phone_that_it_added_and_that_a_foreign_key_points_at(crm, contact):
    contact("Иванов", "+79161234567")
    contact("Петров", "+79161234567", "+79031112233")
    crm.execute("CREATE TABLE own (x text, p uuid REFERENCES contact_phones ON DELETE CASCADE)")
    crm.execute("INSERT INTO own SELECT 'моё', id FROM contact_phones")
    before = crm.rows("own", "1")
    done = undo(crm)
    assert crm.rows("own", "1") == before
    assert crm.row("contacts")["last_name"] == "Иванов"
    assert done.counts["contact_phones"].left_referenced == 1


def test_a_link_whose_row_is_gone_stays_empty_and_the_rest_goes_back(crm):
    crm.sync("companies", {"id": 1, "name": "А"}, {"id": 2, "name": "Б"})
    crm.sync("contacts", {"id": 1, "last_name": "Иванов", "company_id": 1})
    crm.sync("contacts", {"id": 1, "last_name": "Петров", "company_id": 2})
    crm.execute("DELETE FROM companies WHERE amo_id = 1")
    done = undo(crm)
    row = crm.row("contacts")
    assert (row["last_name"], row["company_id"]) == ("Иванов", None)
    assert done.counts["contacts"].left_edited == 0


def test_a_row_whose_record_came_again_meanwhile_does_not_return_twice(crm):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    undo(crm)
    crm.sync("contacts", {"id": 1, "last_name": "Петров"})
    done = undo(crm, 2)
    assert [r["last_name"] for r in crm.rows("contacts")] == ["Петров"]
    assert done.counts["contacts"].left_edited == 1


def test_what_people_commit_while_an_undo_waits_survives_with_its_links(crm, contact):
    crm.sync("companies", {"id": 1, "name": "ООО"})
    contact("Иванов", "+79161234567")
    first, second = (r["id"] for r in crm.rows("sync_runs", "id"))
    statements = (
        "UPDATE contact_phones SET comment = 'вручную'",
        "INSERT INTO notes (contact_id, text) SELECT id, 'вручную' FROM contacts",
        "INSERT INTO contact_phones (contact_id, value) SELECT id, '+79990000000' FROM contacts",
        "INSERT INTO contacts (company_id, first_name) SELECT id, 'вручную' FROM companies",
        "UPDATE contacts SET position = 'вручную'",
    )
    for number, statement in enumerate(statements):
        with psycopg.connect(crm.url) as person:
            person.execute(f"SET search_path = {crm.schema}".encode())
            person.execute(statement.encode())
            undoing = threading.Thread(target=undo, args=(crm, first if number == 3 else second))
            undoing.start()
            time.sleep(0.7)
            person.commit()
        undoing.join(60)
        assert crm.row("contacts")["last_name"] == "Иванов", statement
        assert crm.rows("companies")[0]["name"] == "ООО", statement
        for run in crm.execute("SELECT id FROM sync_runs WHERE kind = 'undo' AND undoes IN (%s, %s)", first, second):
            crm.execute("UPDATE sync_runs SET undoes = NULL WHERE id = %s", run["id"])
    assert [r["comment"] for r in crm.rows("contact_phones", "value")] == ["вручную", None]
    assert all(r["contact_id"] for r in crm.rows("notes", "1"))
