"""What a node of Citus refuses, reported as by PostgreSQL itself; test_crm_citus.py sees it on a cluster."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.pq import DiagnosticField

from target_crm.database.violations import as_violation

# The SQLSTATE and the sentence that arrive; the SQLSTATE, constraint and column that are reported.
SAID = {
    "a unique index": (
        "XX000", 'duplicate key value violates unique constraint "deal_code_102481"', ("23505", "deal_code", None),
    ),
    "its name goes on in another's": (
        "XX000", 'duplicate key value violates unique constraint "deal_code_2_102481"', ("23505", "deal_code_2", None),
    ),
    "in Russian": (
        "XX000", "повторяющееся значение ключа нарушает ограничение уникальности «deal_code_102481»",
        ("23505", "deal_code", None),
    ),
    "its kind is known": (
        "23505", 'duplicate key value violates unique constraint "deal_pkey_102481"', ("23505", "deal_pkey", None),
    ),
    "a check": (
        "XX000", 'new row for relation "deal_102481" violates check constraint "cheap"', ("23514", "cheap", None),
    ),
    "a column that is not null": (
        "XX000", 'null value in column "title" of relation "deal_102481" violates not-null constraint',
        ("23502", None, "title"),
    ),
    "a foreign key": (
        "XX000", 'insert or update on table "deal_102481" violates foreign key constraint "deal_firm_fk_102481"',
        ("23503", "deal_firm_fk", None),
    ),
}  # fmt: skip


@pytest.fixture
def deals(crm):
    crm.connection.execute(f"CREATE SCHEMA {crm.schema}".encode())
    crm.execute("CREATE TABLE firm (id integer PRIMARY KEY)")
    crm.execute(
        "CREATE TABLE deal (id integer PRIMARY KEY, title text NOT NULL, price integer CONSTRAINT cheap "
        "CHECK (price < 9), firm_id integer CONSTRAINT deal_firm_fk REFERENCES firm, code text, code_2 text)"
    )
    for column in ("code", "code_2"):
        crm.execute(f"CREATE UNIQUE INDEX deal_{column} ON deal ({column})")
    return crm


def raised(state, said):
    """The error as psycopg raises it."""
    info = {
        DiagnosticField.SQLSTATE: state.encode(),
        DiagnosticField.MESSAGE_PRIMARY: said.encode(),
        DiagnosticField.MESSAGE_DETAIL: b"Key (code)=(5) already exists.",
    }
    return psycopg.errors.lookup(state)(said, info=info)


@pytest.mark.parametrize("case", SAID)
def test_a_nodes_refusal_has_the_kind_and_the_names_that_the_schema_knows(deals, case):
    state, said, expected = SAID[case]
    told = as_violation(deals.connection, raised(state, said), [deals.schema])
    assert (told.sqlstate, told.diag.constraint_name, told.diag.column_name) == expected
    assert isinstance(told, psycopg.errors.lookup(expected[0]))
    assert (told.diag.schema_name, told.diag.table_name) == (deals.schema, "deal")
    assert told.diag.message_primary == said.replace("_102481", "")
    assert told.diag.message_detail == "Key (code)=(5) already exists."


def test_an_error_that_names_no_constraint_of_the_schema_stays_as_it_is(deals):
    error = raised("XX000", 'could not open relation "deal_code"')
    assert as_violation(deals.connection, error, [deals.schema]) is error
