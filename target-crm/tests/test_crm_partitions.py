"""Tables in hash partitions by account, on one server: loads, conflicts, deletions and undo work as on plain tables."""

from __future__ import annotations

import pytest

from target_crm.config.settings import Settings
from target_crm.operations.conflicts import Filter, resolve
from target_crm.operations.session import open_session
from target_crm.operations.undo import undo

OTHER = 78
TABLE = """CREATE TABLE {} (
    id uuid NOT NULL DEFAULT gen_random_uuid(), amo_account_id bigint NOT NULL, amo_id bigint, name text,
    raw_fields jsonb NOT NULL DEFAULT '{{}}', amo_updated_at timestamptz, amo_deleted_at timestamptz{},
    PRIMARY KEY (amo_account_id, id), UNIQUE (amo_account_id, amo_id)
) PARTITION BY HASH (amo_account_id);"""
PART = "CREATE TABLE {0}_{1} PARTITION OF {0} FOR VALUES WITH (MODULUS 4, REMAINDER {1});"
NONE = dict.fromkeys(("created_at", "updated_at", "amo_created_at"))


@pytest.fixture
def partitioned(own_tables):
    """Firms and people in four partitions each."""
    made = [TABLE.format("firm", ""), TABLE.format("person", ", firm_id uuid")]
    made += [PART.format(table, number) for table in ("firm", "person") for number in range(4)]
    streams = {
        "companies": {"table": "firm", "service": NONE, "columns": {"name": "name"}},
        "contacts": {"table": "person", "service": NONE, "columns": {
            "name": "name", "firm_id": {"from": "company_id", "link": "companies"}}},
    }  # fmt: skip
    return own_tables("".join(made), streams)


def named(crm, table):
    return crm.execute(f"SELECT amo_account_id AS account, amo_id, name FROM {table} ORDER BY 1, 2")


def test_a_life_in_partitions(partitioned):
    crm = partitioned
    crm.sync("contacts", *({"id": 5, "name": "до", "company_id": 1, "account_id": a} for a in (77, OTHER)))
    crm.sync("companies", *({"id": 1, "name": f"фирма {a}", "account_id": a} for a in (77, OTHER)))
    linked = crm.execute(
        "SELECT p.amo_account_id, f.name FROM person AS p JOIN firm AS f ON f.id = p.firm_id "
        "AND f.amo_account_id = p.amo_account_id ORDER BY 1"
    )
    assert [row["name"] for row in linked] == ["фирма 77", "фирма 78"]
    crm.execute("UPDATE person SET name = 'вручную' WHERE amo_account_id = 77")
    crm.sync("contacts", *({"id": 5, "name": "после", "company_id": 1, "account_id": a} for a in (77, OTHER)))
    assert [row["name"] for row in named(crm, "person")] == ["вручную", "после"]
    with open_session(Settings.from_config(crm.config)) as session:
        run, done = resolve(session, Filter(), "amo")
        assert done.settled == 1
        assert [row["name"] for row in named(crm, "person")] == ["после", "после"]
        undo(session, run)
        undo(session, run - 1)
    assert [row["name"] for row in named(crm, "person")] == ["вручную", "до"]
    gone = {"id": "e1", "entity_type": "contacts", "entity_id": 5, "deleted_at": "2027-01-01T00:00:00+00:00"}
    crm.sync("deleted_records", gone, allow_mass_delete=True)
    marks = crm.execute("SELECT amo_deleted_at IS NOT NULL AS gone FROM person ORDER BY amo_account_id")
    assert [row["gone"] for row in marks] == [True, False]
