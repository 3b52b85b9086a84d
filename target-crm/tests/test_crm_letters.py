"""A database whose encoding lacks a letter: the cell that holds it stays as it was, the rest is merged."""

from __future__ import annotations

import os

import psycopg
import pytest
from psycopg import sql

from target_crm.normalise.letters import Letters


@pytest.fixture
def cyrillic(crm):
    """The test's CRM in a database of encoding WIN1251."""
    name = sql.Identifier(f"letters_{os.getpid()}")
    crm.connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'WIN1251' LOCALE 'C'").format(name))
    url = crm.url.replace("/postgres?", f"/letters_{os.getpid()}?")
    with psycopg.connect(url, autocommit=True, client_encoding="UTF8") as connection:
        connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(crm.schema)))
        crm.url, crm.config["database_url"], own, crm.connection = url, url, crm.connection, connection
        yield crm
    crm.connection = own
    crm.connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def test_a_letter_that_the_encoding_lacks_costs_its_cell_alone(cyrillic, custom_field):
    crm = cyrillic
    crm.sync("contacts", {"id": 1, "first_name": "Анна", "last_name": "Ли"})
    phone = custom_field("PHONE", "+79161234567", "звонить 李 после шести")
    records = (
        {"id": 1, "first_name": "Анна Мария", "last_name": "李", "custom_fields_values": [phone]},
        {"id": 2, "first_name": "Пётр"},
    )
    counts = crm.sync("contacts", *records)
    row = crm.row("contacts")
    assert (row["first_name"], row["last_name"]) == ("Анна Мария", "Ли")
    assert row["raw_fields"]["amo_values"]["last_name"] == "Ли"
    assert row["raw_fields"]["amo"]["last_name"] == "?"
    assert (counts["updated"], counts["inserted"], counts["warnings"], counts["rejected"]) == (1, 1, 2, 0)
    warnings = crm.execute("SELECT table_name, column_name, code FROM sync_warnings ORDER BY table_name")
    assert [(w["table_name"], w["column_name"]) for w in warnings] == [
        ("contact_phones", "value"),
        ("contacts", "last_name"),
    ]
    assert {w["code"] for w in warnings} == {"W_DATABASE_ENCODING"}


def test_what_an_encoding_can_hold():
    assert not Letters("UTF8").are_limited
    assert not Letters("SQL_ASCII").are_limited
    for encoding in ("WIN1251", "KOI8R", "ISO_8859_5", "WIN866"):
        assert Letters(encoding).fit(["Иванов", None])
        assert not Letters(encoding).fit("李")
        assert Letters(encoding).clean("Ли 李") == "Ли ?"
