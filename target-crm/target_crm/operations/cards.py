"""Conflicts by record: the queue of records that have open ones, and all of one record's together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from psycopg import sql

from target_crm.operations.conflicts import Filter
from target_crm.operations.session import Row, Session

S = sql.SQL


@dataclass(frozen=True)
class Card:
    """A record with open conflicts."""

    table: str
    row_id: str


def next_card(session: Session, which: Filter, after: Card | None = None) -> Card | None:
    """The first record of the queue after another one; the queue goes by table and key."""
    return _neighbour(session, which, after, S("(conflict.table_name, conflict.row_id) > (%s, %s)"), S("ASC"))


def previous_card(session: Session, which: Filter, before: Card) -> Card | None:
    """The last record of the queue before another one."""
    return _neighbour(session, which, before, S("(conflict.table_name, conflict.row_id) < (%s, %s)"), S("DESC"))


def _neighbour(session: Session, which: Filter, card: Card | None, beyond: sql.SQL, direction: sql.SQL) -> Card | None:
    found = session.rows(
        session.query(
            "conflicts.sql",
            "neighbour",
            condition=which.condition(),
            beyond=beyond if card else S("true"),
            direction=direction,
        ),
        *((card.table, card.row_id) if card else ()),
    )
    return Card(found[0]["table_name"], found[0]["row_id"]) if found else None


def conflicts_of(session: Session, card: Card, limit: int = 100) -> list[Row]:
    """The open conflicts of a record, in the order of the mapping's columns."""
    which = replace(Filter(), table=card.table, row=card.row_id)
    # In the order of no index: the planner would rather look through all open conflicts by their numbers.
    found = session.rows(
        session.query(
            "conflicts.sql", "find", condition=which.condition(), beyond=S("true"), order=S("conflict.id + 0")
        ),
        limit,
    )
    live = session.tables.get(card.table)
    order = [column.name for column in live.mapping.columns] if live is not None else []
    return sorted(found, key=lambda c: order.index(c["column_name"]) if c["column_name"] in order else len(order))
