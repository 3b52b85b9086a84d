"""What a constraint refuses on a node of Citus, as PostgreSQL itself would say it.

Citus 13.2 passes on what a node refuses without the names of table and constraint, and what it refuses in a COPY, or in
an INSERT that the coordinator works out, as an internal error (XX000). The node's sentence is left, in the language of
the node, and in it the names of the node's own table and index: those of ours with a number behind them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, NamedTuple

import psycopg
from psycopg.pq import DiagnosticField

Connection = psycopg.Connection[Any]
_SHARD = r"_\d{6,19}(?!\w)"
# Of these the one that is named first in the sentence's own terms: an index is a constraint's only name there.
_ORDER = ("23505", "23P01", "23503", "23514", "23502")
_FIND = """
    SELECT n.nspname, t.relname, i.relname, NULL, CASE WHEN x.indisexclusion THEN '23P01' ELSE '23505' END
    FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
    JOIN pg_catalog.pg_class AS t ON t.oid = x.indrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
    WHERE n.nspname = ANY(%(schemas)s) AND (x.indisunique OR x.indisexclusion)
        AND pg_catalog.strpos(%(said)s, i.relname || '_') > 0
    UNION ALL
    SELECT n.nspname, t.relname, c.conname, NULL, CASE c.contype WHEN 'f' THEN '23503' ELSE '23514' END
    FROM pg_catalog.pg_constraint AS c JOIN pg_catalog.pg_class AS t ON t.oid = c.conrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
    WHERE n.nspname = ANY(%(schemas)s) AND c.contype IN ('c', 'f')
        AND pg_catalog.strpos(%(said)s, t.relname || '_') > 0 AND pg_catalog.strpos(%(said)s, c.conname) > 0
    UNION ALL
    SELECT n.nspname, t.relname, NULL, a.attname, '23502'
    FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS t ON t.oid = a.attrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
    WHERE n.nspname = ANY(%(schemas)s) AND a.attnum > 0 AND a.attnotnull AND t.relkind IN ('r', 'p')
        AND pg_catalog.strpos(%(said)s, t.relname || '_') > 0 AND pg_catalog.strpos(%(said)s, a.attname) > 0
"""


class _Named(NamedTuple):
    schema: str
    table: str
    constraint: str | None
    column: str | None
    state: str

    def is_in(self, said: str) -> bool:
        """Whether the sentence names it: an index or a key by a node's name, the others beside a node's table."""
        if self.state in ("23505", "23P01"):
            return _names(said, str(self.constraint), _SHARD)
        own = _names(said, str(self.constraint or self.column), rf"(?:{_SHARD}|(?!\w))")
        return own and _names(said, self.table, _SHARD)


def _names(said: str, name: str, end: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}{end}", said) is not None


def as_violation(connection: Connection, error: psycopg.Error, schemas: Collection[str]) -> psycopg.Error:
    """The error as PostgreSQL raises it where a constraint in one of these schemas is violated; else as it is.

    Asks the catalogue: the transaction of the error must be rolled back before.
    """
    said = error.diag.message_primary or ""
    rows = connection.execute(_FIND, {"schemas": list(schemas), "said": said}).fetchall()
    found = [named for row in rows if (named := _Named(*row)).is_in(said) and error.sqlstate in ("XX000", named.state)]
    if not found:
        return error
    # Of two constraints of which one is called like the beginning of the other the longer one is meant.
    named = min(found, key=lambda one: (_ORDER.index(one.state), -len(one.constraint or one.column or "")))
    info = {
        DiagnosticField.SQLSTATE: named.state,
        DiagnosticField.MESSAGE_PRIMARY: _without_shards(said, named),
        DiagnosticField.MESSAGE_DETAIL: error.diag.message_detail,
        DiagnosticField.SCHEMA_NAME: named.schema,
        DiagnosticField.TABLE_NAME: named.table,
        DiagnosticField.CONSTRAINT_NAME: named.constraint,
        DiagnosticField.COLUMN_NAME: named.column,
    }
    kind: type[psycopg.Error] = psycopg.errors.lookup(named.state)
    return kind(str(error), info={name: value.encode() for name, value in info.items() if value})


def _without_shards(said: str, named: _Named) -> str:
    for name in (named.constraint, named.table):
        if name:
            said = re.sub(rf"(?<!\w){re.escape(name)}{_SHARD}", lambda _, name=name: name, said)  # type: ignore[misc]
    return said
