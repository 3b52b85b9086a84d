"""What docs/scaling.md says of the SQL: the statements of real loads, parsed by PostgreSQL's own parser.

What runs on Citus itself is in test_crm_citus.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from crm_life import CRM, SETS, contents, life
from pglast import parse_sql
from psycopg import sql
from row_versions import hide_row_versions

import target_crm

BY_ACCOUNT = {
    **dict.fromkeys(CRM, "amo_account_id"),
    **dict.fromkeys(("sync_keys", "sync_pending", "sync_lookups"), "account_id"),
}
QUERIES = ("SelectStmt", "UpdateStmt", "DeleteStmt")
ACCOUNT = 77


_parsed: list[dict[str, Any]] = []


@pytest.fixture
def statements(crm, monkeypatch) -> list[dict[str, Any]]:
    """The statements of such loads that read or write tables, parsed; the loads run once."""
    if _parsed:
        return _parsed
    said: set[bytes] = set()
    execute = psycopg.Cursor.execute

    def record(cursor, query, params=None, **more):
        text = query.as_bytes(cursor.connection) if isinstance(query, sql.Composable) else query
        said.add(text if isinstance(text, bytes) else text.encode())
        return execute(cursor, query, params, **more)

    monkeypatch.setattr(psycopg.Cursor, "execute", record)
    life(crm)
    monkeypatch.undo()
    schema = crm.schema.encode()
    wanted = [t.decode().replace("%s", "NULL") for t in said if b'"' + schema + b'"' in t and not t.startswith(b"SET")]
    _parsed.extend(s.stmt() for text in wanted for s in parse_sql(text))
    return _parsed


def inside(node: Any, *kinds: str) -> Iterator[dict[str, Any]]:
    """All nodes of these kinds, however deep."""
    if isinstance(node, dict):
        if node.get("@") in kinds:
            yield node
        for child in node.values():
            yield from inside(child, *kinds)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from inside(child, *kinds)


def sources(node: Any) -> Iterator[dict[str, Any]]:
    """The tables and subqueries of a FROM, not what is inside the subqueries."""
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from sources(child)
    elif isinstance(node, dict):
        if node.get("@") == "JoinExpr":
            yield from sources(node["larg"])
            yield from sources(node["rarg"])
        else:
            yield node


def equalities(query: dict[str, Any]) -> set[tuple[str, str]]:
    """Columns that appear beside another column in an equality, as (alias, column)."""
    found: set[tuple[str, str]] = set()
    for expression in inside(query, "A_Expr"):
        sides = [expression["lexpr"], expression["rexpr"]]
        if [n["sval"] for n in expression["name"]] != ["="] or not all(isinstance(s, dict) for s in sides):
            continue
        columns = [list(inside(side, "ColumnRef")) for side in sides]
        if all(len(c) == 1 for c in columns):
            for (column,) in columns:
                names = [f.get("sval") for f in column["fields"]]
                if len(names) == 2:
                    found.add((names[0], names[1]))
    return found


def joins(statement: dict[str, Any]) -> Iterator[tuple[str, str, set[str]]]:
    """Each table that a query joins: the query's kind, the table, the columns that it is joined by."""
    for query in inside(statement, *QUERIES):
        relation = [query["relation"]] if query.get("relation") else []
        others = list(sources([query.get("fromClause") or (), query.get("usingClause") or ()]))
        tables = [*relation, *others]
        equal = equalities(query)
        aliases = {(t.get("alias") or {}).get("aliasname") or t.get("relname") for t in tables}
        correlated = any(alias not in aliases for alias, _ in equal)
        if len(tables) < 2 and not correlated:
            continue
        for table in tables:
            if table["@"] == "RangeVar":
                alias = (table["alias"] or {}).get("aliasname") or table["relname"]
                yield query["@"], table["relname"], {column for a, column in equal if a == alias}


def test_the_loads_ran_what_is_looked_at(statements):
    joined = {table for statement in statements for _, table, _ in joins(statement)}
    assert CRM | {"sync_keys", "sync_pending", "sync_lookups", "contact_phones"} <= joined
    assert len(statements) > 60


def test_the_loaders_own_tables_are_always_joined_by_the_account(statements):
    missing = [
        (kind, table, columns)
        for statement in statements
        for kind, table, columns in joins(statement)
        if table in ("sync_keys", "sync_pending", "sync_lookups") and "account_id" not in columns
    ]
    assert missing == []


def test_the_crms_tables_are_joined_by_the_account_or_by_their_own_key(statements):
    """Users are found by e-mail or name, once: only rows that no account has claimed count."""
    missing = [
        (kind, table, columns)
        for statement in statements
        for kind, table, columns in joins(statement)
        if table in CRM and not columns & {"amo_account_id", "id"} and table != "users"
    ]
    assert missing == []


def test_two_tables_of_the_crm_are_never_joined_but_within_an_account(statements):
    """A join with a temporary table alone may be by the row's key; between two that may lie on several nodes, not.

    Users are the exception: one that the CRM has already is found by e-mail or name, while no account has claimed it.
    """
    wrong = []
    for statement in statements:
        for query in inside(statement, *QUERIES):
            tables = [
                t for t in sources([query.get("relation") or (), query.get("fromClause") or ()]) if t["@"] == "RangeVar"
            ]
            spread = [t for t in tables if t["relname"] in BY_ACCOUNT]
            equal = equalities(query)
            if len(spread) > 1:
                wrong += [
                    t["relname"]
                    for t in spread
                    if (t["alias"]["aliasname"], BY_ACCOUNT[t["relname"]]) not in equal and t["relname"] != "users"
                ]
    assert wrong == []


def test_what_is_unique_is_so_within_an_account(statements):
    targets = [
        [e["name"] for e in clause["infer"]["indexElems"]]
        for statement in statements
        for clause in inside(statement, "OnConflictClause")
        if clause["infer"]
    ]
    assert targets
    assert all(columns[0] == "account_id" for columns in targets)


def test_no_statement_of_loads_and_operations_has_the_short_form_of_case():
    """Citus 13.2.2 hands a `CASE value WHEN 'a'` of a joined table on as `CASE value WHEN value = 'a'`."""
    package = Path(target_crm.__file__).parent
    found = [
        (file.name, match[0])
        for folder in ("sql", "operations", "merge", "load", "matching")
        for file in sorted((package / folder).rglob("*"))
        if file.suffix in (".py", ".sql")
        for match in re.finditer(r"\bCASE\s+(?!WHEN\b)[\w(]+", file.read_text("utf-8"))
    ]
    assert found == []


def test_without_row_versions_a_load_does_the_same_and_an_unchanged_one_still_writes_nothing(crm, monkeypatch):
    """Citus and other engines may not tell a row's version (xmin)."""
    life(crm)
    expected = contents(crm)
    tables = sql.SQL(", ").join(
        sql.Identifier(t) for t in sorted(CRM | SETS | {"sync_keys", "sync_pending", "sync_lookups", "sync_conflicts"})
    )
    crm.connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(tables))
    crm.clock = 0
    hide_row_versions(monkeypatch)
    life(crm)
    assert contents(crm) == expected
    again = {"id": 1, "name": "ЗАО", "updated_at": "2026-01-01T00:08:00+00:00"}
    crm.sync("companies", again)
    versions = "SELECT xmin::text AS v FROM companies UNION ALL SELECT xmin::text FROM sync_keys"
    before = crm.execute(versions)
    crm.sync("companies", again)
    assert crm.execute(versions) == before


def test_accounts_share_tables_and_keep_apart(crm):
    crm.sync("companies", {"id": 1, "name": "первая"}, {"id": 1, "name": "вторая", "account_id": 78})
    crm.sync("contacts", {"id": 2, "company_id": 1, "account_id": 78})
    crm.sync(
        "deleted_records",
        {"id": "e1", "entity_type": "companies", "entity_id": 1, "deleted_at": "2027-01-01T00:00:00+00:00"},
    )
    rows = {r["amo_account_id"]: r for r in crm.rows("companies")}
    assert {a: r["name"] for a, r in rows.items()} == {ACCOUNT: "первая", 78: "вторая"}
    assert crm.rows("contacts")[0]["company_id"] == rows[78]["id"]
    assert [a for a, r in rows.items() if r["amo_deleted_at"]] == [ACCOUNT]
