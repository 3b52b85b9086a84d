"""Several streams in one table: what tells their rows apart, and the name that each goes by in the loader's tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from target_crm.mapping.model import Expression, ItemSet, Table

# System columns that two streams may not share: each writes its own record into them.
_OWN = ("raw_fields", "amo_created_at", "amo_updated_at")


def share_tables(tables: dict[str, Table]) -> tuple[dict[str, Table], list[tuple[int | None, str]]]:
    """The tables with their own names where several streams go into one, and what is wrong with that (by line).

    The first stream keeps the table's name; a later one is known as `table[stream]`, in counts, the journal and
    commands. Streams that share the key columns, too, differ in a column that has another fixed value in each.
    """
    problems: list[tuple[int | None, str]] = []
    shared: dict[str, list[Table]] = {}
    for table in tables.values():
        shared.setdefault(table.table, []).append(table)
    named: dict[str, Table] = {}
    for stream, table in tables.items():
        group = shared[table.table]
        first = group[0].stream == stream
        marks = _marks(table, group)
        problems += [(table.line, text) for text in _problems(table, group, marks)]
        label = table.table if first else f"{table.table}[{stream}]"
        named[stream] = replace(table, table=label, relation=table.table, marks=marks)
    sets, set_problems = _share_sets(named)
    return _name_throughs(sets), problems + set_problems


def _name_throughs(tables: dict[str, Table]) -> dict[str, Table]:
    """The tables; a join table that several streams fill goes by a separate name in each."""
    used = {table.relation for table in tables.values()}
    used |= {item_set.relation for table in tables.values() for item_set in table.sets}
    found: dict[str, Table] = {}
    for stream, table in tables.items():
        named = []
        for one in table.through:
            label = f"{one.table}[{stream}.{one.name}]" if one.table in used else one.table
            used.add(one.table)
            named.append(replace(one, table=label, relation=one.table))
        found[stream] = replace(table, through=tuple(named))
    return found


def _written(group: list[Table], table: Table) -> Iterator[Table]:
    """The other streams of the group whose rows are written."""
    for other in group:
        if other.stream != table.stream and not other.match_only and not table.match_only:
            yield other


def _same_key(table: Table, other: Table) -> bool:
    return (table.account, table.amo_id) == (other.account, other.amo_id)


def _marks(table: Table, group: list[Table]) -> dict[str, Any]:
    """The column that tells this stream's rows from those of others with the same key columns, and its value."""
    others = [other for other in _written(group, table) if _same_key(table, other)]
    mapped = {column.name for one in (table, *others) for column in one.columns}
    for name, value in table.defaults.items() if others else ():
        if name in mapped or value is None or isinstance(value, Expression):
            continue
        if all(other.defaults.get(name) not in (None, value) for other in others):
            return {name: value}
    return {}


def _problems(table: Table, group: list[Table], marks: dict[str, Any]) -> Iterator[str]:
    place = [one.stream for one in group].index(table.stream)
    for other in _written(group[:place], table):
        if _same_key(table, other):
            if not marks:
                yield (
                    f"table {table.table} takes stream {other.stream} already, and nothing tells its rows from those "
                    f"of {table.stream}: give one column another fixed value in each (defaults: {{is_company: true}} "
                    "and false), which no stream fills, or give one of them key columns of its own."
                )
                return
            continue
        for role in _OWN:
            name = table.service[role]
            if name is not None and name == other.service[role]:
                yield (
                    f"table {table.table}: streams {other.stream} and {table.stream} both keep {role} in column "
                    f"{name}; name another column under service"
                    + ("." if role == "raw_fields" else ", or null for none.")
                )


def _share_sets(tables: dict[str, Table]) -> tuple[dict[str, Table], list[tuple[int | None, str]]]:
    """Sets of streams that share a table may share theirs; any other table takes one set."""
    problems: list[tuple[int | None, str]] = []
    used: dict[str, tuple[str, str]] = {table.relation: ("", f"stream {s}") for s, table in tables.items()}
    found: dict[str, Table] = {}
    for stream, table in tables.items():
        sets: list[ItemSet] = []
        for item_set in table.sets:
            who = f"set {item_set.name} of {stream}"
            parent, holder = used.setdefault(item_set.table, (table.relation, who))
            label = item_set.table
            if holder != who:
                if parent != table.relation or holder.endswith(f" of {stream}"):
                    text = f"table {item_set.table} takes {holder} already; {who} needs a separate table."
                    problems.append((item_set.line, text))
                label = f"{item_set.table}[{stream}]"
            sets.append(replace(item_set, table=label, relation=item_set.table))
        found[stream] = replace(table, sets=tuple(sets))
    return found, problems
