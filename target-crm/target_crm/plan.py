"""What a load would change, read from the run's own journal before it is rolled back: the merge itself, that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

_UNTOLD = ("id", "raw_fields", "created_at", "updated_at", "source")


@dataclass
class Plan:
    """Counts by table; each change, edit kept, conflict and reject, or the first of them: `left_out` says how many are
    not here.

    A change has table, row, column, old and new value. Column `*` stands for a whole row: one that would be inserted
    has no old value, one that would be removed no new one. `kept` are edits by hand that stay, with base, the CRM's and
    amoCRM's value.
    """

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON takes it."""
        return asdict(self)


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
    left_out: dict[str, int] = {}

    def rows(kind: str, columns: str, condition: str = "true") -> list[dict[str, Any]]:
        names, table = columns.split(", "), sql.Identifier(schema, f"sync_{kind}")
        query = sql.SQL("SELECT {}, count(*) OVER () FROM {} WHERE run_id = %s AND {} ORDER BY id LIMIT %s").format(
            sql.SQL(", ").join(map(sql.Identifier, names)), table, sql.SQL(condition)
        )
        found = connection.execute(query, (run_id, limit or None)).fetchall()
        if found and found[0][-1] > len(found):
            left_out[kind] = found[0][-1] - len(found)
        return [dict(zip(names, row[:-1], strict=True)) for row in found]

    if limit and len(kept) > limit:
        left_out["kept"] = len(kept) - limit
    cell = ("table_name", "row_id", "column_name", "base_value", "crm_value", "amo_value")
    return Plan(
        counts=counts,
        kept=[dict(zip(cell, values, strict=True)) for values in kept[: limit or None]],
        changes=rows("changes", "table_name, row_id, column_name, old_value, new_value", "column_name <> 'raw_fields'"),
        conflicts=rows("conflicts", "table_name, row_id, column_name, base_value, crm_value, amo_value"),
        rejects=rows("rejects", "stream, account_id, amo_id, record, error, code, args"),
        left_out=left_out,
    )


def print_plan(plan: Plan, console: Console) -> None:
    """Tables for a person: what would be written where, what is kept."""
    totals = Table(title="What the load would do", title_justify="left")
    totals.add_column("table")
    names = ("read", "inserted", "updated", "unchanged", "kept", "conflicts", "deleted", "rejected")
    for name in names:
        totals.add_column(name, justify="right")
    for table, counts in plan.counts.items():
        totals.add_row(table, *(f"{counts.get(name, 0):,}" for name in names))
    console.print(totals)
    _print_rows(plan, console)
    cells = [c for c in plan.changes if c["column_name"] != "*"]
    if cells:
        changes = Table("table", "row", "column", "now", "would become", title="Changes", title_justify="left")
        for c in cells:
            changes.add_row(
                *(c[k] for k in ("table_name", "row_id", "column_name")), _short(c["old_value"]), _short(c["new_value"])
            )
        console.print(changes)
    for title, kept in (("Edits by hand that stay", plan.kept), ("Conflicts", plan.conflicts)):
        if kept:
            console.print(_three_values(title, kept))
    for reject in plan.rejects:
        console.print(f"rejected ({reject['stream']}): {reject['error']}", markup=False)
    for kind, number in plan.left_out.items():
        console.print(f"... and {number:,} more {kind}: target-crm-admin plan --limit 0", markup=False)


def _three_values(title: str, cells: Sequence[dict[str, Any]]) -> Table:
    table = Table("table", "row", "column", "base", "CRM (kept)", "amoCRM", title=title, title_justify="left")
    for c in cells:
        values = (_short(c[k]) for k in ("base_value", "crm_value", "amo_value"))
        table.add_row(c["table_name"], c["row_id"], c["column_name"], *values)
    return table


def _print_rows(plan: Plan, console: Console) -> None:
    """Whole rows: those to insert, those of sets to change or to remove."""
    rows = [c for c in plan.changes if c["column_name"] == "*"]
    if not rows:
        return
    table = Table("table", "what", "row", title="Rows", title_justify="left")
    for c in rows:
        what = "insert" if c["old_value"] is None else "remove" if c["new_value"] is None else "change"
        told = c["new_value"] or c["old_value"] or {}
        values = (f"{k}: {_short(v, 30)}" for k, v in told.items() if v not in (None, [], "") and k not in _UNTOLD)
        table.add_row(c["table_name"], what, _short(", ".join(values), 120))
    console.print(table)


def _short(value: Any, width: int = 60) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= width else text[: width - 1] + "…"
