"""Primary keys of new rows, made before the rows are: so that rows, items and journal can be copied at once."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from target_crm.mapping.check import LiveTable
from target_crm.mapping.model import Expression
from target_crm.sql.direct import has_own_keys
from target_crm.sql.untouched import item_filled_columns

Connection = psycopg.Connection[Any]

# What a table must be for its rows to be copied into it: a plain table, without row-level security (which COPY
# does not take), rules (which COPY passes by) and triggers that may change or refuse rows that are inserted (tgtype: 4
# insert); and with a key that can be made here or drawn from a sequence.
_FACTS = """
    SELECT c.relkind IN ('r', 'p') AND NOT c.relrowsecurity AND NOT c.relhasrules AND NOT EXISTS (
            SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'
            AND g.tgtype & 4 <> 0),
        pg_get_serial_sequence(%(name)s, %(key)s),
        coalesce(has_sequence_privilege(pg_get_serial_sequence(%(name)s, %(key)s), 'USAGE'), false)
    FROM pg_class AS c WHERE c.oid = to_regclass(%(name)s)
"""


@dataclass(frozen=True)
class RowKeys:
    """Where a table's keys come from: `sequence` is None for UUIDs."""

    sequence: str | None = None

    def make(self, connection: Connection, number: int) -> list[Any]:
        """So many new keys: whole numbers of the sequence, or UUIDs as text, in ascending order."""
        if self.sequence is None:
            return new_uuids(number)
        row = connection.execute(
            "SELECT array_agg(nextval(%s::regclass)) FROM generate_series(1, %s)", (self.sequence, number)
        ).fetchone()
        assert row is not None
        return sorted(row[0])


def new_uuids(number: int) -> list[str]:
    """So many UUIDs of version 7 (RFC 9562), ascending: new rows then lie near one another in the indexes."""
    now = time.time_ns() // 1_000_000
    noise = os.urandom(8 * number).hex()
    made = []
    for place in range(number):
        # 4096 in a millisecond; what is more borrows from the next ones.
        moment = f"{now + (place >> 12):012x}"
        tail = noise[16 * place : 16 * place + 16]
        variant = "89ab"[int(tail[0], 16) & 3]
        made.append(f"{moment[:8]}-{moment[8:]}-7{place & 4095:03x}-{variant}{tail[1:4]}-{tail[4:]}")
    return made


def row_keys(connection: Connection, live: LiveTable, key: str) -> RowKeys | None:
    """Where the table's keys can be had before its rows are written; None where only the database makes them."""
    column = live.columns.get(key)
    if column is None:
        return None
    name = live.identifier.as_string(connection)
    row = connection.execute(_FACTS, {"name": name, "key": key}).fetchone()
    if row is None or not row[0]:
        return None
    if column.family == "uuid":
        return RowKeys()
    return RowKeys(row[1]) if row[1] is not None and row[2] else None


def find_row_keys(connection: Connection, live: Mapping[str, LiveTable]) -> dict[str, RowKeys]:
    """The streams whose rows, and the items of whose sets, can be copied straight into their tables."""
    found: dict[str, RowKeys] = {}
    for stream, table in live.items():
        mapping = table.mapping
        if mapping.match_only:
            continue
        if any(isinstance(value, Expression) for value in mapping.defaults.values()):
            # Only an INSERT works them out.
            continue
        keys = row_keys(connection, table, mapping.id)
        sets = [row_keys(connection, table.sets[s.name], s.id) for s in mapping.sets]
        # What only the database knows of an item is read from its row, and remembered there.
        filled = any(item_filled_columns(s, table.sets[s.name]) for s in mapping.sets)
        if keys is not None and None not in sets and not filled:
            found[stream] = keys
    return found


def make_item_keys(live: LiveTable, key: str, number: int) -> list[str] | None:
    """Keys of a set's new rows, where the loader makes them."""
    return new_uuids(number) if has_own_keys(live, key) else None
