"""The end of a load in a few lines: what each table got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_MOST_TABLES = 6
# What is shown of each table, and what it is called; zeros in all tables are left out.
_COLUMNS = {
    "read": "read",
    "inserted": "new",
    "updated": "changed",
    "unchanged": "unchanged",
    "deleted": "deleted",
    "kept": "edits kept",
    "conflicts": "conflicts",
    "adopted": "matched",
    "proposed": "undecided",
    "rejected": "rejected",
    "warnings": "left out",
}
_WAITING = {
    "conflicts": ("conflict", "conflicts"),
    "proposals": ("proposal", "proposals"),
    "rejects": ("reject", "rejects"),
    "warnings": ("warning", "warnings"),
}


def counts_table(counts: Mapping[str, Mapping[str, int]], order: Sequence[str]) -> list[str]:
    """At most eight lines: headings, and the tables in this order, those with the fewest records as one line."""
    busy = {table: numbers for table in order if any((numbers := counts.get(table, {})).values())}
    if not busy:
        return []
    largest = sorted(busy, key=lambda table: -busy[table].get("read", 0))[:_MOST_TABLES]
    rows = {table: busy[table] for table in busy if table in largest}
    others = [busy[table] for table in busy if table not in largest]
    if others:
        names = {name for numbers in others for name in numbers}
        rows[f"{len(others)} others"] = {name: sum(n.get(name, 0) for n in others) for name in names}
    shown = [name for name in _COLUMNS if name == "read" or any(numbers.get(name) for numbers in rows.values())]
    cells = [["", *(_COLUMNS[name] for name in shown)]]
    cells += [[table, *(f"{numbers.get(name, 0):,}" for name in shown)] for table, numbers in rows.items()]
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    return [
        "  ".join(text.ljust(width) if place == 0 else text.rjust(width)
                  for place, (text, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in cells
    ]  # fmt: skip


def waiting_sentence(waiting: Mapping[str, int], most: int) -> str:
    """What waits for a person, and the command that shows it; counts above `most` are not exact."""
    found = {kind: number for kind, number in waiting.items() if number}
    if not found:
        return "Nothing waits for a decision."
    parts = [
        f"{'more than ' if number > most else ''}{min(number, most):,} {_WAITING[kind][number != 1]}"
        for kind, number in found.items()
    ]
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    verb = "waits" if list(found.values()) == [1] else "wait"
    return f"{listed} {verb} for a person: target-crm-admin {', '.join(found)}, or serve."
