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
# A run whose session is gone is not running, though no other has marked it yet. {alive} is `runs.is_alive`.
CURRENT_STATUS = S("CASE WHEN r.status = 'running' AND NOT {alive} THEN 'interrupted' ELSE r.status END")


@dataclass(frozen=True)
class RunFilter:
    """Which runs are meant; all that is None matches everything. Days are UTC's; `table` was changed by the run."""

    kind: str | Sequence[str] | None = None
    status: str | None = None
    table: str | None = None
    since: date | None = None
    until: date | None = None

    def condition(self, connection: psycopg.Connection[Any], schema: str) -> sql.Composed:
        """As SQL over `r`, of the schema's runs."""
        parts: list[sql.Composable] = [S("true")]
        if self.kind is not None:
            kinds = [self.kind] if isinstance(self.kind, str) else list(self.kind)
            parts.append(S("r.kind = ANY({})").format(sql.Literal(kinds)))
        if self.status is not None:
            parts.append(
                S("{} = {}").format(CURRENT_STATUS.format(alive=is_alive(connection, schema)), sql.Literal(self.status))
            )
        if self.table is not None:
            parts.append(
                S(
                    "EXISTS (SELECT FROM jsonb_each(CASE WHEN jsonb_typeof(r.counts -> {t}) = 'object' "
                    "THEN r.counts -> {t} END) AS n WHERE n.key NOT IN ('read', 'unchanged') AND n.value <> '0')"
                ).format(t=sql.Literal(self.table))
            )
        if self.since is not None:
            parts.append(S("r.started_at >= {}::date").format(sql.Literal(self.since)))
        if self.until is not None:
            parts.append(S("r.started_at < {}::date + 1").format(sql.Literal(self.until)))
        return S(" AND ").join(parts)


def find_runs(
    session: Session, *, before: int | None = None, limit: int = 20, which: RunFilter | None = None
) -> list[Row]:
    """Runs with a number below `before`, the last first. One whose session is gone is `interrupted`."""
    schema = session.settings.crm_schema
    found = session.rows(
        S(
            "SELECT r.*, extract(epoch FROM r.finished_at - r.started_at)::float AS seconds, {} AS current_status "
            "FROM {} AS r WHERE (%s::bigint IS NULL OR r.id < %s) AND {} ORDER BY r.id DESC LIMIT %s"
        ).format(
            CURRENT_STATUS.format(alive=is_alive(session.connection, schema)),
            session.control("sync_runs"),
            (which or RunFilter()).condition(session.connection, schema),
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
        S(
            "SELECT table_name, column_name, count(*) AS n FROM {} WHERE run_id = %s "
            "GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2"
        ).format(session.control("sync_changes")),
        run,
    )


def changed_cells(session: Session, run: int, most: int = 1000) -> list[Row]:
    """Tables and columns that a run wrote, and how many entries of each, counted up to `most` + 1.

    Walks an index from one pair to the next, so it costs the same for ten million entries as for ten thousand.
    """
    return session.rows(
        S(
            "WITH RECURSIVE cells AS ((SELECT table_name, column_name FROM {e} WHERE run_id = {run} "
            "ORDER BY table_name, column_name LIMIT 1) UNION ALL SELECT following.* FROM cells, LATERAL ("
            "SELECT e.table_name, e.column_name FROM {e} AS e WHERE e.run_id = {run} "
            "AND (e.table_name, e.column_name) > (cells.table_name, cells.column_name) "
            "ORDER BY e.table_name, e.column_name LIMIT 1) AS following) "
            "SELECT table_name, column_name, (SELECT count(*) FROM (SELECT FROM {e} AS e WHERE e.run_id = {run} "
            "AND e.table_name = cells.table_name AND e.column_name = cells.column_name LIMIT {most}) AS x) AS n "
            "FROM cells ORDER BY 1, 2"
        ).format(e=session.control("sync_changes"), run=sql.Literal(run), most=sql.Literal(most + 1)),
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
