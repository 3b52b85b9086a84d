"""What docs/scaling.md says of the SQL: the statements of real loads, parsed by PostgreSQL's own parser.

Citus itself can't be had as a package, so nothing here runs on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pglast import parse_sql
from psycopg import sql

CRM = {"users", "companies", "contacts", "leads", "notes", "tasks"}
SETS = {"company_phones", "company_emails", "contact_phones", "contact_emails"}
BY_ACCOUNT = {
    **dict.fromkeys(CRM, "amo_account_id"),
    **dict.fromkeys(("sync_keys", "sync_pending", "sync_lookups"), "account_id"),
}
QUERIES = ("SelectStmt", "UpdateStmt", "DeleteStmt")
ACCOUNT = 77


def phones(*values):
    fields = [{"field_id": 1, "field_code": "PHONE", "field_name": "Телефон", "values": [{"value": v} for v in values]}]
    return {"custom_fields_values": fields}


def life(crm, **settings):
    """Everything that a load can have to do: late parents and names, edits, conflicts, sets, deletions, adoption."""
    crm.load([], **settings)
    crm.execute("INSERT INTO users (name, email) VALUES ('Анна', 'anna@firma.ru')")
    statuses = [{"id": 11, "name": "Новая"}]
    gone = {"id": "e1", "entity_type": "contacts", "entity_id": 3, "deleted_at": "2027-01-01T00:00:00+00:00"}
    crm.sync(
        "contacts",
        {"id": 2, "company_id": 1, "responsible_user_id": 5, **phones("+79161234567", "+79031112233")},
        {"id": 3},
        **settings,
    )
    crm.sync("leads", {"id": 6, "company_id": 1, "pipeline_id": 10, "status_id": 11, "price": 5}, **settings)
    crm.sync("users", {"id": 5, "name": "Анна", "email": "anna@firma.ru"}, {"id": 7, "name": "Борис"}, **settings)
    crm.sync("companies", {"id": 1, "name": "ООО"}, **settings)
    crm.sync("pipelines", {"id": 10, "name": "Продажи", "_embedded": {"statuses": statuses}}, **settings)
    crm.sync(
        "notes",
        {"id": 8, "entity_type": "contacts", "entity_id": 2, "note_type": "common", "params": {"text": "а"}},
        **settings,
    )
    crm.sync("tasks", {"id": 9, "entity_type": "leads", "entity_id": 6, "text": "Позвонить"}, **settings)
    crm.execute("UPDATE companies SET name = 'вручную'")
    crm.execute("UPDATE contact_phones SET comment = 'моя' WHERE value = '+79031112233'")
    crm.sync("companies", {"id": 1, "name": "ЗАО"}, **settings)
    crm.sync("contacts", {"id": 2, "last_name": "Иванов", **phones("+74951234567")}, **settings)
    crm.sync("deleted_records", gone, allow_mass_delete=True, **settings)
    crm.sync("contacts", {"id": 3, "last_name": "снова", "updated_at": "2027-02-01T00:00:00+00:00"}, **settings)


def contents(crm):
    """What the CRM holds, without keys and times of the rows."""
    hidden = {"id", "created_at", "updated_at", "company_id", "contact_id", "lead_id", "responsible_id", "author_id"}
    found = {}
    for table in sorted(CRM | SETS):
        rows = crm.execute(f"SELECT * FROM {table}")
        for row in rows:
            base = row["raw_fields"].get("amo_values", {})
            row["raw_fields"]["amo_values"] = {k: v for k, v in base.items() if k not in hidden}
        found[table] = sorted(repr({k: v for k, v in row.items() if k not in hidden}) for row in rows)
    links = crm.execute(
        "SELECT c.amo_id, f.amo_id AS company, u.name FROM contacts c LEFT JOIN companies f ON f.id = c.company_id "
        "LEFT JOIN users u ON u.id = c.responsible_id ORDER BY 1"
    )
    return found, links, crm.execute("SELECT column_name, crm_value, amo_value FROM sync_conflicts ORDER BY id")


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
    """Columns that stand beside another column in an equality, as (alias, column)."""
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


def test_without_row_versions_a_load_does_the_same_and_an_unchanged_one_still_writes_nothing(crm, monkeypatch):
    """Citus and other engines may not tell a row's version (xmin)."""
    life(crm)
    expected = contents(crm)
    tables = sql.SQL(", ").join(
        sql.Identifier(t) for t in sorted(CRM | SETS | {"sync_keys", "sync_pending", "sync_lookups", "sync_conflicts"})
    )
    crm.connection.execute(sql.SQL("TRUNCATE {}").format(tables))
    crm.clock = 0
    monkeypatch.setattr("target_crm.mapping.findings.has_versions", lambda *_: False)
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
