"""Conflicts: listed by key, resolved one by one or in bulk, each decision in the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from target_crm.operations.concerned import accounts_of_conflicts
from target_crm.operations.known import unknown_numbers
from target_crm.operations.session import Row, Session, UnknownError
from target_crm.sql import conflicts as statements
from target_crm.sql.conflicts import RULES
from target_crm.sql.journal import write_entries
from target_crm.sql.spec import S

TAKE = ("amo", "crm", "value")
_FILE = "conflicts.sql"


def require_rule(rule: str) -> None:
    """Make sure that there is a kind of difference of that name.

    Raises:
        UnknownError: there is none.
    """
    if rule not in RULES:
        raise UnknownError.of("E_RULE_UNKNOWN", rule=rule, known=list(RULES))


def rule_indexes(session: Session) -> dict[str, sql.Composed]:
    """By name, an index for each rule: without it, a rule that few conflicts fit reads all of them."""
    return {f"sync_conflicts_{rule}": statements.rule_index(session.settings.crm_schema, rule) for rule in RULES}


@dataclass(frozen=True)
class Filter:
    """Which conflicts are meant; all that is None matches everything. Only open ones unless `resolved`.

    `rule` is one of `RULES`; `up_to` leaves out conflicts with a greater id (those that came after somebody looked).
    `text` is contained in one of the values, or the record is one of `rows` (table and key).
    """

    ids: Sequence[int] | None = None
    table: str | None = None
    column: str | None = None
    run: int | None = None
    resolved: bool = False
    rule: str | None = None
    row: str | None = None
    up_to: int | None = None
    text: str | None = None
    rows: Sequence[tuple[str, str]] = ()

    def condition(self) -> sql.Composed:
        """As SQL over `conflict`.

        Raises:
            UnknownError: there is no such rule.
        """
        parts: list[sql.Composable] = [S("true")] if self.resolved else [S("conflict.resolved_at IS NULL")]
        if self.ids is not None:
            parts.append(S("conflict.id = ANY({})").format(sql.Literal(list(self.ids))))
        parts += statements.is_cell(
            {"table_name": self.table, "row_id": self.row, "column_name": self.column, "run_id": self.run}
        )
        if self.rule is not None:
            require_rule(self.rule)
            parts.append(S("({})").format(statements.rule_condition(self.rule, "conflict")))
        if self.text is not None:
            parts.append(statements.holds_text(self.text, self.rows))
        if self.up_to is not None:
            parts.append(S("conflict.id <= {}").format(sql.Literal(self.up_to)))
        return S(" AND ").join(parts)


@dataclass
class Settled:
    """How many conflicts were resolved, how many rows written, and how many cells had changed meanwhile."""

    settled: int = 0
    written: int = 0
    changed_since: int = 0


@dataclass(frozen=True)
class CellNow:
    """What the CRM's cell of a conflict holds now. `fingerprint` stands for the value in `resolve(seen=...)`.

    `exists` is False where the row, the column or the mapping's table is gone.
    """

    exists: bool
    value: Any = None
    fingerprint: str = ""
    as_recorded: bool = False


def find_conflicts(
    session: Session, which: Filter, *, after: int = 0, before: int | None = None, limit: int = 50, few: bool = False
) -> list[Row]:
    """Conflicts with an id above `after`, the oldest first; with `before`, those below it, the nearest first.

    Where `few` match, they are looked up by what they match and then sorted, not picked out of all in their order.
    """
    key = S("conflict.id + 0") if few else S("conflict.id")
    beyond, direction = (S("conflict.id > %s"), S("ASC")) if before is None else (S("conflict.id < %s"), S("DESC"))
    order = S("{} {}").format(key, direction)
    return session.rows(
        session.query(_FILE, "find", condition=which.condition(), beyond=beyond, order=order),
        after if before is None else before,
        limit,
    )


def find_conflict(session: Session, number: int) -> Row:
    """One conflict, resolved or not; `settled_by` is the run that resolved it, None while it is open.

    Raises:
        UnknownError: there is none.
    """
    found = session.rows(session.query(_FILE, "find_one"), number)
    if not found:
        raise unknown_numbers(session, "sync_conflicts", [number])
    return found[0]


def count_conflicts(session: Session, which: Filter, most: int = 1000) -> tuple[int, int | None]:
    """How many conflicts match, counted up to `most` + 1, and the greatest id among all that there are now."""
    (found,) = session.rows(session.query(_FILE, "count", condition=which.condition(), most=sql.Literal(most + 1)))
    return found["n"], found["newest"]


def open_cells(session: Session, most: int = 1000) -> list[Row]:
    """Tables and columns with open conflicts, and how many of each, counted up to `most` + 1.

    Walks an index from one pair to the next instead of counting everything.
    """
    return session.rows(session.query(_FILE, "open_cells", most=sql.Literal(most + 1)))


def cell_now(session: Session, conflict: Row) -> CellNow:
    """What the cell that a conflict is about holds now."""
    live = session.tables.get(conflict["table_name"])
    column = conflict["column_name"]
    if live is None or not live.has(column):
        return CellNow(exists=False)
    try:
        with session.connection.transaction():
            found = session.rows(statements.cell_now(live, column, str(conflict["row_id"]), conflict["crm_value"]))
    except psycopg.DataError:  # a key of a table that had other keys once
        return CellNow(exists=False)
    if not found:
        return CellNow(exists=False)
    return CellNow(True, found[0]["value"], found[0]["fingerprint"], bool(found[0]["same"]))


def resolve(
    session: Session, which: Filter, take: str, value: Any = None, *, seen: str | None = None
) -> tuple[int | None, Settled]:
    """Resolve open conflicts: `amo` writes amoCRM's value, `crm` keeps the CRM's, `value` writes another one.

    A cell that no longer holds what it held when the conflict was recorded is left alone, and its conflict stays open -
    unless `seen` is the fingerprint (`cell_now`) of what it holds: then somebody decided who saw that value. Where the
    row, its column or the table's mapping is gone, `crm` closes the conflict.

    The decision is a run of kind `resolve`, so that it can be undone; its number and what was done. The number is None
    when nothing was resolved.

    Raises:
        UnknownError: `take` is not one of these.
        BusyError: a load, or another session that holds rows, was in the way for `lock_timeout_seconds`.
    """
    if take not in TAKE:
        raise UnknownError.of("E_TAKE_UNKNOWN", take=take, known=list(TAKE))
    cells = session.rows(session.query(_FILE, "cells_of", condition=which.condition()))
    session.connection.commit()
    if not cells:
        return None, Settled()

    def settle(run_id: int) -> tuple[int, Settled]:
        return run_id, _settle(session, which, cells, run_id, take, value, seen)

    try:
        return _run(session, which, cells, settle)
    except _NothingSettledError as nothing:
        return None, nothing.settled


@dataclass(frozen=True)
class Choice:
    """What somebody decided about one conflict: `take` is one of `TAKE`, `seen` the fingerprint of what they saw."""

    take: str
    value: Any = None
    seen: str | None = None


def resolve_each(session: Session, choices: Mapping[int, Choice]) -> tuple[int | None, Settled]:
    """Resolve open conflicts, each by its own choice, all in one run; see `resolve`.

    Raises:
        As `resolve`.
    """
    which = Filter(ids=sorted(choices))
    found = session.rows(session.query(_FILE, "each_of", condition=which.condition()))
    session.connection.commit()
    if not found:
        return None, Settled()

    def settle(run_id: int) -> tuple[int, Settled]:
        settled, counts = Settled(), dict[str, dict[str, int]]()
        for row in found:
            choice, one = choices[row["id"]], Filter(ids=[row["id"]])
            decision = _Decision(session, row["table_name"], row["column_name"], one, run_id)
            _add(settled, counts, row["table_name"], decision.settle(choice.take, choice.value, choice.seen))
        return run_id, _counted(session, run_id, settled, counts)

    try:
        return _run(session, which, found, settle)
    except _NothingSettledError as nothing:
        return None, nothing.settled


def _run(
    session: Session, which: Filter, cells: Sequence[Row], settle: Callable[[int], tuple[int, Settled]]
) -> tuple[int, Settled]:
    """A run that resolves conflicts, while no load works on their rows' accounts."""
    accounts = accounts_of_conflicts(session, {cell["table_name"] for cell in cells}, which.condition())
    return session.run("resolve", settle, accounts=accounts, prepare=lambda: _lock_rows(session, which, cells))


def _add(settled: Settled, counts: dict[str, dict[str, int]], name: str, done: Settled) -> None:
    table = counts.setdefault(name, {"settled": 0, "updated": 0, "changed_since": 0})
    for count, number in zip(table, vars(done).values(), strict=True):
        table[count] += number
    settled.settled += done.settled
    settled.written += done.written
    settled.changed_since += done.changed_since


def _counted(session: Session, run_id: int, settled: Settled, counts: dict[str, dict[str, int]]) -> Settled:
    session.count(run_id, counts)
    if not settled.settled:
        raise _NothingSettledError(settled)
    return settled


def _settle(
    session: Session, which: Filter, cells: Sequence[Row], run_id: int, take: str, value: Any, seen: str | None
) -> Settled:
    """Resolve the conflicts of these columns, in the caller's transaction.

    Raises:
        _NothingSettledError: none could be resolved.
    """
    settled, counts = Settled(), dict[str, dict[str, int]]()
    for cell in cells:
        decision = _Decision(session, cell["table_name"], cell["column_name"], which, run_id)
        _add(settled, counts, cell["table_name"], decision.settle(take, value, seen))
    return _counted(session, run_id, settled, counts)


def _lock_rows(session: Session, which: Filter, cells: Sequence[Row]) -> None:
    """Lock the rows that conflicts are about: tables in the mapping's order, rows in their keys' order."""
    about = {cell["table_name"] for cell in cells}
    for name, live in session.tables.items():
        if name not in about:
            continue
        session.execute(statements.lock_rows(live, session.settings.crm_schema, which.condition()))
    session.execute(session.query(_FILE, "lock", condition=which.condition()))


class _NothingSettledError(Exception):
    """Rolls a decision back that resolved nothing: it is not a run."""

    def __init__(self, settled: Settled) -> None:
        super().__init__()
        self.settled = settled


class _Decision:
    """One column's conflicts that a decision is about, resolved set-based."""

    def __init__(self, session: Session, table: str, column: str, which: Filter, run_id: int) -> None:
        self.session, self.table, self.column, self.run_id = session, table, column, run_id
        found = session.tables.get(table)
        self.live = found if found is not None and found.has(column) else None
        self.schema = session.settings.crm_schema
        self.cell = S(" AND ").join(
            [which.condition(), *statements.is_cell({"table_name": table, "column_name": column})]
        )

    def settle(self, take: str, value: Any, seen: str | None) -> Settled:
        done = Settled()
        meant = self.session.rows(self.session.query(_FILE, "count_all", condition=self.cell))
        if self.live is not None:
            # The rows have been locked before (`_lock_rows`).
            self.session.execute_all(
                statements.read_settling(self.live, self.schema, self.column, self.cell, take, value, seen)
            )
        else:
            self.session.execute_all(statements.read_none(self.schema))
        if take == "crm":
            # Where the row or the column is gone there is nothing to keep.
            self.session.execute(statements.add_orphans(self.live, self.schema, self.cell))
        elif self.live is not None:
            done.written = self.session.execute(statements.write_settled(self.live, self.column))
        entries = statements.settled_entries(self.column)
        self.session.execute(write_entries(self.schema, self.run_id, self.table, entries))
        done.settled = self.session.execute(
            self.session.query(_FILE, "mark_settled", settling=statements.SETTLING), take, self.run_id
        )
        done.changed_since = meant[0]["n"] - done.settled
        return done
