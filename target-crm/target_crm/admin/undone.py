"""What an undo did, or would do, as text: names that people know, with those of the database beside them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from target_crm.admin.common import console
from target_crm.admin.listing import Col, shown_in_english
from target_crm.operations.labels import hidden_columns, in_natural_order
from target_crm.operations.session import Row, Session
from target_crm.operations.shown import Shown
from target_crm.operations.undo import SHOWN_CHANGES, Preview
from target_crm.presentation.columns import print_table
from target_crm.presentation.texts import Texts
from target_crm.presentation.texts.common import COMMON
from target_crm.presentation.values import short

_ENGLISH = Texts("en", COMMON)


def print_undo(session: Session, run: int, done: Preview, *, is_preview: bool) -> None:
    """Print what was done by table, the rows that stay, and of a preview the values before and after."""
    show = shown_in_english(session)
    counts = [
        {"table_name": table, "what": name, "number": number}
        for table, undone in in_natural_order(session, done.counts).items()
        for name, number in asdict(undone).items()
        if number
    ]
    title = f"What undoing run {run} would do" if is_preview else f"Run {run} is undone"
    if not counts:
        click.echo(f"{title}: nothing would change." if is_preview else f"{title}: nothing had to change.")
        return
    columns = (
        Col("table", lambda c: f"{show.table(c['table_name'], many=True)} ({c['table_name']})"),
        Col("what", lambda c: _ENGLISH.of("count", c["what"])),
        Col("number", lambda c: f"{c['number']:,}", is_number=True),
    )
    print_table(console, columns, counts, title)
    if is_preview:
        _print_cells(session, show, done)
    for kept in done.kept_for:
        why = "refers to them" if kept.readable else "may refer to them: this role can't read it"
        click.echo(f"{kept.table}: {kept.rows:,} rows stay, since {kept.pointing} {why} ({kept.constraint}).")


def _print_cells(session: Session, show: Shown, done: Preview) -> None:
    """The first values before and after, and the first cells that stay as somebody edited them."""
    names = show.names([*done.changes, *done.left])
    show.learn(done.changes, "old_value", "new_value")
    show.learn(done.left, "new_value", "value_now")
    hidden, left = hidden_columns(session), list[str]()

    def value(entry: Row, side: str) -> str:
        if entry["column_name"] == "*":
            return short(show.whole(entry["table_name"], entry[side], hidden), 120) if entry[side] else "(no row)"
        return show.value(entry["table_name"], entry["column_name"], entry[side], 120) or "(empty)"

    def table_of(entries: list[Row], sides: dict[str, str], title: str) -> None:
        columns: list[Col] = [
            Col("record", lambda e: show.name(names, e["table_name"], e["row_id"])),
            Col("field", lambda e: _field(show, e)),
            *(Col(heading, _reader(value, side)) for heading, side in sides.items()),
            Col("row", lambda e: e["row_id"], drop=1),
        ]
        left.extend(print_table(console, columns, entries, title))

    if done.changes:
        more = f" (the first {SHOWN_CHANGES})" if len(done.changes) == SHOWN_CHANGES else ""
        table_of(done.changes, {"now": "old_value", "would become": "new_value"}, f"Changes{more}")
    if done.left:
        table_of(done.left, {"the run wrote": "new_value", "now": "value_now"}, "Not changed: edited since then")
    if left:
        click.echo(f"Too narrow for: {', '.join(dict.fromkeys(left))}.")


def _field(show: Shown, entry: Row) -> str:
    table, column = entry["table_name"], entry["column_name"]
    if column == "*":
        return f"{show.table(table)} ({table})"
    return f"{show.cell(table, column)} ({table}.{column})"


def _reader(value: Any, side: str) -> Any:
    return lambda entry: value(entry, side)
