"""What a load would change, read from the run's own journal before the load is rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg
from psycopg import sql

KEPT_COLUMNS = ("table_name", "row_id", "column_name", "base_value", "crm_value", "amo_value")
_COLUMNS = {
    "changes": ("table_name", "row_id", "column_name", "old_value", "new_value"),
    "conflicts": KEPT_COLUMNS,
    "rejects": ("stream", "account_id", "amo_id", "record", "error", "code", "args"),
    "adopted": ("table_name", "row_id", "new_value"),
    "proposals": ("stream", "account_id", "amo_id", "rule", "candidates", "record"),
    "warnings": ("stream", "account_id", "amo_id", "table_name", "row_id", "column_name", "value", "code", "args"),
}
_CONDITIONS = {
    "changes": sql.SQL("run_id = {} AND column_name NOT IN ('raw_fields', '@tie')"),
    "adopted": sql.SQL("run_id = {} AND column_name = '@tie' AND new_value->>'amo_id' IS NOT NULL"),
    "proposals": sql.SQL("run_id = {} AND resolved_at IS NULL AND rule IS NOT NULL"),
    "rejects": sql.SQL("run_id = {} AND resolved_at IS NULL"),
}


_TABLES = {"adopted": "sync_changes"}


class PlanWords(Protocol):
    """What tables, fields and records are called, and how values are shown (`operations.plan_words`)."""

    def table(self, name: str) -> str:
        """The records of a table."""

    def field(self, table: str, column: str) -> str:
        """A column with its table."""

    def record(self, table: str, row_id: str) -> str:
        """The name of a row."""

    def value(self, table: str, column: str, value: Any) -> str:
        """A value of a column."""

    def whole(self, table: str, row: dict[str, Any]) -> str:
        """A whole row on one line."""

    def problem(self, entry: dict[str, Any]) -> str:
        """What is wrong with a rejected record."""


@dataclass
class Plan:
    """Counts by table; each change, edit kept, conflict, reject, warning, row adopted and proposal, or the first of
    them: `left_out` says how many are not here.

    A change has table, row, column, old and new value. Column `*` stands for a whole row: one that would be inserted
    has no old value, one that would be removed no new one. `kept` are manual edits that stay, with base, the CRM's and
    amoCRM's value.
    """

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    adopted: list[dict[str, Any]] = field(default_factory=list)
    proposals: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    # Where a database was there to ask.
    words: PlanWords | None = field(default=None, compare=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON takes it: with the names of the database alone."""
        return {name: value for name, value in vars(self).items() if name != "words"}


def entries_of_kind(
    connection: psycopg.Connection[Any], schema: str, run_id: int, kind: str, limit: int = 0
) -> Iterator[dict[str, Any]]:
    """A run's entries of one kind in the order in which they came; at most `limit`, 0 for all."""
    names = _COLUMNS[kind]
    query = sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY id LIMIT {}").format(
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.Identifier(schema, _TABLES.get(kind, f"sync_{kind}")),
        _CONDITIONS.get(kind, sql.SQL("run_id = {}")).format(sql.Literal(run_id)),
        sql.Literal(limit or None),
    )
    with connection.cursor("plan_entries") as cursor:
        for row in cursor.execute(query):
            yield dict(zip(names, row, strict=True))


def _count(connection: psycopg.Connection[Any], schema: str, run_id: int, kind: str) -> int:
    query = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(
        sql.Identifier(schema, _TABLES.get(kind, f"sync_{kind}")),
        _CONDITIONS.get(kind, sql.SQL("run_id = {}")).format(sql.Literal(run_id)),
    )
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def read_plan(
    connection: psycopg.Connection[Any],
    schema: str,
    run_id: int,
    counts: dict[str, dict[str, int]],
    limit: int = 200,
    kept: Sequence[tuple[Any, ...]] = (),
) -> Plan:
    """The plan of a run whose transaction is still open; at most `limit` entries of each kind, 0 for all.

    `kept` are the edits that stay, as `sql.journal.kept_cells` gives them.
    """
    plan = Plan(counts=counts)
    for kind in _COLUMNS:
        found = list(entries_of_kind(connection, schema, run_id, kind, limit))
        setattr(plan, kind, found)
        if limit and len(found) == limit:
            plan.left_out[kind] = _count(connection, schema, run_id, kind) - limit
    plan.kept = [dict(zip(KEPT_COLUMNS, values, strict=True)) for values in kept[: limit or None]]
    if limit and len(kept) > limit:
        plan.left_out["kept"] = len(kept) - limit
    plan.left_out = {kind: number for kind, number in plan.left_out.items() if number}
    return plan
