"""What the live database says of a table: columns, types, keys, constraints. Reads PostgreSQL's catalogue only."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from target_crm.mapping.model import Table

Connection = psycopg.Connection[Any]
T = TypeVar("T")
FAMILIES = {
    **dict.fromkeys(("text", "varchar", "bpchar", "citext", "name"), "text"),
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    **dict.fromkeys(("numeric", "float4", "float8"), "number"),
    "bool": "boolean",
    "date": "date",
    **dict.fromkeys(("timestamptz", "timestamp"), "timestamp"),
    **dict.fromkeys(("_text", "_varchar", "_bpchar", "_citext", "_int2", "_int4", "_int8"), "array"),
    **dict.fromkeys(("jsonb",), "json"),
    "uuid": "uuid",
}


@dataclass(frozen=True)
class LiveColumn:
    """A column as the database has it. `length` is a varchar's limit, `type_sql` its type as SQL names it.

    A domain counts as the type beneath it. `required`: NOT NULL, and the database fills nothing in. `generated`: the
    database works it out itself and takes no value. `labels` are an enum's. `comparable`: values can be compared.
    `zone`: of a `timestamp` without time zone that in which its times are written, the database's own. `encoding`: the
    database's.
    `computed`: it follows from the row's other columns. `default`: SQL of a constant that new rows get; `is_filled`:
    new rows get something else than NULL. `missing`: what rows from before the column's time hold, as text.
    `host`, `key`: it is that key inside that jsonb column.
    """

    name: str
    family: str
    type_sql: str
    length: int | None
    required: bool
    not_null: bool = False
    generated: bool = False
    labels: tuple[str, ...] = ()
    comparable: bool = True
    zone: str | None = None
    encoding: str = "UTF8"
    computed: bool = False
    default: str | None = None
    is_filled: bool = False
    missing: str | None = None
    host: str | None = None
    key: str | None = None


class Columns(dict[str, LiveColumn]):
    """A table's columns by name, in its order. `COLUMN.KEY`, a key inside a jsonb column, can be looked up, too, and is
    not one of them."""

    def __missing__(self, name: str) -> LiveColumn:
        found = key_inside(self, name)
        if found is None:
            raise KeyError(name)
        return found


def key_inside(columns: Mapping[str, LiveColumn], name: str) -> LiveColumn | None:
    """What `COLUMN.KEY` stands for; None where there is no such jsonb column."""
    host, _, key = name.partition(".")
    column = columns.get(host)
    if not key or column is None or column.family != "json":
        return None
    return LiveColumn(name, "json", "jsonb", None, required=False, encoding=column.encoding, host=host, key=key)


@dataclass(frozen=True)
class LiveTable:
    """A mapped table together with what the database says of its columns. `rewrites`: triggers may store values in
    another spelling than they are written."""

    mapping: Table
    schema: str
    name: str
    columns: dict[str, LiveColumn]
    sets: dict[str, LiveTable]
    has_versions: bool = False
    rewrites: bool = False
    # Join tables by name.
    through: dict[str, LiveTable] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether there is such a column, or such a key inside one."""
        return name in self.columns or key_inside(self.columns, name) is not None

    def cell(self, row: str, name: str) -> sql.Composed:
        """SQL of what row `row` holds in that column."""
        column = self.columns.get(name) or key_inside(self.columns, name)
        if column is None or column.host is None:
            return sql.SQL("{}.{}").format(sql.Identifier(row), sql.Identifier(name))
        return sql.SQL("({}.{}->{})").format(sql.Identifier(row), sql.Identifier(column.host), sql.Literal(column.key))

    def value(self, row: Mapping[str, Any], name: str) -> Any:
        """What a row, as a dictionary of its columns, holds in that column."""
        column = key_inside(self.columns, name)
        if name in row or column is None:
            return row.get(name)
        document = row.get(column.host or "")
        return document.get(column.key) if isinstance(document, dict) else None

    @property
    def identifier(self) -> sql.Identifier:
        """The table's name, quoted, with its schema."""
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True)
class Facts:
    """What else the catalogue tells: `kind` is pg_class's relkind, None when there is no such table.

    `rewrites`: there are triggers on insert or update. `has_versions`: `xmin` tells a row's version, as it does in
    plain tables of PostgreSQL itself. `unique`: column sets of unique indexes that hold for all rows at once, `loose`:
    of those that do not (partial, deferrable, NULLS NOT DISTINCT), `distinct`: all that rows can't share, even if that
    is found at the commit. `rules`: rewrite rules, as name and event. `checks`: CHECK constraints of one column each,
    as name and expression. `references`: foreign keys of one column each, column to (schema, table).
    """

    kind: str | None = None
    row_security: bool = False
    rewrites: bool = False
    has_versions: bool = False
    primary: tuple[str, ...] = ()
    unique: tuple[frozenset[str], ...] = ()
    loose: tuple[frozenset[str], ...] = ()
    distinct: tuple[frozenset[str], ...] = ()
    rules: tuple[str, ...] = ()
    checks: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    references: dict[str, tuple[str, str]] = field(default_factory=dict)


# Of all tables that are asked for at once: one round trip, and one plan. What is to be said of a type is said once.
_COLUMNS = """
    WITH found AS MATERIALIZED (
        SELECT asked.name AS asked, a.attrelid, a.attnum, a.attname, a.atthasdef, a.attidentity, a.attgenerated,
               a.atthasmissing, a.attmissingval, a.attnotnull OR t.typnotnull OR coalesce(beneath.not_null, false)
                   AS not_null, t.typdefault, coalesce(beneath.oid, t.oid) AS base,
               coalesce(beneath.mod, a.atttypmod) AS mod
        FROM unnest(%s::text[]) AS asked(name)
        JOIN pg_attribute AS a ON a.attrelid = to_regclass(asked.name)
        JOIN pg_type AS t ON t.oid = a.atttypid
        -- The type beneath a domain, which may be one of another domain: the innermost limits the length.
        LEFT JOIN LATERAL (
            WITH RECURSIVE types(oid, mod, not_null, depth) AS (
                SELECT t.typbasetype, t.typtypmod, false, 1 WHERE t.typtype = 'd'
                UNION ALL
                SELECT x.typbasetype, x.typtypmod, types.not_null OR x.typnotnull, types.depth + 1
                FROM types JOIN pg_type AS x ON x.oid = types.oid WHERE x.typtype = 'd'
            )
            SELECT types.oid, types.mod, types.not_null FROM types ORDER BY types.depth DESC LIMIT 1
        ) AS beneath ON true
        WHERE a.attnum > 0 AND NOT a.attisdropped),
    kinds AS MATERIALIZED (
        SELECT b.oid, b.typname, b.typtype = 'e' AS is_enum,
               ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = b.oid ORDER BY e.enumsortorder)
                   AS labels,
               b.typtype IN ('e', 'r') OR EXISTS (SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
                   WHERE m.amname = 'btree' AND o.opcdefault AND (o.opcintype = b.oid OR b.typcategory = 'A'
                   OR EXISTS (SELECT FROM pg_cast c WHERE c.castsource = b.oid AND c.casttarget = o.opcintype
                   AND c.castmethod = 'b' AND c.castcontext = 'i'))) AS comparable
        FROM pg_type AS b WHERE b.oid IN (SELECT base FROM found))
    SELECT a.asked, a.attname AS name, b.typname, b.is_enum,
           CASE WHEN b.oid = 'pg_catalog.timestamp'::pg_catalog.regtype THEN
               (SELECT reset_val FROM pg_catalog.pg_settings AS x WHERE x.name = 'TimeZone') END AS zone,
           format_type(a.base, a.mod) AS type_sql,
           CASE WHEN b.typname IN ('varchar', 'bpchar') AND a.mod > 4 THEN a.mod - 4 END AS length,
           a.not_null,
           a.atthasdef OR a.attidentity <> '' OR a.typdefault IS NOT NULL AS is_filled,
           a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
           a.attgenerated <> '' AS computed,
           CASE WHEN a.atthasdef THEN pg_get_expr(d.adbin, d.adrelid) ELSE a.typdefault END AS default_sql,
           CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END AS missing, b.labels, b.comparable
    FROM found AS a JOIN kinds AS b ON b.oid = a.base
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    ORDER BY a.asked, a.attnum
"""
# `versions`: partitioned tables do not return xmin, Citus and PostgreSQL-compatible engines may not have it.
_TABLE = """
    SELECT asked.name AS asked, c.relkind::text AS kind, row_security_active(c.oid) AS row_security,
           EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'
                   AND g.tgtype & 20 <> 0) AS rewrites,
           c.relkind = 'r' AND version() ~ '^PostgreSQL [0-9.]+ '
               AND NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') AS versions
    FROM unnest(%s::text[]) AS asked(name) JOIN pg_class c ON c.oid = to_regclass(asked.name)
"""
_INDEXES = """
    SELECT asked.name AS asked, i.indisprimary AS is_primary,
           i.indpred IS NULL AND i.indimmediate AND i.indisvalid
           AND (to_jsonb(i)->>'indnullsnotdistinct') IS DISTINCT FROM 'true' AS is_strict,
           i.indpred IS NULL AND i.indisvalid AS is_whole,
           ARRAY(SELECT a.attname::text FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k(num, place)
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num ORDER BY k.place) AS columns
    FROM unnest(%s::text[]) AS asked(name) JOIN pg_index i ON i.indrelid = to_regclass(asked.name)
    WHERE i.indisunique AND i.indexprs IS NULL
"""
_RULES = """
    SELECT asked.name AS asked, r.rulename AS name,
           'ON ' || (ARRAY['SELECT', 'UPDATE', 'INSERT', 'DELETE'])[r.ev_type::text::integer] AS event
    FROM unnest(%s::text[]) AS asked(name) JOIN pg_rewrite r ON r.ev_class = to_regclass(asked.name)
    WHERE r.ev_type <> '1' AND r.ev_enabled <> 'D' ORDER BY 1, 2
"""
_CONSTRAINTS = """
    SELECT asked.name AS asked, c.contype::text AS kind, c.conname AS name, a.attname AS column_name,
           pg_get_expr(c.conbin, c.conrelid) AS expression, n.nspname AS parent_schema, p.relname AS parent
    FROM unnest(%s::text[]) AS asked(name) JOIN pg_constraint c ON c.conrelid = to_regclass(asked.name)
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
    LEFT JOIN pg_class p ON p.oid = c.confrelid LEFT JOIN pg_namespace n ON n.oid = p.relnamespace
    WHERE c.contype IN ('c', 'f') AND cardinality(c.conkey) = 1
"""
# Schema and table.
Place = tuple[str, str]


def _rows(connection: Connection, query: str, places: Iterable[Place]) -> dict[Place, list[dict[str, Any]]]:
    """The rows of each of these tables."""
    names = {sql.Identifier(*place).as_string(connection): place for place in places}
    found: dict[Place, list[dict[str, Any]]] = {place: [] for place in names.values()}
    with connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(query.encode(), (list(names),)):
            found[names[row["asked"]]].append(row)
    return found


def _constant(expression: str | None) -> str | None:
    """A default's SQL if it is a constant: literals and casts alone, no function."""
    if expression is None:
        return None
    plain = re.sub(r"E?'(?:[^']|'')*'", "0", expression)
    plain = re.sub(r'::(?:"[^"]+"|[a-z_][\w ]*)(?:\.(?:"[^"]+"|\w+))?(?:\(\d+(?:,\d+)?\))?(?:\[\])*', "", plain)
    plain = re.sub(r"\b(?:true|false|null|array)\b", "0", plain, flags=re.IGNORECASE)
    return expression if re.fullmatch(r"[\d\s.,()\[\]+-]*", plain) else None


def read_columns_of(connection: Connection, places: Iterable[Place]) -> dict[Place, Columns]:
    """The columns of tables by name, in their order; empty for a table that does not exist."""
    encoding = connection.info.parameter_status("server_encoding") or "UTF8"
    return {
        place: Columns({row["name"]: _column(row, encoding) for row in rows})
        for place, rows in _rows(connection, _COLUMNS, places).items()
    }


def _column(row: dict[str, Any], encoding: str) -> LiveColumn:
    return LiveColumn(
        name=row["name"],
        family="enum" if row["is_enum"] else FAMILIES.get(row["typname"], "other"),
        type_sql=row["type_sql"],
        length=row["length"],
        required=row["not_null"] and not row["is_filled"],
        not_null=row["not_null"],
        generated=row["generated"],
        labels=tuple(row["labels"]),
        comparable=row["comparable"],
        zone=row["zone"],
        encoding=encoding,
        computed=row["computed"],
        default=_constant(row["default_sql"]),
        is_filled=row["is_filled"],
        missing=row["missing"],
    )


def read_columns(connection: Connection, schema: str, table: str) -> dict[str, LiveColumn]:
    """The columns of one table; empty for a table that does not exist."""
    return read_columns_of(connection, [(schema, table)])[schema, table]


def read_facts_of(connection: Connection, places: Collection[Place]) -> dict[Place, Facts]:
    """Keys and constraints of tables."""
    tables = _rows(connection, _TABLE, places)
    there = [place for place, rows in tables.items() if rows]
    indexes, rules, constraints = (_rows(connection, query, there) for query in (_INDEXES, _RULES, _CONSTRAINTS))
    return {
        place: _facts(rows[0], indexes[place], rules[place], constraints[place]) if rows else Facts()
        for place, rows in tables.items()
    }


def _facts(
    table: dict[str, Any], indexes: list[dict[str, Any]], rules: list[dict[str, Any]], found: list[dict[str, Any]]
) -> Facts:
    checks: dict[str, list[tuple[str, str]]] = {}
    references: dict[str, tuple[str, str]] = {}
    for row in found:
        if row["kind"] == "c":
            checks.setdefault(row["column_name"], []).append((row["name"], row["expression"]))
        else:
            references[row["column_name"]] = (row["parent_schema"], row["parent"])
    return Facts(
        kind=table["kind"],
        row_security=table["row_security"],
        rewrites=table["rewrites"],
        has_versions=table["versions"],
        primary=next((tuple(i["columns"]) for i in indexes if i["is_primary"]), ()),
        unique=tuple(frozenset(i["columns"]) for i in indexes if i["is_strict"]),
        distinct=tuple(frozenset(i["columns"]) for i in indexes if i["is_whole"]),
        rules=tuple(f"{row['name']} ({row['event']})" for row in rules),
        loose=tuple(frozenset(i["columns"]) for i in indexes if not i["is_strict"]),
        checks=checks,
        references=references,
    )


def if_readable(connection: Connection, read: Callable[[], T], otherwise: T) -> T:
    """What `read` gives, or the other value where the database refuses to show the rows (rights, row security)."""
    try:
        with connection.transaction():
            return read()
    except psycopg.OperationalError:
        raise
    except psycopg.Error:
        return otherwise


def has_rows(connection: Connection, schema: str, table: str) -> bool:
    """Whether the table holds a row that this role may see."""
    query = sql.SQL("SELECT EXISTS (SELECT FROM {table})").format(table=sql.Identifier(schema, table))
    row = connection.execute(query).fetchone()
    return row is not None and bool(row[0])


def few_keys(connection: Connection, schema: str, table: str, key: str, most: int) -> list[Any]:
    """The keys of a table's rows, at most one more than `most`; uuids as text."""
    query = sql.SQL("SELECT t.{key} FROM {table} AS t LIMIT {limit}").format(
        key=sql.Identifier(key), table=sql.Identifier(schema, table), limit=sql.Literal(most + 1)
    )
    return [row[0] if isinstance(row[0], int) else str(row[0]) for row in connection.execute(query)]


def few_values(connection: Connection, schema: str, table: str, column: str) -> list[str]:
    """Values that a text column holds in the first thousands of rows, each once."""
    query = sql.SQL("SELECT DISTINCT x.v FROM (SELECT t.{column}::text AS v FROM {table} AS t LIMIT 10000) AS x "
                    "WHERE x.v <> '' ORDER BY 1 LIMIT 100").format(
        column=sql.Identifier(column), table=sql.Identifier(schema, table)
    )  # fmt: skip
    return [row[0] for row in connection.execute(query)]


def holds_other_than_numbers(connection: Connection, schema: str, table: str, column: str) -> bool:
    """Whether a text column holds a value other than a whole number."""
    query = sql.SQL("SELECT EXISTS (SELECT FROM {table} AS t WHERE t.{column} !~ '^[0-9]*$')").format(
        table=sql.Identifier(schema, table), column=sql.Identifier(column)
    )
    row = connection.execute(query).fetchone()
    return row is not None and bool(row[0])


def has_equal_rows(connection: Connection, schema: str, table: str, columns: Sequence[str]) -> bool:
    """Whether two rows agree in all of these columns, case and outer spaces aside; rows with an empty one do not."""
    query = sql.SQL(
        "SELECT EXISTS (SELECT FROM {table} AS t WHERE {filled} GROUP BY {values} HAVING count(*) > 1)"
    ).format(
        table=sql.Identifier(schema, table),
        filled=sql.SQL(" AND ").join(sql.SQL("t.{} <> ''").format(sql.Identifier(name)) for name in columns),
        values=sql.SQL(", ").join(sql.SQL("lower(btrim(t.{}))").format(sql.Identifier(name)) for name in columns),
    )
    row = connection.execute(query).fetchone()
    return row is not None and bool(row[0])


def read_content_types(connection: Connection, schemas: Sequence[str] | None) -> dict[tuple[str, str], int]:
    """Django's numbers of its models, by application and model; empty where Django has no such table."""
    found = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE c.relname = 'django_content_type' AND c.relkind = 'r' "
        "AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY(%(schemas)s))",
        {"schemas": list(schemas) if schemas else None},
    ).fetchone()
    if found is None:
        return {}
    query = sql.SQL("SELECT t.app_label, t.model, t.id FROM {} AS t").format(sql.Identifier(*found))
    return {(app, model): number for app, model, number in connection.execute(query)}


def split_name(name: str, default_schema: str) -> tuple[str, str]:
    """`schema.table` or `table` into its parts."""
    schema, dot, table = name.rpartition(".")
    return (schema, table) if dot else (default_schema, name)
