"""Primary keys of new rows, generated in advance so that rows, items and journal can be copied together."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from target_crm.mapping.check import LiveTable
from target_crm.mapping.model import Expression
from target_crm.sql.direct import has_own_keys
from target_crm.sql.untouched import item_filled_columns

Connection = psycopg.Connection[Any]

# Rows can be copied directly only into plain tables without row-level security (not supported by COPY), rewrite rules
# (bypassed by COPY) and BEFORE INSERT triggers (tgtype: 4 insert), whose keys can be generated here or drawn from a
# sequence.
_FACTS = """
    SELECT asked.name, asked.key,
        c.relkind IN ('r', 'p') AND NOT c.relrowsecurity AND NOT c.relhasrules AND NOT EXISTS (
            SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'
            AND g.tgtype & 4 <> 0),
        pg_get_serial_sequence(asked.name, asked.key),
        coalesce(has_sequence_privilege(pg_get_serial_sequence(asked.name, asked.key), 'USAGE'), false)
    FROM unnest(%s::text[], %s::text[]) AS asked(name, key) JOIN pg_class AS c ON c.oid = to_regclass(asked.name)
"""


@dataclass(frozen=True)
class RowKeys:
    """The source of a table's keys; `sequence` is None for UUIDs."""

    sequence: str | None = None

    def make(self, connection: Connection, number: int) -> list[Any]:
        """A number of new keys in ascending order: integers of the sequence, or UUIDs as text."""
        if self.sequence is None:
            return new_uuids(number)
        row = connection.execute(
            "SELECT array_agg(nextval(%s::regclass)) FROM generate_series(1, %s)", (self.sequence, number)
        ).fetchone()
        assert row is not None
        return sorted(row[0])


def new_uuids(number: int) -> list[str]:
    """A number of ascending UUIDs of version 7 (RFC 9562), which keep new rows close together in the indexes."""
    now = time.time_ns() // 1_000_000
    noise = os.urandom(8 * number).hex()
    made = []
    for place in range(number):
        # 4096 per millisecond; more of them use the following milliseconds.
        moment = f"{now + (place >> 12):012x}"
        tail = noise[16 * place : 16 * place + 16]
        variant = "89ab"[int(tail[0], 16) & 3]
        made.append(f"{moment[:8]}-{moment[8:]}-7{place & 4095:03x}-{variant}{tail[1:4]}-{tail[4:]}")
    return made


def _sources(connection: Connection, wanted: Iterable[tuple[LiveTable, str]]) -> dict[tuple[str, str], RowKeys]:
    """The sources of keys by table and key, for tables whose keys can be generated before their rows are written."""
    columns = {
        (live.identifier.as_string(connection), key): column
        for live, key in wanted
        if (column := live.columns.get(key)) is not None
    }
    found: dict[tuple[str, str], RowKeys] = {}
    names = [[place[part] for place in columns] for part in range(2)]
    for name, key, takes_copies, sequence, is_usable in connection.execute(_FACTS, names):
        if takes_copies and columns[name, key].family == "uuid":
            found[name, key] = RowKeys()
        elif takes_copies and sequence is not None and is_usable:
            found[name, key] = RowKeys(sequence)
    return found


def find_row_keys(connection: Connection, live: Mapping[str, LiveTable]) -> dict[str, RowKeys]:
    """The streams whose rows and items can be copied directly into their tables."""
    # Tables that are only matched get no rows, and expressions are computed only by an INSERT.
    tables = {
        stream: table
        for stream, table in live.items()
        if not table.mapping.match_only
        and not any(isinstance(value, Expression) for value in table.mapping.defaults.values())
    }
    parts = {
        stream: [(table, table.mapping.id), *((table.sets[s.name], s.id) for s in table.mapping.sets)]
        for stream, table in tables.items()
    }
    sources = _sources(connection, [part for some in parts.values() for part in some])
    found: dict[str, RowKeys] = {}
    for stream, table in tables.items():
        keys, *sets = [sources.get((part.identifier.as_string(connection), key)) for part, key in parts[stream]]
        # Values that the database fills in are read from an item's row and remembered there.
        filled = any(item_filled_columns(s, table.sets[s.name]) for s in table.mapping.sets)
        if keys is not None and None not in sets and not filled:
            found[stream] = keys
    return found


def make_item_keys(live: LiveTable, key: str, number: int) -> list[str] | None:
    """Keys of new child rows, if the loader generates them."""
    return new_uuids(number) if has_own_keys(live, key) else None
