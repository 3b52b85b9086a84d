"""Rows with values that PostgreSQL has and Python has not are explained and listed; odd documents are merged."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from target_crm.admin import main


@pytest.fixture
def admin(crm):
    def run(*arguments):
        line = ["--database-url", crm.url, "--crm-schema", crm.schema, *map(str, arguments)]
        done = CliRunner().invoke(main, line, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


@pytest.mark.parametrize("value", ["infinity", "-infinity", "20219-05-01", "0044-03-15 BC"])
def test_a_time_that_python_has_not(crm, admin, value):
    crm.sync("tasks", {"id": 1, "text": "call", "complete_till": "2026-05-01T00:00:00Z"})
    crm.execute("UPDATE tasks SET due_at = %s::timestamptz, amo_deleted_at = %s::timestamptz", value, value)
    cells = {c["column"]: c for c in json.loads(admin("explain", "tasks", "amo:1", "--json"))["cells"]}
    assert cells["due_at"]["value"].startswith(value[:5])
    assert value[:5] in admin("explain", "tasks", "amo:1")
    assert value[:5] in admin("psql", "-c", "SELECT due_at FROM tasks")


def test_a_number_of_five_thousand_digits(crm, admin):
    crm.sync("contacts", {"id": 1, "last_name": "Odd"})
    crm.execute("UPDATE contacts SET raw_fields = jsonb_set(raw_fields, '{amo,x}', repeat('1', 5000)::jsonb)")
    assert "Odd" in admin("explain", "contacts", "amo:1")


@pytest.mark.parametrize("part", ["amo", "amo_values", "amo_stored"])
def test_a_part_of_the_document_that_became_a_list_is_replaced_by_the_next_version(crm, part):
    crm.sync("contacts", {"id": 1, "last_name": "Before", "updated_at": "2026-01-01T00:00:00Z"})
    crm.execute("UPDATE contacts SET raw_fields = jsonb_set(raw_fields, ARRAY[%s]::text[], '[1]')", part)
    crm.sync("contacts", {"id": 1, "last_name": "After", "updated_at": "2026-01-02T00:00:00Z"})
    assert crm.execute("SELECT * FROM sync_rejects") == []
    document = crm.row("contacts")["raw_fields"]
    assert (document["amo"]["last_name"], document["amo_values"]["last_name"]) == ("After", "After")
