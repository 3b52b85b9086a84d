"""Foreign keys as the catalogue has them: those that point at a table, and those by which it points at others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key, whatever its columns and its action.

    Attributes:
        name: The constraint's.
        table: The table whose rows point, as (schema, name).
        target: The table that they point at, likewise.
        columns: The pointing columns.
        targets: The columns that they point at, in the same order.
        operators: The operators by which the database itself compares them (target's column first), as SQL.
        collations: SQL of the collation under which a pair is compared, None for the pointing column's own.
        readable: Whether this role can see all pointing rows.
    """

    name: str
    table: tuple[str, str]
    target: tuple[str, str]
    columns: tuple[str, ...]
    targets: tuple[str, ...]
    operators: tuple[str, ...]
    collations: tuple[str | None, ...]
    readable: bool

    @property
    def identifier(self) -> sql.Identifier:
        """The table whose rows point."""
        return sql.Identifier(*self.table)

    @property
    def target_identifier(self) -> sql.Identifier:
        """The table that they point at."""
        return sql.Identifier(*self.target)

    def matches(self, pointing: str, pointed: str) -> sql.Composed:
        """SQL: whether the row under the first alias points at the row under the second."""
        pairs = zip(self.columns, self.targets, self.operators, self.collations, strict=True)
        return sql.SQL(" AND ").join(
            sql.SQL("{}.{} OPERATOR({}) {}.{}{}").format(
                sql.Identifier(pointed),
                sql.Identifier(target),
                sql.SQL(operator),
                sql.Identifier(pointing),
                sql.Identifier(column),
                sql.SQL(f" COLLATE {collation}" if collation else ""),
            )
            for column, target, operator, collation in pairs
        )


_KEYS = """
    WITH wanted AS (SELECT to_regclass(%(table)s)::oid AS oid
        UNION SELECT relid::oid FROM pg_partition_tree(to_regclass(%(table)s)))
    SELECT k.conname AS name, n.nspname AS schema, c.relname AS table, tn.nspname AS target_schema, t.relname AS target,
        ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(num, place)
            JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.place) AS columns,
        ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u(num, place)
            JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY u.place) AS targets,
        ARRAY(SELECT quote_ident(o_n.nspname) || '.' || o.oprname
            FROM unnest(k.conpfeqop) WITH ORDINALITY AS u(op, place)
            JOIN pg_operator AS o ON o.oid = u.op JOIN pg_namespace AS o_n ON o_n.oid = o.oprnamespace
            ORDER BY u.place) AS operators,
        ARRAY(SELECT CASE WHEN a.attcollation <> b.attcollation AND b.attcollation <> 0
                THEN quote_ident(l_n.nspname) || '.' || quote_ident(l.collname) END
            FROM unnest(k.conkey, k.confkey) WITH ORDINALITY AS u(num, target, place)
            JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.num
            JOIN pg_attribute AS b ON b.attrelid = k.confrelid AND b.attnum = u.target
            LEFT JOIN pg_collation AS l ON l.oid = b.attcollation
            LEFT JOIN pg_namespace AS l_n ON l_n.oid = l.collnamespace ORDER BY u.place) AS collations,
        has_schema_privilege(n.oid, 'USAGE') AND NOT row_security_active(c.oid)
            AND (SELECT bool_and(has_column_privilege(c.oid, u.num, 'SELECT')) FROM unnest(k.conkey) AS u(num))
            -- Of a period the database checks more than equality.
            AND (to_jsonb(k)->>'conperiod') IS DISTINCT FROM 'true' AS readable
    FROM pg_constraint AS k
    JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_class AS t ON t.oid = k.confrelid JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
    WHERE k.contype = 'f' AND {side} IN (SELECT oid FROM wanted)
        AND NOT EXISTS (SELECT FROM pg_constraint AS whole WHERE whole.oid = k.conparentid
            AND whole.{column} IN (SELECT oid FROM wanted))
    ORDER BY n.nspname, c.relname, k.conname
"""


def keys_to(connection: Connection, schema: str, table: str) -> list[ForeignKey]:
    """The foreign keys of any table that point at rows of this one."""
    return _read(connection, "confrelid", schema, table)


def keys_from(connection: Connection, schema: str, table: str) -> list[ForeignKey]:
    """The foreign keys by which rows of this table point at others."""
    return _read(connection, "conrelid", schema, table)


def _read(connection: Connection, column: str, schema: str, table: str) -> list[ForeignKey]:
    query = _KEYS.replace("{side}", f"k.{column}").replace("{column}", column)
    name = sql.Identifier(schema, table).as_string(connection)
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(query.encode(), {"table": name}).fetchall()
    return [
        ForeignKey(
            row["name"],
            (row["schema"], row["table"]),
            (row["target_schema"], row["target"]),
            tuple(row["columns"]),
            tuple(row["targets"]),
            tuple(row["operators"]),
            tuple(row["collations"]),
            bool(row["readable"]),
        )
        for row in found
    ]
