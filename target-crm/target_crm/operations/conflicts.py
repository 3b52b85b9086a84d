"""Conflicts: listed by key, resolved one by one or in bulk, each decision in the journal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.operations.concerned import accounts_of_conflicts
from target_crm.operations.known import unknown_numbers
from target_crm.operations.session import Row, Session, UnknownError, as_key, as_value, json_or_null
from target_crm.sql.document_keys import assignment
from target_crm.sql.journal import write_entries
from target_crm.sql.spec import I, S
from target_crm.sql.staging_table import StagingTable, drop, make

TAKE = ("amo", "crm", "value")
SIDES = ("base", "crm", "amo")
_SETTLING = StagingTable("settling")

# What the two values of a conflict have to do with each other, without case, blanks and punctuation. A value of nothing
# but those has to do with none.
_PLAIN = "regexp_replace(lower(@{} #>> '{{}}'), '[[:space:][:punct:]]+', '', 'g')"
_OURS, _THEIRS = _PLAIN.replace("{}", "crm_value", 1), _PLAIN.replace("{}", "amo_value", 1)
RULES = {
    "same_but_spelling": f"{_OURS} = {_THEIRS} AND {_OURS} <> ''",
    "amo_says_more": f"position({_OURS} IN {_THEIRS}) > 0 AND length({_THEIRS}) > length({_OURS}) AND {_OURS} <> ''",
    "crm_says_more": f"position({_THEIRS} IN {_OURS}) > 0 AND length({_OURS}) > length({_THEIRS}) AND {_THEIRS} <> ''",
    "base_was_empty": "coalesce(@base_value, 'null') IN ('null', '\"\"', '[]')",
}


def rule_condition(rule: str, alias: str = "") -> sql.Composed:
    """A rule as SQL over `sync_conflicts` under an alias.

    Raises:
        UnknownError: there is no such rule.
    """
    if rule not in RULES:
        raise UnknownError.of("E_RULE_UNKNOWN", rule=rule, known=list(RULES))
    return S(RULES[rule].replace("@", f"{alias}." if alias else "")).format()


def rule_indexes(session: Session) -> dict[str, sql.Composed]:
    """By name, an index for each rule: without it, a rule that few conflicts fit reads all of them."""
    return {
        f"sync_conflicts_{rule}": S(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS {} ON {} (id) WHERE resolved_at IS NULL AND ({})"
        ).format(I(f"sync_conflicts_{rule}"), session.control("sync_conflicts"), rule_condition(rule))
        for rule in RULES
    }


def value_text(side: str, *alias: str) -> sql.Composed:
    """A value of a conflict (one of `SIDES`) as the text that people look for."""
    return S("({} #>> '{{}}')").format(I(*alias, f"{side}_value"))


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
        """As SQL over `c`.

        Raises:
            UnknownError: there is no such rule.
        """
        parts: list[sql.Composable] = [S("true")] if self.resolved else [S("c.resolved_at IS NULL")]
        if self.ids is not None:
            parts.append(S("c.id = ANY({})").format(sql.Literal(list(self.ids))))
        cells = {"table_name": self.table, "row_id": self.row, "column_name": self.column, "run_id": self.run}
        for name, value in cells.items():
            if value is not None:
                parts.append(S("c.{} = {}").format(I(name), sql.Literal(value)))
        if self.rule is not None:
            parts.append(S("({})").format(rule_condition(self.rule, "c")))
        if self.text is not None:
            parts.append(self._holds_text(self.text))
        if self.up_to is not None:
            parts.append(S("c.id <= {}").format(sql.Literal(self.up_to)))
        return S(" AND ").join(parts)

    def _holds_text(self, text: str) -> sql.Composed:
        pattern = sql.Literal("%" + re.sub(r"([\\%_])", r"\\\1", text) + "%")
        found = [S("{} ILIKE {}").format(value_text(side, "c"), pattern) for side in SIDES]
        # Each of these can be looked up in a separate index.
        for table in sorted({table for table, _ in self.rows}):
            keys = [key for name, key in self.rows if name == table]
            found.append(S("(c.table_name = {} AND c.row_id = ANY({}))").format(sql.Literal(table), sql.Literal(keys)))
        return S("({})").format(S(" OR ").join(found))


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
    key = S("c.id + 0") if few else S("c.id")
    order = S("c.id > %s ORDER BY {} LIMIT %s") if before is None else S("c.id < %s ORDER BY {} DESC LIMIT %s")
    return session.rows(
        S("SELECT c.* FROM {} AS c WHERE {} AND {}").format(
            session.control("sync_conflicts"), which.condition(), order.format(key)
        ),
        after if before is None else before,
        limit,
    )


def find_conflict(session: Session, number: int) -> Row:
    """One conflict, resolved or not; `settled_by` is the run that resolved it, None while it is open.

    Raises:
        UnknownError: there is none.
    """
    found = session.rows(
        S(
            "SELECT c.*, (SELECT max(r.id) FROM {} AS r WHERE r.kind = 'resolve' AND r.started_at = c.resolved_at) "
            "AS settled_by FROM {} AS c WHERE c.id = %s"
        ).format(session.control("sync_runs"), session.control("sync_conflicts")),
        number,
    )
    if not found:
        raise unknown_numbers(session, "sync_conflicts", [number])
    return found[0]


def count_conflicts(session: Session, which: Filter, most: int = 1000) -> tuple[int, int | None]:
    """How many conflicts match, counted up to `most` + 1, and the greatest id among all that there are now."""
    (found,) = session.rows(
        S(
            "SELECT (SELECT count(*) FROM (SELECT FROM {c} AS c WHERE {} LIMIT {}) AS x) AS n, "
            "(SELECT max(id) FROM {c}) AS newest"
        ).format(which.condition(), sql.Literal(most + 1), c=session.control("sync_conflicts"))
    )
    return found["n"], found["newest"]


def open_cells(session: Session, most: int = 1000) -> list[Row]:
    """Tables and columns with open conflicts, and how many of each, counted up to `most` + 1.

    Walks an index from one pair to the next instead of counting everything.
    """
    return session.rows(
        S(
            "WITH RECURSIVE cells AS ((SELECT table_name, column_name FROM {c} WHERE resolved_at IS NULL "
            "ORDER BY table_name, column_name LIMIT 1) UNION ALL SELECT following.* FROM cells, LATERAL ("
            "SELECT c.table_name, c.column_name FROM {c} AS c WHERE c.resolved_at IS NULL "
            "AND (c.table_name, c.column_name) > (cells.table_name, cells.column_name) "
            "ORDER BY c.table_name, c.column_name LIMIT 1) AS following) "
            "SELECT table_name, column_name, (SELECT count(*) FROM (SELECT FROM {c} AS c WHERE c.resolved_at IS NULL "
            "AND c.table_name = cells.table_name AND c.column_name = cells.column_name LIMIT {most}) AS x) AS n "
            "FROM cells ORDER BY 1, 2"
        ).format(c=session.control("sync_conflicts"), most=sql.Literal(most + 1))
    )


def cell_now(session: Session, conflict: Row) -> CellNow:
    """What the cell that a conflict is about holds now."""
    live = session.tables.get(conflict["table_name"])
    column = conflict["column_name"]
    if live is None or not live.has(column):
        return CellNow(exists=False)
    try:
        with session.connection.transaction():
            found = session.rows(
                S(
                    "SELECT to_jsonb({c}) AS value, {} AS fingerprint, {c} IS NOT DISTINCT FROM {} AS same "
                    "FROM {} AS t "
                ).format(
                    _fingerprint(live, column),
                    as_value(live, column, S("%s::jsonb")),
                    live.identifier,
                    c=live.cell("t", column),
                )
                + S("WHERE t.{} = {}").format(I(live.mapping.id), as_key(live, S("%s"))),
                *[json_or_null(conflict["crm_value"])] * _times(live, column),
                conflict["row_id"],
            )
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
    cells = session.rows(
        S("SELECT c.table_name, c.column_name FROM {} AS c WHERE {} GROUP BY 1, 2 ORDER BY 1, 2").format(
            session.control("sync_conflicts"), which.condition()
        )
    )
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
    found = session.rows(
        S("SELECT c.id, c.table_name, c.column_name FROM {} AS c WHERE {} ORDER BY c.id").format(
            session.control("sync_conflicts"), which.condition()
        )
    )
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
        session.execute(
            S(
                "SELECT FROM {table} AS t WHERE t.{id} IN (SELECT {key} FROM {conflicts} AS c WHERE {meant} "
                "AND c.table_name = {name}) ORDER BY t.{id} FOR NO KEY UPDATE"
            ).format(
                table=live.identifier,
                id=I(live.mapping.id),
                key=as_key(live, S("c.row_id")),
                conflicts=session.control("sync_conflicts"),
                meant=which.condition(),
                name=sql.Literal(name),
            )
        )
    session.execute(
        S("SELECT FROM {} AS c WHERE {} ORDER BY c.id FOR UPDATE").format(
            session.control("sync_conflicts"), which.condition()
        )
    )


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
        self.conflicts = session.control("sync_conflicts")
        self.cell = S("{} AND c.table_name = {} AND c.column_name = {}").format(
            which.condition(), sql.Literal(table), sql.Literal(column)
        )

    def settle(self, take: str, value: Any, seen: str | None) -> Settled:
        done = Settled()
        meant = self.session.rows(S("SELECT count(*) AS n FROM {} AS c WHERE {}").format(self.conflicts, self.cell))
        if self.live is not None:
            self._lock(self.live, take, value, seen)
        else:
            self._nothing_to_lock()
        if take == "crm":
            self._add_orphans()
        elif self.live is not None:
            done.written = self._write(self.live)
        self._journal()
        # The run's own start marks what it resolved: undoing it opens just these again.
        done.settled = self.session.execute(
            S(
                "UPDATE {} AS c SET resolved_at = r.started_at, resolution = %s "
                "FROM {} AS s, (SELECT started_at FROM {} WHERE id = %s OFFSET 0) AS r WHERE c.id = s.id AND s.same"
            ).format(self.conflicts, _SETTLING, self.session.control("sync_runs")),
            take,
            self.run_id,
        )
        done.changed_since = meant[0]["n"] - done.settled
        return done

    def _lock(self, live: LiveTable, take: str, value: Any, seen: str | None) -> None:
        """The rows are locked: who edits them now waits, and what was edited before is seen."""
        column = self.column
        now = S("to_jsonb({})").format(live.cell("t", column))
        if seen is None:
            same = S("{} IS NOT DISTINCT FROM {}").format(
                live.cell("t", column), as_value(live, column, S("c.crm_value"))
            )
        else:
            same = S("{} = {}").format(_fingerprint(live, column), sql.Literal(seen))
        typed = S("{}::jsonb").format(sql.Literal(json_or_null(value)))
        given = {"amo": S("c.amo_value"), "crm": now, "value": typed}[take]
        # The rows have been locked before (`_lock_rows`).
        query = S(
            "SELECT c.id, c.row_id, {now} AS old_value, {given} AS new_value, {same} AS same, {typed} AS value "
            "FROM {conflicts} AS c JOIN {table} AS t ON t.{id} = {key} WHERE {cell}"
        ).format(
            now=now,
            given=given,
            same=same,
            typed=as_value(live, column, given),
            conflicts=self.conflicts,
            table=live.identifier,
            id=I(live.mapping.id),
            key=as_key(live, S("c.row_id")),
            cell=self.cell,
        )
        self.session.execute_all([drop("settling"), make("settling", query)])

    def _nothing_to_lock(self) -> None:
        query = S(
            "SELECT id, row_id, crm_value AS old_value, crm_value AS new_value, true AS same, NULL::text AS value "
            "FROM {} WHERE false"
        ).format(self.conflicts)
        self.session.execute_all([drop("settling"), make("settling", query)])

    def _add_orphans(self) -> None:
        """Conflicts whose row or column is gone: there is nothing to keep, and they are closed."""
        gone: sql.Composable = S("true")
        if self.live is not None:
            gone = S("NOT EXISTS (SELECT FROM {} AS t WHERE t.{} = {})").format(
                self.live.identifier, I(self.live.mapping.id), as_key(self.live, S("c.row_id"))
            )
        self.session.execute(
            S(
                "INSERT INTO {} (id, row_id, old_value, new_value, same) "
                "SELECT c.id, c.row_id, c.crm_value, c.crm_value, true FROM {} AS c WHERE {} AND {}"
            ).format(_SETTLING, self.conflicts, self.cell, gone)
        )

    def _write(self, live: LiveTable) -> int:
        stamp = live.mapping.service.get("updated_at")
        return self.session.execute(
            S("UPDATE {} AS t SET {}{} FROM {} AS s WHERE s.same AND t.{} = {}").format(
                live.identifier,
                assignment(live, "t", self.column, S("s.value")),
                S(", {} = now()").format(I(stamp)) if stamp else S(""),
                _SETTLING,
                I(live.mapping.id),
                as_key(live, S("s.row_id")),
            )
        )

    def _journal(self) -> None:
        entries = S("SELECT row_id, {}, old_value, new_value FROM {} WHERE same").format(
            sql.Literal(self.column), _SETTLING
        )
        self.session.execute(write_entries(self.session.settings.crm_schema, self.run_id, self.table, entries))


def _fingerprint(live: LiveTable, column: str) -> sql.Composed:
    """A short text that stands for the value of a column of `t`; it is compared, it guards nothing."""
    return S("md5(coalesce(to_jsonb({})::text, ''))").format(live.cell("t", column))


def _times(live: LiveTable, column: str) -> int:
    """How often `as_value` names its document."""
    return 2 if live.columns[column].family == "array" else 1
