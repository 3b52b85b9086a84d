"""Runs: what there was, and what one of them changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from target_crm.load.runs import ENDED, is_alive
from target_crm.operations.session import Row, Session, UnknownError
from target_crm.sql import rules

S = sql.SQL
_FILE = "history.sql"


def _status(connection: psycopg.Connection[Any], schema: str) -> sql.Composed:
    """The status of `run` as it is now: one whose session is gone is not running, though no other has marked it yet."""
    return S("CASE WHEN run.status = 'running' AND NOT {} THEN 'interrupted' ELSE run.status END").format(
        is_alive(connection, schema)
    )


def current_status(session: Session) -> sql.Composed:
    """The status of `run`, a row of `sync_runs`, as it is now."""
    return _status(session.connection, session.settings.crm_schema)


@dataclass(frozen=True)
class RunFilter:
    """Which runs are meant; all that is None matches everything. Days are UTC's; `table` was changed by the run."""

    kind: str | Sequence[str] | None = None
    status: str | None = None
    table: str | None = None
    since: date | None = None
    until: date | None = None

    def condition(self, connection: psycopg.Connection[Any], schema: str) -> sql.Composed:
        """As SQL over `run`, of the schema's runs."""
        parts: list[sql.Composable] = [S("true")]
        if self.kind is not None:
            kinds = [self.kind] if isinstance(self.kind, str) else list(self.kind)
            parts.append(S("run.kind = ANY({})").format(sql.Literal(kinds)))
        if self.status is not None:
            parts.append(S("{} = {}").format(_status(connection, schema), sql.Literal(self.status)))
        if self.table is not None:
            parts.append(
                S(
                    """
                    EXISTS (
                        SELECT FROM jsonb_each(
                            CASE WHEN jsonb_typeof(run.counts->{table}) = 'object' THEN run.counts->{table} END
                        ) AS counted
                        WHERE counted.key NOT IN ('read', 'unchanged') AND counted.value <> '0'
                    )
                    """
                ).format(table=sql.Literal(self.table))
            )
        if self.since is not None:
            parts.append(S("run.started_at >= {}::date").format(sql.Literal(self.since)))
        if self.until is not None:
            parts.append(S("run.started_at < {}::date + 1").format(sql.Literal(self.until)))
        return S(" AND ").join(parts)


def find_runs(
    session: Session, *, before: int | None = None, limit: int = 20, which: RunFilter | None = None
) -> list[Row]:
    """Runs with a number below `before`, the last first. One whose session is gone is `interrupted`."""
    schema = session.settings.crm_schema
    found = session.rows(
        session.query(
            _FILE,
            "find_runs",
            current_status=current_status(session),
            condition=(which or RunFilter()).condition(session.connection, schema),
        ),
        before,
        before,
        limit,
    )
    for run in found:
        current = run.pop("current_status")
        if current != run["status"]:
            run["status"], run["error"] = current, run["error"] or ENDED.text()
            run["notices"] = [*run["notices"], ENDED.as_dict()]
    return found


def find_run(session: Session, run: int | None) -> Row:
    """One run, the last one for None.

    Raises:
        UnknownError: there is none.
    """
    found = find_runs(session, before=None if run is None else run + 1, limit=1)
    if not found or (run is not None and found[0]["id"] != run):
        raise unknown_run(session, run)
    return found[0]


def unknown_run(session: Session, run: int | None) -> UnknownError:
    """The error for a run that does not exist; names the first and the last run."""
    (there,) = session.rows(S("SELECT min(id) AS first, max(id) AS last FROM {}").format(session.control("sync_runs")))
    if there["last"] is None:
        return UnknownError.of("E_NO_RUN_YET")
    return UnknownError.of("E_RUN_UNKNOWN", run=run, first=there["first"], last=there["last"])


def undone_by(session: Session, run: int) -> int | None:
    """The run that undid this one and is not undone itself, or None."""
    query = S("SELECT {} AS id").format(rules.undone_by(session.control("sync_runs"), sql.Literal(run)))
    (found,) = session.rows(query)
    return None if found["id"] is None else int(found["id"])


def changes_by_column(session: Session, run: int) -> list[Row]:
    """How many entries of the journal a run made, by table and column; `*` are whole rows."""
    return session.rows(
        session.query(_FILE, "changes_by_column"),
        run,
    )


def changed_cells(session: Session, run: int, most: int = 1000) -> list[Row]:
    """Tables and columns that a run wrote, and how many entries of each, counted up to `most` + 1.

    Walks an index from one pair to the next, so it costs the same for ten million entries as for ten thousand.
    """
    return session.rows(
        session.query(_FILE, "changed_cells", run=sql.Literal(run), most=sql.Literal(most + 1)),
    )


def find_changes(
    session: Session, run: int, *, table: str | None = None, column: str | None = None, after: int = 0, limit: int = 50
) -> list[Row]:
    """Entries of a run's journal with an id above `after`."""
    parts: list[sql.Composable] = [S("run_id = {} AND id > {}").format(sql.Literal(run), sql.Literal(after))]
    order = [S("run_id")]
    for name, value in (("table_name", table), ("column_name", column)):
        if value is not None:
            parts.append(S("{} = {}").format(sql.Identifier(name), sql.Literal(value)))
            order.append(S(name))
    return session.rows(
        S("SELECT * FROM {} WHERE {} ORDER BY {}, id LIMIT %s").format(
            session.control("sync_changes"), S(" AND ").join(parts), S(", ").join(order)
        ),
        limit,
    )
