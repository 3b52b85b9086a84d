"""A plan as text for a person: what would be written where, and what is kept."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from target_crm.plan.journal import Plan, PlanWords
from target_crm.presentation.columns import Col, print_table
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
    """Print counts, changes, edits that stay, conflicts and rejects; `hint` says how to see what was left out.

    Tables, fields and records are named as on the review page where the plan has words for them, with the names of the
    database beside them.
    """
    words = plan.words
    left = _print_counts(plan, console)
    left += _print_rows(plan, console)
    cells = [c for c in plan.changes if c["column_name"] != "*"]
    if cells:
        values = _value("now", "old_value", words), _value("would become", "new_value", words)
        left += print_table(console, [_record(words), _field(words), *values, _KEY], cells, "Changes")
    left += _print_matches(plan, console)
    for title, kept in (("Manual edits that stay", plan.kept), ("Conflicts", plan.conflicts)):
        if kept:
            left += print_table(console, _three_values(words), kept, title)
    if plan.rejects:
        columns = (
            Col("stream", lambda r: r["stream"] or ""),
            Col("what is wrong", lambda r: words.problem(r) if words else r["error"]),
            Col("record", lambda r: _short(r["record"], 80)),
        )
        left += print_table(console, columns, plan.rejects, "Rejected records")
    if plan.left_out:
        more = ", ".join(f"{number:,} more {kind}" for kind, number in plan.left_out.items())
        console.print(f"Not shown: {more}. {hint}")
    if left:
        console.print(f"Too narrow for: {', '.join(dict.fromkeys(left))} (target-crm-admin plan --json has all).")
    console.print(NOTHING_WRITTEN)


_KEY = Col("row", lambda c: str(c["row_id"] or ""), drop=1)


def _named(label: str, name: str) -> str:
    """A label with the database's name beside it."""
    return f"{label} ({name})" if label else name


def _record(words: PlanWords | None) -> Col:
    if words is None:
        return Col("row", lambda c: str(c["row_id"] or ""))
    return Col("record", lambda c: words.record(c["table_name"], str(c["row_id"] or "")))


def _field(words: PlanWords | None) -> Col:
    def text(c: dict[str, Any]) -> str:
        label = words.field(c["table_name"], c["column_name"]) if words else ""
        return _named(label, f"{c['table_name']}.{c['column_name']}")

    return Col("field", text)


def _table(words: PlanWords | None) -> Col:
    return Col("table", lambda c: _named(words.table(c["table_name"]) if words else "", c["table_name"]))


def _value(heading: str, side: str, words: PlanWords | None, drop: int = 0) -> Col:
    def text(c: dict[str, Any]) -> str:
        if words is None:
            return _short(c[side])
        return _short(words.value(c["table_name"], c["column_name"], c[side]))

    return Col(heading, text, drop)


def _three_values(words: PlanWords | None) -> list[Col]:
    return [
        _record(words),
        _field(words),
        _value("amoCRM before", "base_value", words, drop=2),
        _value("CRM (kept)", "crm_value", words),
        _value("amoCRM now", "amo_value", words),
        *([_KEY] if words else []),
    ]


def _print_counts(plan: Plan, console: Console) -> list[str]:
    filled = {n: 0 for counts in plan.counts.values() for n, number in ordered(counts) if number}
    rows = [{"table_name": table, **counts} for table, counts in plan.counts.items()]

    def number(name: str) -> Col:
        return Col(name.replace("_", " "), lambda r: f"{r.get(name, 0):,}", is_number=True)

    return print_table(console, [_table(plan.words), *map(number, filled)], rows, "What the load would do")


def _print_matches(plan: Plan, console: Console) -> list[str]:
    """Rows that are recognised, and records that would wait for a person."""
    left = []
    if plan.adopted:
        columns = (
            _record(plan.words),
            _table(plan.words),
            Col("amoCRM record", lambda c: f"amo:{c['new_value']['amo_id']}"),
            Col("matched by", lambda c: str(c["new_value"]["rule"])),
            *([_KEY] if plan.words else []),
        )
        left += print_table(console, columns, plan.adopted, "Rows matched")
    if plan.proposals:
        columns = (
            Col("stream", lambda c: c["stream"]),
            Col("record", lambda c: _short(f"amo:{c['amo_id']} {(c['record'] or {}).get('name') or ''}".strip(), 40)),
            Col("matched by", lambda c: c["rule"]),
            Col("rows", lambda c: _short(", ".join(c["candidates"]), 60)),
        )
        left += print_table(console, columns, plan.proposals, "Records that would wait for a decision")
    return left


def _print_rows(plan: Plan, console: Console) -> list[str]:
    """Whole rows: those to insert, those of child tables to change or to remove."""
    rows = [c for c in plan.changes if c["column_name"] == "*"]
    if not rows:
        return []

    def what(c: dict[str, Any]) -> str:
        return "insert" if c["old_value"] is None else "remove" if c["new_value"] is None else "change"

    def row(c: dict[str, Any]) -> str:
        shown = c["new_value"] or c["old_value"] or {}
        if plan.words is not None:
            return _short(plan.words.whole(c["table_name"], shown), 120)
        values = (f"{k}: {_item_text(v)}" for k, v in shown.items() if v not in (None, [], "") and k not in _NOT_SHOWN)
        return _short(", ".join(values), 120)

    return print_table(console, (_table(plan.words), Col("what", what), Col("row", row)), rows, "Rows")


def _item_text(value: Any) -> str:
    """A value of a new row; of a child table's rows (`{"k": ..., "v": ...}`) the values alone."""
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        return _short(", ".join(str(v.get("v") or v.get("k") or "") for v in value), 60)
    return _short(value, 30)


def _short(value: Any, width: int = 60) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= width else text[: width - 1] + "…"
