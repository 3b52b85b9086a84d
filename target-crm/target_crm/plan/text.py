"""A plan as text for a person: what would be written where, and what is kept."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from target_crm.plan.journal import Plan
from target_crm.presentation.terminal import Table
from target_crm.presentation.values import ordered

_NOT_SHOWN = ("id", "raw_fields", "created_at", "updated_at", "source")
NOTHING_WRITTEN = "Nothing was written."
# A log line of an orchestrator has a separate prefix; wider blocks would be wrapped.
_BLOCK_WIDTH = 110


def plan_block(plan: Plan, hint: str) -> str:
    """The plan as one block of text, for a log."""
    text = io.StringIO()
    print_plan(plan, Console(file=text, width=_BLOCK_WIDTH, highlight=False, markup=False, emoji=False), hint)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def print_plan(plan: Plan, console: Console, hint: str) -> None:
    """Print counts, changes, edits that stay, conflicts and rejects; `hint` says how to see what was left out."""
    _print_counts(plan, console)
    _print_rows(plan, console)
    cells = [c for c in plan.changes if c["column_name"] != "*"]
    if cells:
        changes = Table("table", "row", "column", "now", "would become", title="Changes")
        for c in cells:
            changes.add_row(
                *(c[k] for k in ("table_name", "row_id", "column_name")), _short(c["old_value"]), _short(c["new_value"])
            )
        console.print(changes)
    _print_matches(plan, console)
    for title, kept in (("Edits by hand that stay", plan.kept), ("Conflicts", plan.conflicts)):
        if kept:
            console.print(_three_values(title, kept))
    if plan.rejects:
        rejects = Table("stream", "what is wrong", "record", title="Rejected records")
        for reject in plan.rejects:
            rejects.add_row(reject["stream"] or "", reject["error"], _short(reject["record"], 80))
        console.print(rejects)
    if plan.left_out:
        left = ", ".join(f"{number:,} more {kind}" for kind, number in plan.left_out.items())
        console.print(f"Not shown: {left}. {hint}")
    console.print(NOTHING_WRITTEN)


def _print_counts(plan: Plan, console: Console) -> None:
    names = ["read", "inserted", "updated", "unchanged", "kept", "conflicts", "deleted", "rejected", "warnings"]
    others = {n: 0 for counts in plan.counts.values() for n, _ in ordered(counts) if n not in names}
    names += [n for n in others if any(counts.get(n) for counts in plan.counts.values())]
    totals = Table("table", title="What the load would do")
    for name in names:
        totals.add_column(name.replace("_", " "), justify="right")
    for table, counts in plan.counts.items():
        totals.add_row(table, *(f"{counts.get(name, 0):,}" for name in names))
    console.print(totals)


def _print_matches(plan: Plan, console: Console) -> None:
    """Rows that are recognised, and records that would wait for a person."""
    if plan.adopted:
        adopted = Table("table", "row", "record", "by", title="Rows recognised")
        for one in plan.adopted:
            tie = one["new_value"]
            adopted.add_row(one["table_name"], one["row_id"], f"amo:{tie['amo_id']}", tie["rule"])
        console.print(adopted)
    if plan.proposals:
        proposals = Table("stream", "record", "by", "rows", title="Records that would wait for a decision")
        for one in plan.proposals:
            name = (one["record"] or {}).get("name") or ""
            record = _short(f"amo:{one['amo_id']} {name}".strip(), 40)
            proposals.add_row(one["stream"], record, one["rule"], _short(", ".join(one["candidates"]), 60))
        console.print(proposals)


def _three_values(title: str, cells: Sequence[dict[str, Any]]) -> Table:
    table = Table("table", "row", "column", "base", "CRM (kept)", "amoCRM", title=title)
    for c in cells:
        values = (_short(c[k]) for k in ("base_value", "crm_value", "amo_value"))
        table.add_row(c["table_name"], c["row_id"], c["column_name"], *values)
    return table


def _print_rows(plan: Plan, console: Console) -> None:
    """Whole rows: those to insert, those of child tables to change or to remove."""
    rows = [c for c in plan.changes if c["column_name"] == "*"]
    if not rows:
        return
    table = Table("table", "what", "row", title="Rows")
    for c in rows:
        what = "insert" if c["old_value"] is None else "remove" if c["new_value"] is None else "change"
        shown = c["new_value"] or c["old_value"] or {}
        values = (f"{k}: {_item_text(v)}" for k, v in shown.items() if v not in (None, [], "") and k not in _NOT_SHOWN)
        table.add_row(c["table_name"], what, _short(", ".join(values), 120))
    console.print(table)


def _item_text(value: Any) -> str:
    """A value of a new row; of a child table's rows (`{"k": ..., "v": ...}`) the values alone."""
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        return _short(", ".join(str(v.get("v") or v.get("k") or "") for v in value), 60)
    return _short(value, 30)


def _short(value: Any, width: int = 60) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= width else text[: width - 1] + "…"
