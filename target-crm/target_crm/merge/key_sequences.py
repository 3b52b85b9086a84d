"""Sequences that are behind the keys of their tables: an import or a restored dump brought rows with their keys."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import psycopg

from target_crm.mapping.check import LiveTable
from target_crm.merge.session import MergeSession
from target_crm.sql import key_sequences, write

logger = logging.getLogger("target-crm")
# Numbers that are used up one after another, some microseconds each.
_MOST_SKIPPED = 5_000_000


def catch_up(session: MergeSession, error: psycopg.Error) -> bool:
    """After a refused key of a new row: let its table's sequence pass the keys that are taken; whether it was behind.

    The program of the CRM would have met the same numbers.
    """
    if not isinstance(error, psycopg.errors.UniqueViolation):
        return False
    for live, key in _tables(session):
        if (live.schema, live.name) != (error.diag.schema_name, error.diag.table_name):
            continue
        if live.columns[key].family != "integer":
            return False
        with session.connection.transaction():
            named = session.run(write.index_columns(live, error.diag.constraint_name or "")).fetchall()
            return named == [(key,)] and _pass_taken(session, live, key)
    return False


def _tables(session: MergeSession) -> Iterator[tuple[LiveTable, str]]:
    for live in session.live.values():
        yield live, live.mapping.id
        for item_set in live.mapping.sets:
            yield live.sets[item_set.name], item_set.id


def _pass_taken(session: MergeSession, live: LiveTable, key: str) -> bool:
    found = session.run(key_sequences.sequence_of(live, key)).fetchone()
    if found is None or found[0] is None:
        return False
    (sequence,) = found
    drawn, highest = session.run(key_sequences.behind(live, key, sequence)).fetchone() or (0, None)
    if highest is None or not 0 <= highest - drawn <= _MOST_SKIPPED:
        return False
    session.run(key_sequences.use_up(sequence, highest - drawn))
    logger.warning(
        "Sequence %s was behind the keys of its table %s, and so new rows met keys that are taken; it goes on from %d.",
        sequence,
        live.name,
        highest + 1,
    )
    return True
