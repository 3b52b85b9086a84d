"""A role with the rights that docs/least-privilege.md names, and no others; TLS; names that are hostile."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from target_crm.errors import DatabaseError

DOC = Path(__file__).resolve().parents[2] / "docs" / "least-privilege.md"


@pytest.fixture
def loader(crm):
    """A URL of the documented role, on the schema that the owner has made."""
    crm.load([])
    role = f"loader_{crm.schema}"
    statements = re.search(r"```sql\n(.*?)```", DOC.read_text("utf-8"), re.DOTALL)[1]
    database = crm.execute("SELECT current_database() AS name")[0]["name"]
    statements = statements.replace("DATABASE crm", f"DATABASE {database}").replace(
        "SCHEMA crm", f"SCHEMA {crm.schema}"
    )
    statements = statements.replace("crm.", f"{crm.schema}.").replace("crm_loader", role).replace("'...'", "'geheim'")
    crm.connection.execute(statements.encode())
    yield {**crm.config, "database_url": f"{crm.url}&user={role}&password=geheim"}
    crm.connection.execute(sql.SQL("DROP OWNED BY {}; DROP ROLE {}").format(*[sql.Identifier(role)] * 2))


def phone(value):
    fields = [{"field_id": 1, "field_code": "PHONE", "field_name": "Телефон", "values": [{"value": value}]}]
    return {"custom_fields_values": fields}


def test_the_documented_rights_are_enough_for_everything_a_load_does(crm, loader):
    gone = {"id": "e1", "entity_type": "contacts", "entity_id": 2, "deleted_at": "2027-01-01T00:00:00+00:00"}
    crm.sync("contacts", {"id": 1, **phone("+79161234567")}, {"id": 2, "company_id": 5}, **loader)
    crm.sync("contacts", {"id": 1, "last_name": "Новая", **phone("+79031112233")}, **loader)
    crm.sync("companies", {"id": 5, "name": "ООО"}, **loader)
    crm.sync("deleted_records", gone, **{**loader, "allow_mass_delete": True})
    crm.sync("leads", {"id": 9, "price": "сто"}, **loader)
    assert crm.row("contacts")["last_name"] == "Новая"
    assert [r["value"] for r in crm.rows("contact_phones", "value")] == ["+79031112233"]
    assert crm.row("contacts", 2)["amo_deleted_at"]
    assert {r["status"] for r in crm.execute("SELECT status FROM sync_runs")} == {"succeeded"}


def test_the_role_can_do_no_more_than_that(crm, loader):
    with psycopg.connect(loader["database_url"]) as connection:
        for statement in (f"DELETE FROM {crm.schema}.contacts", f"CREATE TABLE {crm.schema}.mine (id int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(statement.encode())


def test_a_right_that_is_missing_is_named_with_the_page_that_lists_them(crm, loader):
    role = f"loader_{crm.schema}"
    crm.connection.execute(sql.SQL("REVOKE UPDATE ON {} FROM {}").format(*map(sql.Identifier, ("contacts", role))))
    crm.sync("contacts", {"id": 1}, **loader)
    with pytest.raises(DatabaseError, match=r"contacts.*docs/least-privilege.md"):
        crm.sync("contacts", {"id": 1, "last_name": "Новая"}, **loader)


def test_tls_that_the_server_does_not_offer_is_one_message(crm):
    parts = urlsplit(crm.url)
    refused = urlunsplit((*parts[:3], parts.query + "&sslmode=require", ""))
    if str(conninfo_to_dict(crm.url)["host"]).startswith("/"):
        # Over a Unix socket libpq asks for no TLS; the setting must then do no harm.
        crm.load([], database_url=refused)
        assert crm.execute("SELECT count(*) AS n FROM sync_runs")[0]["n"] == 1
        return
    with pytest.raises(DatabaseError, match="can't be reached"):
        crm.load([], database_url=refused)


HOSTILE = ['"; DROP TABLE contacts; --', "'); DELETE FROM contacts; --", "%s %(x)s {} {0}", "contacts\"'`\\"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_values_are_only_text(crm, name):
    crm.sync("contacts", {"id": 1, "last_name": name, name: name})
    record = {"type": "RECORD", "stream": name, "record": {"id": 1, "account_id": 77}}
    crm.load([crm.schema_message(name), json.dumps(record)])
    assert crm.row("contacts")["last_name"] == name
    assert crm.row("contacts")["raw_fields"]["amo"][name] == name
