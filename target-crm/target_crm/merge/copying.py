"""Copies dumped columns into tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from target_crm.merge.copy_format import Column, dump_documents, rows_of
from target_crm.merge.session import MergeSession
from target_crm.sql import links


def copy_in(connection: psycopg.Connection[Any], statement: bytes, columns: Sequence[Column]) -> None:
    """Copy dumped columns into a table."""
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for rows in rows_of(columns):
            copy.write(rows)


def copy_lines(session: MergeSession, lines: Sequence[bytes]) -> None:
    """Stage JSON lines."""
    session.run(links.CREATE_LINES)
    session.run(links.TRUNCATE_LINES)
    copy_in(session.connection, links.COPY_LINES.as_bytes(session.connection), [dump_documents(lines)])
