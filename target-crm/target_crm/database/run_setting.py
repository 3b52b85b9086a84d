"""The setting that tells the database's own triggers which run a change belongs to."""

from __future__ import annotations

from typing import Any

import psycopg

from target_crm.database.session import PinnedConnection

Connection = psycopg.Connection[Any]


def work_for(connection: Connection, run_id: int | None, *, session: bool = True) -> None:
    """Say for which run the session, or only its transaction, works: what it changes in conflicts, rejects and warnings
    is then kept for an undo of that run. None: for no run."""
    value = "" if run_id is None else str(run_id)
    connection.execute("SELECT pg_catalog.set_config('target_crm.run', %s, %s)", (value, not session))
    if isinstance(connection, PinnedConnection):
        connection.set_everywhere("target_crm.run", value)
