"""SQL of rows and tables that other sessions hold, and of the records that wait for them."""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.sql.spec import I, S, of_stream

CODE = "W_ROW_HELD"


def rows_of(live: LiveTable) -> sql.Composed:
    """Key, account, id in amoCRM, and the transaction that last locked or changed it, of rows by accounts and ids."""
    return S(
        """
        SELECT t.{id}::text, t.{account}, t.{amo_id}, t.xmax::text
        FROM unnest(%s::bigint[], %s::bigint[]) AS wanted(account_id, amo_id)
        JOIN {table} AS t ON t.{account} = wanted.account_id AND t.{amo_id} = wanted.amo_id{of_stream}
        """
    ).format(**_names(live))


def free_rows_of(live: LiveTable) -> sql.Composed:
    """The keys of those that nobody holds; they are locked by this."""
    return S(
        """
        SELECT t.{id}::text FROM {table} AS t
        WHERE (t.{account}, t.{amo_id}) IN (SELECT * FROM unnest(%s::bigint[], %s::bigint[])){of_stream}
        FOR NO KEY UPDATE OF t SKIP LOCKED
        """
    ).format(**_names(live))


def row_at(live: LiveTable) -> sql.Composed:
    """Key and last transaction of the row at a place of the table."""
    return S("SELECT t.{id}::text, t.xmax::text FROM {table} AS t WHERE t.ctid = %s::tid").format(**_names(live))


def _names(live: LiveTable) -> dict[str, sql.Composable]:
    table = live.mapping
    return {
        "id": I(table.id),
        "account": I(table.account or ""),
        "amo_id": I(table.amo_id or ""),
        "table": live.identifier,
        "of_stream": of_stream(live, "t"),
    }


_WHO = S(
    "SELECT l.pid, coalesce(nullif(a.application_name, ''), '-'), coalesce(a.usename, '-')::text, "
    "extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 FROM pg_catalog.pg_locks AS l "
    "LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid WHERE l.granted AND {}"
)
HOLDER_OF_TRANSACTION = _WHO.format(S("l.locktype = 'transactionid' AND l.transactionid::text = %s"))
# Several sessions that hold one row share a number of their own.
HOLDERS_OF_GROUP = _WHO.format(
    S(
        "l.locktype = 'transactionid' "
        "AND l.transactionid IN (SELECT m.xid FROM pg_catalog.pg_get_multixact_members(%s::xid) AS m)"
    )
)
HOLDERS_OF_TABLE = _WHO.format(
    S(
        "l.locktype = 'relation' AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', "
        "'AccessExclusiveLock') AND l.relation = pg_catalog.to_regclass(%s) AND l.pid <> pg_catalog.pg_backend_pid() "
        "ORDER BY a.xact_start"
    )
)


LOCKED_TABLES = S(
    "SELECT c.relname::text, l.pid, coalesce(nullif(a.application_name, ''), '-'), coalesce(a.usename, '-')::text "
    "FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_class AS c ON c.oid = l.relation AND c.relkind IN ('r', 'p') "
    "LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid WHERE l.granted AND l.locktype = 'relation' "
    "AND l.mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') AND l.relation >= 16384 "
    "AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()) "
    "AND l.pid <> pg_catalog.pg_backend_pid() ORDER BY a.xact_start LIMIT 1"
)
