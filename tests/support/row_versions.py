"""How many row versions were written, by the server's own statistics, once all writers have reported."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg.rows import tuple_row

from target_crm.mapping import findings


def row_versions(connection: psycopg.Connection[Any], schema: str) -> dict[str, int]:
    """Rows inserted, updated and deleted so far, by table; without those that record the run, its state and warnings.

    A session tells what it wrote when it ends, at the latest, and ends after the process that opened it: those of the
    target are waited for.
    """
    deadline = time.monotonic() + 30
    with connection.cursor(row_factory=tuple_row) as cursor:
        while cursor.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'target-crm%'"
        ).fetchone():
            assert time.monotonic() < deadline, "a session of the target does not end"
            time.sleep(0.02)
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables "
            "WHERE schemaname = %s AND relname <> ALL (%s)",
            (schema, ["sync_runs", "sync_state", "sync_released_states", "sync_warnings"]),
        )
        return {str(table): int(count) for table, count in cursor.fetchall()}


def hide_row_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the catalogue tell of no table that xmin is a row's version, as on partitions and on Citus."""
    read = findings.read_facts_of

    def without(*args: Any) -> dict[Any, Any]:
        return {place: replace(facts, has_versions=False) for place, facts in read(*args).items()}

    monkeypatch.setattr(findings, "read_facts_of", without)
