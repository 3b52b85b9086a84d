"""What a load would change, read from the run's own journal before it is rolled back: the merge itself, that is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

_SERVICE = ("raw_fields", "amo_deleted_at", "updated_at")


@dataclass
class Plan:
    """Counts by table, and samples: each change and conflict with table, row, column, old and new."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON takes it."""
        return asdict(self)


def read_plan(
    connection: psycopg.Connection[Any],
    schema: str,
    run_id: int,
    counts: dict[str, dict[str, int]],
    limit: int = 200,
) -> Plan:
    """The plan of a run whose transaction is still open; at most `limit` entries of each kind."""

    def rows(columns: str, table: str, condition: str = "true") -> list[dict[str, Any]]:
        names = columns.split(", ")
        query = sql.SQL("SELECT {} FROM {} WHERE run_id = %s AND {} ORDER BY id LIMIT %s").format(
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.Identifier(schema, table),
            sql.SQL(condition),
        )
        found = connection.execute(query, (run_id, limit)).fetchall()
        return [dict(zip(names, row, strict=True)) for row in found]

    return Plan(
        counts=counts,
        changes=rows(
            "table_name, row_id, column_name, old_value, new_value",
            "sync_changes",
            "column_name <> 'raw_fields'",
        ),
        conflicts=rows("table_name, row_id, column_name, base_value, crm_value, amo_value", "sync_conflicts"),
        rejects=rows("stream, record, error", "sync_rejects"),
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
    if any(c["column_name"] != "*" for c in plan.changes):
        changes = Table("table", "row", "column", "now", "would become", title="Changes", title_justify="left")
        for c in plan.changes:
            if c["column_name"] != "*":
                changes.add_row(
                    c["table_name"],
                    c["row_id"],
                    c["column_name"],
                    _short(c["old_value"]),
                    _short(c["new_value"]),
                )
        console.print(changes)
    if plan.conflicts:
        conflicts = Table(
            "table",
            "row",
            "column",
            "base",
            "CRM (kept)",
            "amoCRM",
            title="Conflicts",
            title_justify="left",
        )
        for c in plan.conflicts:
            values = (_short(c[k]) for k in ("base_value", "crm_value", "amo_value"))
            conflicts.add_row(c["table_name"], c["row_id"], c["column_name"], *values)
        console.print(conflicts)
    for reject in plan.rejects:
        console.print(f"rejected ({reject['stream']}): {reject['error']}", markup=False)


def _short(value: Any, width: int = 60) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= width else text[: width - 1] + "…"
