"""What there is: errors for numbers and names that there are not say what could have been meant."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from target_crm.config.setting_names import did_you_mean
from target_crm.operations.session import Session, UnknownError

_CALLED = {"sync_conflicts": "conflict", "sync_rejects": "reject"}
_MOST_LISTED = 10


def require_numbers(session: Session, table: str, numbers: Sequence[int], *, are_open: bool) -> None:
    """Make sure that conflicts (`sync_conflicts`) or rejects (`sync_rejects`) of these numbers exist.

    Args:
        session: The CRM.
        table: Their table.
        numbers: Their ids.
        are_open: Resolved ones are refused as well.

    Raises:
        UnknownError: some do not exist or are resolved; nothing else has happened.
    """
    kind = _CALLED[table]
    found = session.rows(
        sql.SQL("SELECT id, resolution, resolved_at FROM {} WHERE id = ANY(%s)").format(session.control(table)),
        list(numbers),
    )
    missing = sorted(set(numbers) - {row["id"] for row in found})
    problems = []
    if missing:
        problems.append(f"There is no {kind} {_listed(missing)}.")
    closed = [row for row in found if row["resolved_at"] is not None] if are_open else []
    for row in sorted(closed, key=lambda r: int(r["id"]))[:_MOST_LISTED]:
        what = "resolved" if kind == "conflict" else "closed"
        problems.append(f"{kind.capitalize()} {row['id']} is {what} already ({row['resolution'] or 'no reason'}).")
    if problems:
        raise UnknownError(" ".join([*problems, _open_ones(session, table)]))


def _open_ones(session: Session, table: str) -> str:
    kind = _CALLED[table]
    found = session.rows(
        sql.SQL("SELECT id FROM {} WHERE resolved_at IS NULL ORDER BY id LIMIT {}").format(
            session.control(table), sql.Literal(_MOST_LISTED + 1)
        )
    )
    if not found:
        return f"No {kind} is open."
    return f"Open {kind}s: {_listed([row['id'] for row in found])}."


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_MOST_LISTED]))
    return f"{shown}, ..." if len(numbers) > _MOST_LISTED else shown


def require_column(session: Session, table: str | None, column: str | None) -> None:
    """Make sure that a mapped table, and a column of it (of any table where none is given), are known.

    Raises:
        UnknownError: there is no such table or column; names the nearest.
    """
    live = [session.table(table)] if table is not None else list(session.tables.values())
    known = sorted({c.name for one in live for c in one.mapping.columns})
    if column is not None and column not in known:
        where = f"column {column} in {table}" if table else f"column {column} in any mapped table"
        msg = f"There is no mapped {where}.{did_you_mean(column, known)} Known: {', '.join(known)}."
        raise UnknownError(msg)


def require_stream(session: Session, stream: str) -> None:
    """Make sure that a stream is mapped.

    Raises:
        UnknownError: it is not; names the nearest.
    """
    known = [table.mapping.stream for table in session.tables.values()]
    if stream not in known:
        msg = f"There is no mapped stream {stream}.{did_you_mean(stream, known)} Known: {', '.join(known)}."
        raise UnknownError(msg)
