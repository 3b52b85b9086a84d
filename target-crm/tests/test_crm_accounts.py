"""What a load keeps of the account itself: its address, its time zone, the names of its custom fields."""

from __future__ import annotations

import json

import pytest


def schema_of(crm, **account):
    message = json.loads(crm.schema_message("contacts"))
    message["schema"]["x-amocrm-account"] = {"id": 77, "timezone": "Europe/Moscow", **account}
    return json.dumps(message)


def test_the_accounts_address_and_zone_are_kept(crm):
    crm.load([schema_of(crm, subdomain="romashka", url="https://romashka.amocrm.ru")])
    (found,) = crm.execute("SELECT account_id, subdomain, url, timezone FROM sync_accounts")
    assert tuple(found.values()) == (77, "romashka", "https://romashka.amocrm.ru", "Europe/Moscow")


def test_an_account_that_says_the_same_again_costs_no_write(crm):
    crm.load([schema_of(crm, url="https://romashka.amocrm.ru")])
    before = crm.execute("SELECT xmin::text AS version FROM sync_accounts")
    crm.load([schema_of(crm)])
    assert crm.execute("SELECT xmin::text AS version FROM sync_accounts") == before


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://u:p@host", "//host", 5, "https://[", "https://"])
def test_what_is_not_an_address_of_a_site_is_not_kept(crm, url):
    crm.load([schema_of(crm, url=url)])
    assert crm.execute("SELECT url FROM sync_accounts") == [{"url": None}]


def test_the_names_of_custom_fields_are_kept_by_number_and_code(crm):
    field = {"id": 5, "entity_type": "contacts", "name": "Город доставки", "code": "CITY"}
    crm.load([crm.schema_message("custom_fields"), *crm.messages("custom_fields", field, {"id": 6, "name": None})])
    found = crm.execute("SELECT source, ref, name FROM sync_lookups ORDER BY source")
    assert [tuple(row.values()) for row in found] == [
        ("field", "contacts:5", "Город доставки"),
        ("field_code", "contacts:CITY", "Город доставки"),
    ]
