"""The rows of sync_runs and sync_rejects, and the lock that lets one load at a time work on an account."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from target_crm.batch import Reject
from target_crm.database import without_secrets
from target_crm.errors import BusyError

logger = logging.getLogger("target-crm")
Connection = psycopg.Connection[Any]


def _run_lock(schema: str, run: sql.Composable) -> sql.Composed:
    """The key of the advisory lock that the session of a run holds as long as it lives."""
    return sql.SQL("hashtextextended({} || ({})::text, 0)").format(sql.Literal(f"target-crm:{schema}:run:"), run)


def is_alive(schema: str, alias: str = "r") -> sql.Composed:
    """SQL: whether the session of a run (a row of `sync_runs` under this alias) is still there.

    Every role sees who holds an advisory lock; other sessions' start times it may not see. Those serve for runs of
    version 0.1, which hold no such lock.
    """
    run = sql.Identifier(alias)
    return sql.SQL(
        "(EXISTS (SELECT FROM pg_locks AS l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
        "AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()) "
        "AND (l.classid::bigint << 32) | l.objid::bigint = {}) "
        "OR EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.pid = {run}.backend_pid "
        "AND a.backend_start = {run}.backend_start))"
    ).format(_run_lock(schema, sql.SQL("{}.id").format(run)), run=run)


def close_dead_runs(connection: Connection, schema: str) -> int:
    """Mark runs whose session is gone (killed, cut off) as interrupted; how many. The caller commits."""
    return connection.execute(
        sql.SQL(
            "UPDATE {} AS r SET status = 'interrupted', finished_at = now(), "
            "error = coalesce(error, 'the process ended without closing its run') WHERE status = 'running' AND NOT {}"
        ).format(sql.Identifier(schema, "sync_runs"), is_alive(schema))
    ).rowcount


def begin_run(connection: Connection, schema: str, kind: str) -> int:
    """Mark runs whose process died as interrupted, and open a new one; its number. The caller commits.

    The connection holds an advisory lock of the run's own from now on, by which others see that it lives.
    """
    runs = sql.Identifier(schema, "sync_runs")
    close_dead_runs(connection, schema)
    row = connection.execute(
        sql.SQL(
            "INSERT INTO {} (kind, backend_pid, backend_start) SELECT {}, pg_backend_pid(), "
            "(SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()) RETURNING id"
        ).format(runs, sql.Literal(kind))
    ).fetchone()
    assert row is not None
    run_id = int(row[0])
    connection.execute(sql.SQL("SELECT pg_advisory_lock({})").format(_run_lock(schema, sql.Literal(run_id))))
    return run_id


def write_counts(connection: Connection, schema: str, run_id: int, counts: dict[str, Any]) -> None:
    """Keep the run's counts by table. The caller commits."""
    connection.execute(
        sql.SQL("UPDATE {} SET counts = %s WHERE id = %s").format(sql.Identifier(schema, "sync_runs")),
        (Jsonb(counts), run_id),
    )


def close_run(connection: Connection, schema: str, run_id: int, status: str, error: str | None) -> None:
    """Close the run: `succeeded`, `failed` or `interrupted`. The caller commits."""
    connection.execute(
        sql.SQL("UPDATE {} SET finished_at = clock_timestamp(), status = %s, error = %s WHERE id = %s").format(
            sql.Identifier(schema, "sync_runs")
        ),
        (status, error and without_secrets(error), run_id),
    )


def note_merge_seconds(connection: Connection, schema: str, run_id: int, seconds: float) -> None:
    """Keep how long the run's merges took together. The caller commits.

    A database made before there was such a column gets it, if the role may; else the figure is not kept.
    """
    table = sql.Identifier(schema, "sync_runs")
    update = sql.SQL("UPDATE {} SET merge_seconds = %s WHERE id = %s").format(table)
    try:
        with connection.transaction():
            connection.execute(update, (seconds, run_id))
    except psycopg.errors.UndefinedColumn:
        with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS merge_seconds double precision").format(table)
            )
            connection.execute(update, (seconds, run_id))


def prune_journal(connection: Connection, schema: str, days: int) -> int:
    """Forget the journal of runs older than so many days; how many entries. The caller commits."""
    return connection.execute(
        sql.SQL(
            "DELETE FROM {} AS c USING {} AS r WHERE c.run_id = r.id "
            "AND r.started_at < now() - make_interval(days => %s)"
        ).format(sql.Identifier(schema, "sync_changes"), sql.Identifier(schema, "sync_runs")),
        (days,),
    ).rowcount


def write_rejects(connection: Connection, schema: str, run_id: int, rejects: Sequence[Reject]) -> None:
    """Put bad records aside. The caller commits."""
    if not rejects:
        return
    statement = sql.SQL("COPY {} (run_id, stream, record, error) FROM STDIN").format(
        sql.Identifier(schema, "sync_rejects")
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for reject in rejects:
            copy.write_row((run_id, *reject))
    for reject in rejects[:5]:
        logger.warning("Stream %s: a record was put into sync_rejects: %s", reject.stream, reject.error)
    if len(rejects) > 5:
        logger.warning("... and %d more; see sync_rejects.", len(rejects) - 5)


def lock_account(connection: Connection, schema: str, account: int, patience: float, *, keep_open: bool) -> None:
    """Take the lock of an account, waiting so many seconds for another load of it; it is held by the connection.

    Raises:
        BusyError: the other load did not end in time.
    """
    name = f"target-crm:{schema}:{account}"
    deadline = time.monotonic() + patience
    told = False
    while True:
        row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)).fetchone()
        if not keep_open:
            connection.commit()
        if row and row[0]:
            return
        if time.monotonic() >= deadline:
            msg = (
                f"Another load of account {account} is running on this database; it did not end within "
                f"lock_timeout_seconds = {patience:g}. Start again later."
            )
            raise BusyError(msg)
        if not told:
            logger.info("Another load of account %s is running; waiting for it.", account)
            told = True
        time.sleep(0.2)


def note_accounts(connection: Connection, schema: str, run_id: int, accounts: set[int]) -> None:
    """Keep which accounts the run loads. The caller commits."""
    connection.execute(
        sql.SQL("UPDATE {} SET account_ids = %s WHERE id = %s").format(sql.Identifier(schema, "sync_runs")),
        (sorted(accounts), run_id),
    )
