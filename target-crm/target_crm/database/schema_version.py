"""The version of the schema: what it is in a database, and its way from an older one to this program's."""

from __future__ import annotations

import logging
from typing import Any

import psycopg
from psycopg import sql

from target_crm.database.scripts import run_script
from target_crm.errors import DatabaseError
from target_crm.records.envelope import keys_in

logger = logging.getLogger("target-crm")
Connection = psycopg.Connection[Any]

# Of the built-in tables and of the loader's own.
CURRENT = 3
# Columns by which the built-in table of leads is distinguished from a user's own.
_LEADS = ("amo_account_id", "loss_reason", "pipeline", "price", "raw_fields", "status")


def schema_version(connection: Connection, schema: str) -> int | None:
    """The version that the database has; None where there are no tables of the loader yet.

    Raises:
        DatabaseError: the schema is of a newer version than this program knows.
    """
    if _exists(connection, schema, "sync_schema"):
        row = connection.execute(
            sql.SQL("SELECT max(version) FROM {}").format(sql.Identifier(schema, "sync_schema"))
        ).fetchone()
        if row is not None and row[0] is not None:
            if row[0] > CURRENT:
                msg = (
                    f"The tables of schema {schema} have version {row[0]}, this target-crm knows up to version "
                    f"{CURRENT}: install the newer target-crm that wrote them."
                )
                raise DatabaseError(msg)
            return int(row[0])
    return 1 if _exists(connection, schema, "sync_runs") else None


def upgrade(connection: Connection, schema: str, version: int) -> None:
    """Bring a schema of an older version to the current one; the caller makes what is missing, and commits.

    Data, bases, open conflicts, rejects and the journal are kept.

    Raises:
        DatabaseError: the role may not change the tables; nothing has been changed.
    """
    logger.info("Schema %s is of version %d; it is upgraded to version %d.", schema, version, CURRENT)
    try:
        with connection.transaction():
            for step in range(version + 1, CURRENT + 1):
                run_script(connection, f"upgrade_{step}.sql", schema=sql.Identifier(schema))
                if step == 2:
                    _identify_rejects(connection, schema)
                    _widen_price(connection, schema)
    except psycopg.errors.InsufficientPrivilege as error:
        msg = (
            f"The tables of schema {schema} have version {version}, this target-crm needs version {CURRENT}, and this "
            f"role may not change them ({error.diag.message_primary}): run `target-crm --config owner.json < "
            "/dev/null` once under the role that owns them, then repeat the grants of docs/least-privilege.md."
        )
        raise DatabaseError(msg) from None


def note_version(connection: Connection, schema: str) -> None:
    """Keep that the schema is of the current version. The caller commits."""
    connection.execute(
        sql.SQL("INSERT INTO {} (version) VALUES ({}) ON CONFLICT DO NOTHING").format(
            sql.Identifier(schema, "sync_schema"), sql.Literal(CURRENT)
        )
    )


def _exists(connection: Connection, schema: str, table: str) -> bool:
    row = connection.execute(
        "SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = %s",
        (schema, table),
    ).fetchone()
    return row is not None


def _identify_rejects(connection: Connection, schema: str) -> None:
    """Read the keys of open rejects out of their records; of several with one key the last stays open."""
    rejects = sql.Identifier(schema, "sync_rejects")
    found = connection.execute(sql.SQL("SELECT id, record FROM {} WHERE resolved_at IS NULL").format(rejects))
    keys = [(number, *keys_in(record)) for number, record in found.fetchall()]
    connection.execute(
        sql.SQL(
            "UPDATE {} AS r SET account_id = x.a, amo_id = x.i FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) "
            "AS x(id, a, i) WHERE r.id = x.id"
        ).format(rejects),
        [[key[place] for key in keys] for place in range(3)],
    )
    connection.execute(
        sql.SQL(
            "UPDATE {rejects} AS r SET resolved_at = now(), resolution = 'superseded' WHERE r.resolved_at IS NULL "
            "AND EXISTS (SELECT FROM {rejects} AS later WHERE later.resolved_at IS NULL AND later.id > r.id "
            "AND later.stream IS NOT DISTINCT FROM r.stream AND later.account_id IS NOT DISTINCT FROM r.account_id "
            "AND later.amo_id IS NOT DISTINCT FROM r.amo_id AND (r.amo_id IS NOT NULL OR later.record = r.record))"
        ).format(rejects=rejects)
    )


def _widen_price(connection: Connection, schema: str) -> None:
    """`leads.price` of the built-in tables holds cents from version 2 on."""
    columns = connection.execute(
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, NULL) FROM pg_catalog.pg_attribute AS a "
        "JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid "
        "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = 'leads' AND a.attname = ANY(%s) AND NOT a.attisdropped",
        (schema, list(_LEADS)),
    ).fetchall()
    types = dict(columns)
    if len(types) < len(_LEADS) or types["price"] != "bigint":
        return
    statement = sql.SQL("ALTER TABLE {} ALTER COLUMN price TYPE numeric").format(sql.Identifier(schema, "leads"))
    try:
        with connection.transaction():
            connection.execute(statement)
    except psycopg.errors.FeatureNotSupported as error:
        _widen_under_views(connection, schema, statement, error)


# The views that depend on a table, directly or on one another, those below first.
_VIEWS = """
    WITH RECURSIVE above AS (
        SELECT r.ev_class AS view, 1 AS depth FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
        WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refobjid = %s::regclass AND r.ev_class <> d.refobjid
        UNION
        SELECT r.ev_class, a.depth + 1 FROM above AS a JOIN pg_catalog.pg_depend AS d ON d.refobjid = a.view
        JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
        WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.ev_class <> a.view AND a.depth < 32
    )
    SELECT n.nspname, c.relname, c.relkind = 'v' AND c.reloptions IS NULL AS is_plain,
        pg_catalog.pg_get_viewdef(c.oid) AS definition,
        ARRAY(SELECT pg_catalog.format('GRANT %%s ON %%I.%%I TO %%s', x.privilege_type, n.nspname, c.relname,
            CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END)
            FROM pg_catalog.aclexplode(c.relacl) AS x WHERE x.grantee <> c.relowner) AS grants
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN (SELECT view, max(depth) AS depth FROM above GROUP BY view) AS a ON a.view = c.oid ORDER BY a.depth, c.oid
"""


def _widen_under_views(
    connection: Connection, schema: str, statement: sql.Composed, error: psycopg.errors.FeatureNotSupported
) -> None:
    """The same where views show the price: they are dropped, and made again with their grants.

    Raises:
        DatabaseError: something else than plain views is in the way.
    """
    table = sql.Identifier(schema, "leads").as_string(connection)
    views = connection.execute(_VIEWS, (table,)).fetchall()
    try:
        with connection.transaction():
            for namespace, name, is_plain, *_ in reversed(views):
                if not is_plain:
                    raise error
                connection.execute(sql.SQL("DROP VIEW {}").format(sql.Identifier(namespace, name)))
            connection.execute(statement)
            for namespace, name, _, definition, grants in views:
                view = sql.Identifier(namespace, name)
                connection.execute(sql.SQL("CREATE VIEW {} AS {}").format(view, sql.SQL(definition)))
                for grant in grants:
                    connection.execute(grant)
    except psycopg.errors.FeatureNotSupported:
        msg = (
            f"Column price of {schema}.leads becomes numeric in version 2, and something uses it: "
            f"{error.diag.message_primary} ({error.diag.message_detail}). Drop it, run one load, and create it again."
        )
        raise DatabaseError(msg) from None
