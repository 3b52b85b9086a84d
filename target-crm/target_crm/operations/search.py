"""Finds records by what people know of them: a name, a phone in any spelling, an e-mail, INN, the number in amoCRM."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.normalise.phones import parse_phone
from target_crm.operations.labels import natural_order
from target_crm.operations.records import name_columns, name_sql
from target_crm.operations.session import Session, SetTable
from target_crm.operations.trigrams import letters_index, trigram_operators
from target_crm.sql.spec import I, S

MOST_FOUND = 20
# A table that takes longer is left out, and the reader learns it.
_MILLISECONDS = 1500
_LOOKED_THROUGH = 400


@dataclass(frozen=True)
class Found:
    """A record, and its name and numbers."""

    table: str
    row_id: str
    name: str
    account_id: int | None = None
    amo_id: int | None = None


@dataclass(frozen=True)
class Search:
    """What was found, in the natural order of the tables; `left_out` are tables whose search took too long."""

    found: list[Found]
    left_out: list[str]


def find_records(session: Session, text: str) -> Search:
    """Records that a text names, at most `MOST_FOUND` of each table."""
    text, found, left_out = " ".join(text.split())[:200], dict[tuple[str, str], Found](), list[str]()
    for name in natural_order(session, session.tables) if text else ():
        live = session.tables[name]
        for condition in _conditions(session, live, text):
            records = _read(session, live, condition, MOST_FOUND)
            if records is None:
                left_out.append(name)
                break
            for record in records:
                found.setdefault((record.table, record.row_id), record)
    return Search(list(found.values()), left_out)


def rows_named(session: Session, text: str, limit: int = 500) -> list[tuple[str, str]]:
    """Tables and keys of records whose names hold the words of a text."""
    found: list[tuple[str, str]] = []
    for live in session.tables.values():
        records = _read(session, live, _named(live, text), limit) if re.search(r"\w", text) else None
        found += [(record.table, record.row_id) for record in records or []]
    return found


def recent_records(session: Session, limit: int = MOST_FOUND) -> list[Found]:
    """The records that were written last."""
    rows = session.rows(session.query("history.sql", "last_written", most=sql.Literal(_LOOKED_THROUGH)))
    by_table: dict[str, list[str]] = {}
    for row in [r for r in rows if r["table_name"] in session.tables][:limit]:
        by_table.setdefault(row["table_name"], []).append(row["row_id"])
    found: list[Found] = []
    for table in natural_order(session, by_table):
        live = session.tables[table]
        keys = S("crm.{} = ANY({}::text[]::{}[])").format(
            I(live.mapping.id), sql.Literal(by_table[table]), S(live.columns[live.mapping.id].type_sql)
        )
        found += _read(session, live, keys, limit) or []
    return found


def search_indexes(session: Session) -> dict[str, sql.Composed]:
    """By name, indexes for the search of the built-in tables: on phones and e-mails, and on names where the database
    has the extension pg_trgm."""
    found: dict[str, sql.Composed] = {}
    for item_set in session.item_sets:
        value = item_set.item_set.columns.get("value")
        if value in item_set.live.columns:
            name = f"review_{item_set.live.name}_value"
            found[name] = S("CREATE INDEX CONCURRENTLY IF NOT EXISTS {} ON {} ({})").format(
                I(name), item_set.live.identifier, I(value)
            )
    operators = trigram_operators(session)
    if operators is None:
        return found
    for live in session.tables.values():
        for column in name_columns(live):
            name = f"review_{live.name}_{column}_letters"
            found[name] = letters_index(operators, name, live.identifier, [I(column)])
    return found


def _conditions(session: Session, live: LiveTable, text: str) -> Iterable[sql.Composable]:
    """What a row of the table must fulfil to be meant, the surest first."""
    table, digits = live.mapping, re.sub(r"\D", "", text)
    if text.isascii() and text.isdigit() and len(text) < 19 and table.amo_id in live.columns:
        yield S("crm.{} = {}").format(I(table.amo_id or ""), sql.Literal(int(text)))
    if digits and digits == text.replace(" ", ""):
        for column in table.columns:
            if column.transform == "inn" and column.name in live.columns:
                yield S("crm.{}::text = {}").format(I(column.name), sql.Literal(digits))
    region = session.settings.default_region
    phone = parse_phone(text, region).value if len(digits) >= 5 and not re.search(r"[^\W\d_]", text) else None
    email = text.lower() if re.fullmatch(r"\S+@\S+", text) else None
    sets = [s for s in session.item_sets if s.parent is live]
    for wanted, kind in ((phone, "phone"), (email, "email")):
        if wanted is not None:
            yield from (_in_set(live, s, wanted) for s in sets if s.item_set.item == kind)
            for column in table.columns:
                if column.transform == kind and column.name in live.columns:
                    yield S("crm.{} = {}").format(I(column.name), sql.Literal(wanted))
    if phone is None and email is None and re.search(r"\w", text):
        yield _named(live, text)


def _in_set(live: LiveTable, item_set: SetTable, value: str) -> sql.Composed:
    one = item_set.item_set
    return S("crm.{} IN (SELECT item.{} FROM {} AS item WHERE item.{} = {})").format(
        I(live.mapping.id), I(one.parent), item_set.live.identifier, I(one.columns["value"]), sql.Literal(value)
    )


def _named(live: LiveTable, text: str) -> sql.Composed:
    """Each word of the text is in one of the columns that make the name."""
    columns = name_columns(live)
    parts: list[sql.Composable] = [S("true") if columns else S("false")]
    for word in text.split()[:8]:
        pattern = sql.Literal("%" + re.sub(r"([\\%_])", r"\\\1", word) + "%")
        parts.append(S("({})").format(S(" OR ").join(S("crm.{} ILIKE {}").format(I(c), pattern) for c in columns)))
    return S(" AND ").join(parts if columns else parts[:1])


def _read(session: Session, live: LiveTable, condition: sql.Composable, limit: int) -> list[Found] | None:
    """Rows that fulfil a condition; None where it took too long."""
    table = live.mapping
    account, number = (
        S("crm.{}").format(I(c)) if c in live.columns else S("NULL") for c in (table.account, table.amo_id)
    )
    statement = session.query(
        "records.sql",
        "find",
        id=I(table.id),
        label=name_sql(live),
        account=account,
        number=number,
        table=live.identifier,
        condition=condition,
        most=sql.Literal(limit),
    )
    try:
        with session.connection.transaction():
            session.connection.execute("SELECT set_config('statement_timeout', %s, true)", (f"{_MILLISECONDS}ms",))
            rows = session.connection.execute(statement).fetchall()
            session.connection.execute("SELECT set_config('statement_timeout', '0', true)")
    except psycopg.errors.QueryCanceled:
        return None
    return [Found(table.table, *row) for row in rows]
