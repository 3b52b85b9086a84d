"""The setting that tells the database's own triggers which run a change belongs to."""

from __future__ import annotations

from typing import Any

import psycopg

Connection = psycopg.Connection[Any]


def work_for(connection: Connection, run_id: int | None, *, session: bool = True) -> None:
    """Say for which run the session, or only its transaction, works: what it changes in conflicts, rejects and warnings
    is then kept for an undoing of that run. None: for no run."""
    connection.execute(
        "SELECT pg_catalog.set_config('target_crm.run', %s, %s)", ("" if run_id is None else str(run_id), not session)
    )
