"""Conflicts: listed by key, settled one by one or in bulk, each decision in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.operations.session import Row, Session, UnknownError, as_value, json_or_null
from target_crm.sql.spec import I, S

TAKE = ("amo", "crm", "value")


@dataclass(frozen=True)
class Filter:
    """Which conflicts are meant; all that is None matches everything. Only open ones unless `resolved`."""

    ids: Sequence[int] | None = None
    table: str | None = None
    column: str | None = None
    run: int | None = None
    resolved: bool = False

    def condition(self) -> sql.Composed:
        """As SQL over `c`."""
        parts: list[sql.Composable] = [S("true")] if self.resolved else [S("c.resolved_at IS NULL")]
        if self.ids is not None:
            parts.append(S("c.id = ANY({})").format(sql.Literal(list(self.ids))))
        for name, value in (("table_name", self.table), ("column_name", self.column), ("run_id", self.run)):
            if value is not None:
                parts.append(S("c.{} = {}").format(I(name), sql.Literal(value)))
        return S(" AND ").join(parts)


@dataclass
class Settled:
    """How many conflicts were settled, how many rows written, and how many cells had changed meanwhile."""

    settled: int = 0
    written: int = 0
    changed_since: int = 0


def find_conflicts(session: Session, which: Filter, *, after: int = 0, limit: int = 50) -> list[Row]:
    """Conflicts with an id above `after`, the oldest first."""
    return session.rows(
        S("SELECT c.* FROM {} AS c WHERE {} AND c.id > %s ORDER BY c.id LIMIT %s").format(
            session.control("sync_conflicts"), which.condition()
        ),
        after,
        limit,
    )


def resolve(session: Session, which: Filter, take: str, value: Any = None) -> tuple[int | None, Settled]:
    """Settle open conflicts: `amo` writes amoCRM's value, `crm` keeps the CRM's, `value` writes another one.

    A cell that no longer holds what it held when the conflict was recorded is left alone, and its conflict stays open.
    The decision is a run of kind `resolve`, so that it can be undone; its number and what was done.

    Raises:
        UnknownError: `take` is none of these, or the value does not fit the column.
    """
    if take not in TAKE:
        msg = f"--take {take}: one of {', '.join(TAKE)} is needed."
        raise UnknownError(msg)
    settled = Settled()
    cells = session.rows(
        S("SELECT c.table_name, c.column_name FROM {} AS c WHERE {} GROUP BY 1, 2 ORDER BY 1, 2").format(
            session.control("sync_conflicts"), which.condition()
        )
    )
    if not cells:
        return None, settled
    with session.run("resolve") as run_id:
        counts: dict[str, dict[str, int]] = {}
        for cell in cells:
            live = session.table(cell["table_name"])
            done = _resolve_column(session, live, cell["column_name"], which, take, value, run_id)
            table = counts.setdefault(cell["table_name"], {"settled": 0, "updated": 0, "changed_since": 0})
            for name, number in zip(table, vars(done).values(), strict=True):
                table[name] += number
            settled.settled += done.settled
            settled.written += done.written
            settled.changed_since += done.changed_since
        session.count(run_id, counts)
    return run_id, settled


def _resolve_column(
    session: Session, live: LiveTable, column: str, which: Filter, take: str, value: Any, run_id: int
) -> Settled:
    mapping, conflicts = live.mapping, session.control("sync_conflicts")
    cell = S("{} AND c.table_name = {} AND c.column_name = {}").format(
        which.condition(), sql.Literal(mapping.table), sql.Literal(column)
    )
    same = S("t.{} IS NOT DISTINCT FROM {}").format(I(column), as_value(live, column, S("c.crm_value")))
    given = {"amo": S("c.amo_value"), "crm": S("c.crm_value"), "value": S("{}::jsonb").format(json_or_null(value))}[
        take
    ]
    meant = session.rows(S("SELECT count(*) AS n FROM {} AS c WHERE {}").format(conflicts, cell))[0]["n"]
    session.execute(S("DROP TABLE IF EXISTS pg_temp.settling"))
    # The rows are locked: who edits them now waits, and what was edited before is seen.
    session.execute(
        S(
            "CREATE TEMP TABLE settling ON COMMIT DROP AS SELECT c.id, c.row_id, c.crm_value, {given} AS new_value, "
            "{same} AS same FROM {conflicts} AS c JOIN {table} AS t ON t.{id}::text = c.row_id WHERE {cell} "
            "FOR UPDATE OF c, t"
        ).format(given=given, same=same, conflicts=conflicts, table=live.identifier, id=I(mapping.id), cell=cell)
    )
    done = Settled()
    if take != "crm":
        stamp = mapping.service.get("updated_at")
        touched = S(", {} = now()").format(I(stamp)) if stamp else S("")
        done.written = session.execute(
            S("UPDATE {} AS t SET {} = {}{} FROM settling AS s WHERE s.same AND t.{}::text = s.row_id").format(
                live.identifier, I(column), as_value(live, column, S("s.new_value")), touched, I(mapping.id)
            )
        )
    session.execute(
        S(
            "INSERT INTO {} (run_id, table_name, row_id, column_name, old_value, new_value) "
            "SELECT %s, %s, row_id, %s, crm_value, new_value FROM settling WHERE same"
        ).format(session.control("sync_changes")),
        run_id,
        mapping.table,
        column,
    )
    # The run's own start marks what it settled: undoing it opens just these again.
    done.settled = session.execute(
        S(
            "UPDATE {} AS c SET resolved_at = r.started_at, resolution = %s FROM settling AS s, {} AS r "
            "WHERE c.id = s.id AND s.same AND r.id = %s"
        ).format(conflicts, session.control("sync_runs")),
        take,
        run_id,
    )
    done.changed_since = meant - done.settled
    return done
