"""What there is: errors for numbers and names that there are not say what could have been meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from target_crm.config.setting_names import nearest
from target_crm.operations.session import NotPossibleError, Session, UnknownError

_UNKNOWN = {
    "sync_conflicts": "E_CONFLICT_UNKNOWN",
    "sync_rejects": "E_REJECT_UNKNOWN",
    "sync_proposals": "E_PROPOSAL_UNKNOWN",
}
_CLOSED = {
    "sync_conflicts": "E_CONFLICT_RESOLVED",
    "sync_rejects": "E_REJECT_CLOSED",
    "sync_proposals": "E_PROPOSAL_CLOSED",
}
_MOST_LISTED = 10


def require_numbers(session: Session, table: str, numbers: Sequence[int], *, are_open: bool) -> None:
    """Make sure that conflicts (`sync_conflicts`), rejects or proposals of these numbers exist.

    Args:
        session: The CRM.
        table: Their table.
        numbers: Their ids.
        are_open: Resolved ones are refused as well.

    Raises:
        UnknownError: some do not exist or are resolved; nothing else has happened.
    """
    found = session.rows(
        sql.SQL("SELECT id, resolution, resolved_at FROM {} WHERE id = ANY(%s)").format(session.control(table)),
        list(numbers),
    )
    missing = sorted(set(numbers) - {row["id"] for row in found})
    if missing:
        raise unknown_numbers(session, table, missing)
    closed = sorted((row for row in found if row["resolved_at"] is not None), key=lambda row: int(row["id"]))
    if are_open and closed:
        shown = [f"{row['id']} ({row['resolution'] or '–'})" for row in closed]
        raise NotPossibleError.of(_CLOSED[table], resolved=_listed(shown), open=_open_ones(session, table))


def unknown_numbers(session: Session, table: str, numbers: Sequence[int]) -> UnknownError:
    """The error for conflicts or rejects that do not exist; names some of those that are open."""
    return UnknownError.of(_UNKNOWN[table], numbers=_listed(numbers), open=_open_ones(session, table))


def _open_ones(session: Session, table: str) -> list[str]:
    found = session.rows(
        sql.SQL("SELECT id FROM {} WHERE resolved_at IS NULL ORDER BY id LIMIT {}").format(
            session.control(table), sql.Literal(_MOST_LISTED + 1)
        )
    )
    return _listed([row["id"] for row in found])


def _listed(found: Sequence[Any]) -> list[str]:
    return [*map(str, found[:_MOST_LISTED]), *["..."] * (len(found) > _MOST_LISTED)]


def require_column(session: Session, table: str | None, column: str | None) -> None:
    """Make sure that a mapped table, and a column of it (of any table where none is given), are known.

    Raises:
        UnknownError: there is no such table or column; names the nearest.
    """
    live = [session.table(table)] if table is not None else list(session.tables.values())
    known = sorted({c.name for one in live for c in one.mapping.columns})
    if column is not None and column not in known:
        found = {"nearest": nearest(column, known), "known": known}
        raise UnknownError.of("E_COLUMN_UNKNOWN", column=column, table=table, **found)
