"""Typing another value: what a field of a form offers, and which row somebody means who types its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.operations.records import linked_table, name_sql, names_of
from target_crm.operations.session import Row, Session, column_of
from target_crm.operations.shown import Shown
from target_crm.presentation.formats import read_moment
from target_crm.presentation.values import as_typed, is_empty
from target_crm.sql.spec import I, S

# Up to here all rows are offered in a list; above it they are searched for.
_MOST_LISTED = 100
_MOST_FOUND = 20
_NUMBERED = re.compile(r"№\s*(\d{1,18})$")


@dataclass(frozen=True)
class Option:
    """One of the values that a field offers, and how it is called."""

    value: str
    text: str


@dataclass(frozen=True)
class Entry:
    """A field for a value: `kind` is the column's family, `choice` (one of `options`) or `search` (a row's name)."""

    table: str
    column: str
    kind: str
    text: str
    options: list[Option] = field(default_factory=list)


def entry_for(session: Session, shown: Shown, table: str, column: str, value: Any) -> Entry:
    """The field in which another value of a column is typed; it holds `value` at first."""
    live = session.tables.get(table)
    mapped = column_of(live.mapping, column) if live else None
    parent = linked_table(session, mapped)
    if parent is not None:
        options = find_choices(session, parent, "", _MOST_LISTED + 1)
        current = "" if is_empty(value) else str(value)
        if len(options) <= _MOST_LISTED:
            return Entry(table, column, "choice", current, [Option("", "–"), *options])
        chosen = _options(session, parent, _by_keys(parent, [current])) if current else []
        return Entry(table, column, "search", chosen[0].text if chosen else "", options[:_MOST_FOUND])
    text = shown.typed(table, column, value)
    if mapped is not None and mapped.lookup:
        return Entry(table, column, "choice", text, _named(session, mapped.lookup, text))
    live_column = live.columns.get(column) if live else None
    family = live_column.family if live_column else "text"
    if live_column is not None and family == "enum":
        return Entry(table, column, "choice", text, [Option(label, label) for label in live_column.labels])
    return Entry(table, column, family, text)


def _named(session: Session, lookup: str, current: str) -> list[Option]:
    rows = session.rows(
        S("SELECT DISTINCT name FROM {} WHERE source = %s ORDER BY name LIMIT 1000").format(
            session.control("sync_lookups")
        ),
        lookup,
    )
    names = [row["name"] for row in rows]
    return [Option(name, name or "–") for name in dict.fromkeys([current, *names])]


def like_words(expression: sql.Composable, text: str) -> sql.Composed:
    """A condition: each word of a text is contained in the expression, in upper or lower case."""
    words = [re.sub(r"([\\%_])", r"\\\1", word) for word in text.split()[:8]]
    parts = [S("{} ILIKE {}").format(expression, sql.Literal(f"%{word}%")) for word in words]
    return S(" AND ").join([S("true"), *parts])


def find_choices(session: Session, live: LiveTable, text: str, limit: int = _MOST_FOUND) -> list[Option]:
    """Rows of a table whose names hold the words of a text, by name; two of one name also by their numbers."""
    return _options(session, live, like_words(name_sql(live), text), limit)


def _by_keys(live: LiveTable, keys: Sequence[str]) -> sql.Composed:
    return S("crm.{}::text = ANY({})").format(I(live.mapping.id), sql.Literal(list(keys)))


def _options(session: Session, live: LiveTable, condition: sql.Composable, limit: int = _MOST_FOUND) -> list[Option]:
    number = S("crm.{}").format(I(live.mapping.amo_id)) if live.mapping.amo_id in live.columns else S("NULL")
    rows: list[Row] = session.rows(
        session.query(
            "records.sql",
            "find_choices",
            id=I(live.mapping.id),
            label=name_sql(live),
            number=number,
            table=live.identifier,
            condition=condition,
            most=sql.Literal(limit),
        )
    )
    names = [row["name"] for row in rows]
    return [
        Option(row["key"], row["name"] if names.count(row["name"]) == 1 else f"{row['name']} · № {row['number']}")
        for row in rows
    ]


def read_value(session: Session, shown: Shown, table: str, column: str, typed: str) -> Any:
    """What a person typed or chose, as the column takes it; None for nothing.

    Raises:
        ValueError: it can be no such value; its text is one of the keys `typed_...` of the texts.
        UnknownError: the table is not mapped any more.
    """
    live = session.table(table)
    parent = linked_table(session, column_of(live.mapping, column))
    if parent is not None:
        return _row_meant(session, parent, typed.strip())
    found = live.columns.get(column)
    if found is None:
        return as_typed(typed, "text")
    zone = shown.accounts.zone
    value = as_typed(typed, found.family, found.length, zone)
    if found.family == "timestamp" and found.zone and isinstance(value, str):
        # A column without a time zone takes the clock of its own zone.
        return read_moment(value, zone).astimezone(ZoneInfo(found.zone)).replace(tzinfo=None).isoformat()
    return value


def _row_meant(session: Session, parent: LiveTable, typed: str) -> str | None:
    if not typed:
        return None
    if names_of(session, [(parent.mapping.table, typed)]):
        return typed
    numbered = _NUMBERED.search(typed)
    if numbered and parent.mapping.amo_id in parent.columns:
        condition = S("crm.{} = {}").format(I(parent.mapping.amo_id), sql.Literal(int(numbered[1])))
    else:
        condition = S("lower({}) = lower({})").format(name_sql(parent), sql.Literal(" ".join(typed.split())))
    found = _options(session, parent, condition, 2)
    if len(found) != 1:
        raise ValueError("typed_link_many" if found else "typed_link_none")
    return found[0].value
