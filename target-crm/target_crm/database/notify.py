"""Tells listeners which run has written something."""

from __future__ import annotations

from typing import Any

import psycopg


def notify(connection: psycopg.Connection[Any], channel: str | None, run_id: int) -> None:
    """Send the run's number to the channel when the transaction commits; nothing without a channel.

    Of several notifications of one transaction with the same number PostgreSQL delivers one.
    """
    if channel is not None:
        connection.execute("SELECT pg_catalog.pg_notify(%s, %s)", (channel, str(run_id)))
