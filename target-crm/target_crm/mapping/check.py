"""Holds a mapping against the live database before a row is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from target_crm.errors import MappingError
from target_crm.mapping.model import Column, ItemSet, Mapping, Table

FAMILIES = {
    **dict.fromkeys(("text", "varchar", "bpchar", "citext", "name"), "text"),
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    **dict.fromkeys(("numeric", "float4", "float8"), "number"),
    "bool": "boolean",
    "date": "date",
    **dict.fromkeys(("timestamptz", "timestamp"), "timestamp"),
    **dict.fromkeys(("_text", "_varchar"), "array"),
    **dict.fromkeys(("jsonb",), "json"),
    "uuid": "uuid",
}
# What a transformation yields, and the families of columns that can take it.
_TAKES = {
    "integer": {"integer", "number", "text"},
    "number": {"number", "text"},
    "boolean": {"boolean", "text"},
    "timestamp": {"timestamp", "text"},
    "date": {"date", "text"},
    "list": {"array", "json"},
    "json": {"json", "text"},
}


@dataclass(frozen=True)
class LiveColumn:
    """A column as the database has it. `length` is a varchar's limit, `type_sql` its type as SQL names it."""

    name: str
    family: str
    type_sql: str
    length: int | None
    required: bool


@dataclass(frozen=True)
class LiveTable:
    """A mapped table together with what the database says of its columns."""

    mapping: Table
    schema: str
    name: str
    columns: dict[str, LiveColumn]
    sets: dict[str, LiveTable]
    has_versions: bool = False

    @property
    def identifier(self) -> sql.Identifier:
        """The table's name, quoted, with its schema."""
        return sql.Identifier(self.schema, self.name)


_COLUMNS = """
    SELECT a.attname AS name, t.typname AS typname, format_type(a.atttypid, a.atttypmod) AS type_sql,
           CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS length,
           a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""


def read_columns(connection: psycopg.Connection[Any], schema: str, table: str) -> dict[str, LiveColumn]:
    """The columns of a table by name; empty when there is no such table."""
    name = sql.Identifier(schema, table).as_string(connection)
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_COLUMNS, (name,)).fetchall()
    return {
        row["name"]: LiveColumn(
            name=row["name"],
            family=FAMILIES.get(row["typname"], "other"),
            type_sql=row["type_sql"],
            length=row["length"],
            required=row["required"],
        )
        for row in rows
    }


def _has_versions(connection: psycopg.Connection[Any], schema: str, table: str) -> bool:
    """Whether `xmin` tells a row's version: in plain tables of PostgreSQL itself.

    Partitioned tables do not return it, Citus and PostgreSQL-compatible engines may not have it.
    """
    row = connection.execute(
        "SELECT c.relkind = 'r' AND version() ~ '^PostgreSQL [0-9.]+ ' "
        "AND NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') "
        "FROM pg_class c WHERE c.oid = to_regclass(%s)",
        (sql.Identifier(schema, table).as_string(connection),),
    ).fetchone()
    return row is not None and bool(row[0])


def split_name(name: str, default_schema: str) -> tuple[str, str]:
    """`schema.table` or `table` into its parts."""
    schema, dot, table = name.rpartition(".")
    return (schema, table) if dot else (default_schema, name)


class _Checker:
    def __init__(self, connection: psycopg.Connection[Any], mapping: Mapping, schema: str) -> None:
        self.connection, self.mapping, self.schema = connection, mapping, schema
        self.problems: list[str] = []

    def problem(self, line: int | None, text: str) -> None:
        place = self.mapping.source_name + (f", line {line}" if line else "")
        self.problems.append(f"{place}: {text}")

    def table(self, table: Table) -> LiveTable:
        schema, name = split_name(table.table, self.schema)
        columns = read_columns(self.connection, schema, name)
        live = LiveTable(table, schema, name, columns, {}, _has_versions(self.connection, schema, name))
        if not columns:
            self.problem(table.line, f"there is no table {schema}.{name}; create it or correct the name.")
            return live
        self.service(table, live)
        for column in table.columns:
            self.column(table, column, live)
        self.required(table, live)
        sets = {s.name: self.item_set(table, s) for s in table.sets}
        return replace(live, sets=sets)

    def service(self, table: Table, live: LiveTable) -> None:
        wanted: dict[str | None, str] = {table.id: "key.id"}
        if not table.match_only:
            wanted |= {table.account: "key.account", table.amo_id: "key.amo_id"}
            wanted |= {v: f"service.{k}" for k, v in table.service.items()}
        remedy = {"raw_fields": "jsonb", "account": "bigint", "amo_id": "bigint"}
        for name, role in wanted.items():
            if name is None or name in live.columns:
                continue
            kind = remedy.get(role.split(".")[1], "timestamptz")
            self.problem(
                table.line,
                f"table {live.name} has no column {name} ({role}); add it "
                f"(ALTER TABLE {live.name} ADD COLUMN {name} {kind}) or name another under {role}"
                + (" (or null for none)." if role.startswith("service") else "."),
            )
        raw = live.columns.get(table.raw_fields)
        if raw and raw.family != "json" and not table.match_only:
            self.problem(table.line, f"column {live.name}.{raw.name} must be jsonb, it is {raw.type_sql}.")

    def column(self, table: Table, column: Column, live: LiveTable) -> None:
        found = live.columns.get(column.name)
        if found is None:
            near = ", ".join(sorted(live.columns))
            self.problem(
                column.line,
                f"table {live.name} has no column {column.name}; it has {near}. Add it or correct the name.",
            )
            return
        takes = _TAKES.get(column.transform or "")
        if takes and found.family not in takes and found.family != "other":
            self.problem(
                column.line,
                f"column {live.name}.{column.name} is {found.type_sql} and can't take what transform "
                f"{column.transform} gives; change the column's type or the transform.",
            )
        if column.lookup and found.family != "text":
            self.problem(
                column.line,
                f"column {live.name}.{column.name} is {found.type_sql}; a name needs text.",
            )
        if column.link:
            self.link(column, found, live)

    def link(self, column: Column, found: LiveColumn, live: LiveTable) -> None:
        parent = self.mapping.tables[column.link or ""]
        schema, name = split_name(parent.table, self.schema)
        key = read_columns(self.connection, schema, name).get(parent.id)
        if key and key.family != found.family:
            self.problem(
                column.line,
                f"column {live.name}.{column.name} is {found.type_sql}, but {name}.{parent.id}, which it links to, "
                f"is {key.type_sql}; change one of them.",
            )

    def required(self, table: Table, live: LiveTable) -> None:
        if table.match_only:
            return
        given = {c.name for c in table.columns} | set(table.defaults)
        given |= {v for v in table.service.values() if v} | {
            table.account or "",
            table.amo_id or "",
            table.id,
        }
        for name, column in live.columns.items():
            if column.required and name not in given:
                self.problem(
                    table.line,
                    f"column {live.name}.{name} is NOT NULL without a default and nothing fills it; add it under "
                    f"columns or give it a value under defaults.",
                )
            mapped = next((c for c in table.columns if c.name == name), None)
            if column.required and mapped is not None and name not in table.defaults:
                self.problem(
                    mapped.line,
                    f"column {live.name}.{name} is NOT NULL, but amoCRM may leave it empty; give it a value under "
                    "defaults for that case, or drop NOT NULL.",
                )

    def item_set(self, table: Table, item_set: ItemSet) -> LiveTable:
        schema, name = split_name(item_set.table, self.schema)
        columns = read_columns(self.connection, schema, name)
        live = LiveTable(table, schema, name, columns, {})
        if not columns:
            self.problem(item_set.line, f"there is no table {schema}.{name}; create it or correct the name.")
            return live
        used = [
            *item_set.columns.values(),
            item_set.parent,
            item_set.raw_fields,
            *item_set.defaults,
        ]
        for column in used:
            if column not in columns:
                self.problem(item_set.line, f"table {name} has no column {column}; add it or map another.")
        known = {*used, item_set.updated_at, item_set.created_at, item_set.id}
        for live_column in columns.values():
            if live_column.required and live_column.name not in known:
                self.problem(
                    item_set.line,
                    f"column {name}.{live_column.name} is NOT NULL and nothing fills it; give it under defaults.",
                )
        return live


def check_mapping(connection: psycopg.Connection[Any], mapping: Mapping, schema: str) -> dict[str, LiveTable]:
    """Every mapped stream with its live table.

    Raises:
        MappingError: the tables can't take what the mapping promises; all problems at once, each with file, line
            and remedy.
    """
    checker = _Checker(connection, mapping, schema)
    live = {stream: checker.table(table) for stream, table in mapping.tables.items()}
    if checker.problems:
        raise MappingError("\n".join(checker.problems))
    return live
