"""Which of a database's tables is which of amoCRM's streams."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from target_crm.mapping import words
from target_crm.mapping.catalogue import Connection, few_keys, if_readable
from target_crm.mapping.found_tables import Found, is_called, pick, split_words

# A name alone is enough to take a table; a few known columns make up for a doubtful name.
_LEAST_SCORE = 2.0
_LAST_WORD, _FIRST_WORD, _KNOWN_COLUMN, _SINGLE_WORD = 3.0, 1.5, 0.2, 0.3
# Tenants are few, and much depends on them.
_MOST_TENANTS, _MANY_STREAMS = 20, 4


def _goes_with_another(parts: Sequence[str]) -> bool:
    """Whether the name says that the table belongs to another one. English has the main word last, Russian first."""
    first_counts = re.match("[а-яё]", parts[0]) is not None
    for word in words.NOT_A_TABLE:
        if parts[-1].startswith(word) or parts[-1].endswith(word) or (first_counts and parts[0].startswith(word)):
            return True
    return False


def score(stream: str, table: Found) -> float:
    """How much a table looks like the stream's: by the words of its name, then by how many columns are known."""
    parts, known = split_words(table.name), words.TABLES[stream]
    if not parts or _goes_with_another(parts) or table.only_links:
        return 0.0
    if is_called(parts[-1], known):
        named = _LAST_WORD
    elif is_called(parts[0], known) and not any(is_called(parts[-1], w) for w in words.TABLES.values()):
        named = _FIRST_WORD
    else:
        return 0.0
    # The commonest name first: of `companies` and `clients` the former.
    if not _is_believable(stream, table, parts):
        return 0.0
    named += _SINGLE_WORD * (len(set(parts)) == 1)
    rank = next((n for n, w in enumerate(known) if is_called(parts[-1], (w,))), len(known))
    columns = sum(pick(table, m.words, m.families, ()) is not None for m in words.COLUMNS[stream])
    has_amo_id = pick(table, words.EXTERNAL_ID[stream], words.IDS, ()) is not None
    return named + _KNOWN_COLUMN * columns - rank / 100 + 0.5 * has_amo_id


def _is_believable(stream: str, table: Found, parts: Sequence[str]) -> bool:
    """Whether a table with a name of many meanings holds what such a table has to hold."""
    if stream == "users" and parts[-1] == "member":
        return pick(table, words.LOGIN, words.TEXT, ()) is not None
    if stream == "notes" and any(
        _is_of_another(table, column.name) for column in table.columns.values() if column.required
    ):
        return False
    return parts[-1] != "message" or "res_id" in table.columns


def _is_of_another(table: Found, column: str) -> bool:
    """Whether a column points to something that amoCRM's notes never belong to: comments of tasks are not notes."""
    target = table.points_by(column)
    return target is not None and split_words(target[1])[-1:] in ([word] for word in words.NO_OWNERS)


def find_tenants(connection: Connection, tables: Sequence[Found]) -> dict[tuple[str, str], Any]:
    """Tables of tenants, by schema and name, each with the key of its only row, or None where it has none or several.

    Firms that employees or companies must belong to, and that are few, own the database; they are not customers.
    """
    found: dict[tuple[str, str], Any] = {}
    firms = [table for table in tables if score("companies", table) >= _LAST_WORD]
    if len(firms) <= 1 and partner_table(tables) is None:
        return {}
    for table in firms:
        place = (table.schema, table.name)
        if table.key in table.columns and _must_belong_to(place, tables):
            unseen: list[Any] = []
            keys = if_readable(connection, partial(_keys, connection, table), unseen)
            if len(keys) <= _MOST_TENANTS:
                found[place] = keys[0] if len(keys) == 1 else None
    return found


def only_rows(
    connection: Connection, chosen: Mapping[str, tuple[Found, list[str]]], tables: Sequence[Found]
) -> dict[tuple[str, str], Any]:
    """Tables of no stream that rows of the chosen ones have to point to, each with the key of its only row, or None
    where it has none or several."""
    own, by_place = {table.place for table, _ in chosen.values()}, {table.place: table for table in tables}
    wanted = {
        to
        for table, _ in chosen.values()
        for name, to in table.facts.references.items()
        if table.columns[name].required and to not in own and to in by_place
    }
    found: dict[tuple[str, str], Any] = {}
    for place in sorted(wanted):
        table = by_place[place]
        if table.key in table.columns:
            unseen: list[Any] = []
            keys = if_readable(connection, partial(_keys, connection, table), unseen)
            found[place] = keys[0] if len(keys) == 1 else None
    return found


def _keys(connection: Connection, table: Found) -> list[Any]:
    return few_keys(connection, table.schema, table.name, table.key, _MOST_TENANTS)


def _must_belong_to(place: tuple[str, str], tables: Sequence[Found]) -> bool:
    streams: set[str] = set()
    for table in tables:
        if (table.schema, table.name) == place:
            continue
        if any(column.not_null and table.points_by(column.name) == place for column in table.columns.values()):
            streams |= {stream for stream in words.TABLES if score(stream, table) >= _LAST_WORD}
    return bool(streams & {"users", "companies"}) or len(streams) >= _MANY_STREAMS


def partner_table(tables: Sequence[Found]) -> Found | None:
    """The one table that holds firms and people, distinguished by `is_company`, if there is such a table."""
    found = [t for t in tables if split_words(t.name)[-1:] == ["partner"] and "is_company" in t.columns]
    return found[0] if len(found) == 1 else None


def choose_tables(tables: Sequence[Found]) -> dict[str, tuple[Found, list[str]]]:
    """The best table for each stream that has one, and the names of the runners-up; no table serves twice."""
    ranked = sorted(
        ((score(stream, table), stream, table) for stream in words.TABLES for table in tables),
        key=lambda x: -x[0],
    )
    partner = partner_table(tables)
    chosen: dict[str, tuple[Found, list[str]]] = {}
    used: set[str] = set()
    if partner is not None:
        chosen = {"companies": (partner, []), "contacts": (partner, [])}
        used.add(partner.full_name)
    for value, stream, table in ranked:
        if value < _LEAST_SCORE:
            continue
        if stream in chosen:
            if table.full_name not in used:
                chosen[stream][1].append(table.full_name)
        elif table.full_name not in used:
            chosen[stream] = (table, [])
            used.add(table.full_name)
    return {stream: chosen[stream] for stream in words.TABLES if stream in chosen}
