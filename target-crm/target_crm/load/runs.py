"""The rows of sync_runs, and the lock that lets one load at a time work on an account."""

from __future__ import annotations

import logging
import time
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from target_crm.config.database_url import without_secrets
from target_crm.database.run_setting import work_for
from target_crm.errors import BusyError
from target_crm.problems import Problem
from target_crm.sql.queries import query

logger = logging.getLogger("target-crm")
# What is said of a run whose session is gone.
ENDED = Problem("E_RUN_ENDED")
Connection = psycopg.Connection[Any]


def _run_lock(schema: str, run: sql.Composable) -> sql.Composed:
    """The key of the advisory lock that the session of a run holds as long as it lives."""
    return sql.SQL("hashtextextended({} || ({})::text, 0)").format(sql.Literal(f"target-crm:{schema}:run:"), run)


def _running(connection: Connection, schema: str) -> dict[int, bool]:
    """The open runs, and whether the session of each is still there.

    Every role sees who holds an advisory lock; other sessions' start times it may not see. Those serve for runs of
    version 0.1, which hold no such lock. Two queries, since Citus joins no table of its own with the server's.
    """
    found = connection.execute(query("runs.sql", "find_running", schema)).fetchall()
    if not found:
        return {}
    columns = [[run[place] for run in found] for place in range(3)]
    alive = query("runs.sql", "find_alive", schema, run_lock=_run_lock(schema, sql.SQL("run.id")))
    living = {row[0] for row in connection.execute(alive, columns)}
    return {run[0]: run[0] in living for run in found}


def is_alive(connection: Connection, schema: str, alias: str = "run") -> sql.Composed:
    """SQL: whether the session of an open run (a row of `sync_runs` under this alias) is there, as of now."""
    living = [run for run, is_there in _running(connection, schema).items() if is_there]
    return sql.SQL("{}.id = ANY({}::bigint[])").format(sql.Identifier(alias), sql.Literal(living))


def close_dead_runs(connection: Connection, schema: str) -> int:
    """Mark runs whose session is gone (killed, cut off) as interrupted; how many. The caller commits."""
    dead = [run for run, is_there in _running(connection, schema).items() if not is_there]
    if not dead:
        return 0
    return connection.execute(
        query("runs.sql", "close_dead", schema), (ENDED.text(), Jsonb([ENDED.as_dict()]), dead)
    ).rowcount


def begin_run(connection: Connection, schema: str, kind: str) -> int:
    """Mark runs whose process died as interrupted, and open a new one; its number. The caller commits.

    The connection holds an advisory lock of the run's own from now on, by which others see that it lives.
    """
    close_dead_runs(connection, schema)
    row = connection.execute(query("runs.sql", "begin", schema), (kind, *_own_session(connection, schema))).fetchone()
    assert row is not None
    run_id = int(row[0])
    connection.execute(sql.SQL("SELECT pg_advisory_lock({})").format(_run_lock(schema, sql.Literal(run_id))))
    work_for(connection, run_id)
    return run_id


def reopen_run(connection: Connection, schema: str, run_id: int) -> None:
    """Let a run whose session was lost live on in this one. The caller commits."""
    connection.execute(query("runs.sql", "reopen", schema), (*_own_session(connection, schema), run_id))
    connection.execute(sql.SQL("SELECT pg_advisory_lock({})").format(_run_lock(schema, sql.Literal(run_id))))
    work_for(connection, run_id)


def _own_session(connection: Connection, schema: str) -> tuple[Any, ...]:
    """The process and the start of the connection's session."""
    return connection.execute(query("runs.sql", "find_own_session", schema)).fetchone() or (None, None)


def find_later_run(connection: Connection, schema: str, run_id: int, accounts: set[int]) -> int | None:
    """A run that has worked on one of these accounts since that one began, if there is one."""
    row = connection.execute(query("runs.sql", "find_later", schema), (run_id, sorted(accounts))).fetchone()
    return None if row is None else row[0]


def write_counts(connection: Connection, schema: str, run_id: int, counts: dict[str, Any]) -> None:
    """Keep the run's counts by table. The caller commits."""
    connection.execute(query("runs.sql", "write_counts", schema), (Jsonb(counts), run_id))


def close_run(connection: Connection, schema: str, run_id: int, status: str, error: str | None) -> None:
    """Close the run: `succeeded`, `incomplete`, `failed` or `interrupted`. The caller commits."""
    values = status, error and without_secrets(error), run_id
    connection.execute(query("runs.sql", "close", schema), values)


def note_merge_seconds(connection: Connection, schema: str, run_id: int, seconds: float) -> None:
    """Keep how long the run's merges took together. The caller commits."""
    connection.execute(query("runs.sql", "write_merge_seconds", schema), (seconds, run_id))


def prune_journal(connection: Connection, schema: str, days: int) -> int:
    """Forget the journal of runs older than a number of days; how many entries. The caller commits."""
    changes = connection.execute(query("runs.sql", "prune_changes", schema), (days,)).rowcount
    return changes + connection.execute(query("runs.sql", "prune_issue_changes", schema), (days,)).rowcount


def lock_account(connection: Connection, schema: str, account: int, patience: float, *, keep_open: bool) -> None:
    """Take the lock of an account, waiting at most `patience` seconds for another load of it; the connection holds it.

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
            raise BusyError.of("E_LOAD_RUNNING", account=account, seconds=f"{patience:g}")
        if not told:
            logger.info("Another load of account %s is running; waiting for it.", account)
            told = True
        time.sleep(0.2)


def unlock_account(connection: Connection, schema: str, account: int) -> None:
    """Give the lock of an account back."""
    name = f"target-crm:{schema}:{account}"
    connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (name,))


def last_of_others(connection: Connection, schema: str, run_id: int) -> int:
    """The last run since this one that was of one of its accounts, or an operation; 0 without one."""
    row = connection.execute(query("runs.sql", "last_of_others", schema), (run_id,)).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def note_accounts(connection: Connection, schema: str, run_id: int, accounts: set[int]) -> None:
    """Keep which accounts the run loads. The caller commits."""
    connection.execute(query("runs.sql", "write_accounts", schema), (sorted(accounts), run_id))
