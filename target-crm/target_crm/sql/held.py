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
        SELECT crm.{id}::text, crm.{account}, crm.{amo_id}, crm.xmax::text
        FROM unnest(%s::bigint[], %s::bigint[]) AS wanted(account_id, amo_id)
        JOIN {table} AS crm ON crm.{account} = wanted.account_id AND crm.{amo_id} = wanted.amo_id{of_stream}
        """
    ).format(**_names(live))


def free_rows_of(live: LiveTable) -> sql.Composed:
    """The keys of those that nobody holds; they are locked by this."""
    return S(
        """
        SELECT crm.{id}::text FROM {table} AS crm
        WHERE (crm.{account}, crm.{amo_id}) IN (SELECT * FROM unnest(%s::bigint[], %s::bigint[])){of_stream}
        FOR NO KEY UPDATE OF crm SKIP LOCKED
        """
    ).format(**_names(live))


def row_at(live: LiveTable) -> sql.Composed:
    """Key and last transaction of the row at a place of the table."""
    return S("SELECT crm.{id}::text, crm.xmax::text FROM {table} AS crm WHERE crm.ctid = %s::tid").format(
        **_names(live)
    )


def _names(live: LiveTable) -> dict[str, sql.Composable]:
    table = live.mapping
    return {
        "id": I(table.id),
        "account": I(table.account or ""),
        "amo_id": I(table.amo_id or ""),
        "table": live.identifier,
        "of_stream": of_stream(live, "crm"),
    }


_WHO = S(
    "SELECT lock.pid, coalesce(nullif(activity.application_name, ''), '-'), coalesce(activity.usename, '-')::text, "
    "extract(epoch FROM pg_catalog.clock_timestamp() - activity.xact_start)::float8 FROM pg_catalog.pg_locks AS lock "
    "LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = lock.pid WHERE lock.granted AND {}"
)
HOLDER_OF_TRANSACTION = _WHO.format(S("lock.locktype = 'transactionid' AND lock.transactionid::text = %s"))
# Several sessions that hold one row share one number.
HOLDERS_OF_GROUP = _WHO.format(
    S(
        "lock.locktype = 'transactionid' "
        "AND lock.transactionid IN (SELECT member.xid FROM pg_catalog.pg_get_multixact_members(%s::xid) AS member)"
    )
)
HOLDERS_OF_TABLE = _WHO.format(
    S(
        "lock.locktype = 'relation' AND lock.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', "
        "'AccessExclusiveLock') AND lock.relation = pg_catalog.to_regclass(%s) AND lock.pid <> "
        "pg_catalog.pg_backend_pid() "
        "ORDER BY activity.xact_start"
    )
)


LOCKED_TABLES = S(
    "SELECT class.relname::text, lock.pid, coalesce(nullif(activity.application_name, ''), '-'), "
    "coalesce(activity.usename, '-')::text "
    "FROM pg_catalog.pg_locks AS lock JOIN pg_catalog.pg_class AS class ON class.oid = lock.relation AND "
    "class.relkind IN ('r', 'p') "
    "LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = lock.pid WHERE lock.granted AND "
    "lock.locktype = 'relation' "
    "AND lock.mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') AND lock.relation >= 16384 "
    "AND lock.database = (SELECT database.oid FROM pg_catalog.pg_database AS database WHERE database.datname "
    "= pg_catalog.current_database()) "
    "AND lock.pid <> pg_catalog.pg_backend_pid() ORDER BY activity.xact_start LIMIT 1"
)
