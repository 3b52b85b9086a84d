"""Lists of conflicts in the orders that people ask for, page by page."""

from __future__ import annotations

from psycopg import sql

from target_crm.operations.conflicts import Filter, find_conflicts
from target_crm.operations.session import Row, Session
from target_crm.operations.trigrams import letters_index, trigram_operators
from target_crm.sql.conflicts import SIDES, value_text

S = sql.SQL
_NEWEST = 2**62
# Each order ends by the number of the conflict, so that every page continues where the one before it ended.
_ORDERS = {
    "record": ("table_name", "row_id", "id"),
    "column": ("table_name", "column_name", "id"),
    "run": ("run_id", "id"),
}
SORTS = ("oldest", "newest", *_ORDERS)


def find_sorted(
    session: Session, which: Filter, sort: str, after: int | None = None, *, limit: int = 50, few: bool = False
) -> list[Row]:
    """Conflicts in one of `SORTS` (the oldest first for any other word), those behind the conflict `after`; `few` as in
    `find_conflicts`."""
    if sort == "newest":
        return find_conflicts(session, which, before=after or _NEWEST, limit=limit, few=few)
    if sort not in _ORDERS:
        return find_conflicts(session, which, after=after or 0, limit=limit, few=few)
    names = [sql.Identifier(name) for name in _ORDERS[sort]]
    mine = S(", ").join(S("conflict.{}").format(name) for name in names)
    beyond: sql.Composable = S("true")
    if after is not None:
        last = session.rows(
            S("SELECT {} FROM {} WHERE id = {}").format(
                S(", ").join(names), session.control("sync_conflicts"), sql.Literal(after)
            )
        )
        if not last:
            return []
        beyond = S("({}) > ({})").format(mine, S(", ").join(sql.Literal(last[0][name]) for name in _ORDERS[sort]))
    return session.rows(
        session.query("conflicts.sql", "find", condition=which.condition(), beyond=beyond, order=mine),
        limit,
    )


def text_indexes(session: Session) -> dict[str, sql.Composed]:
    """By name, an index for the search in the values of open conflicts, where the database has the extension pg_trgm:
    without it each search reads all of them."""
    operators = trigram_operators(session)
    if operators is None:
        return {}
    name, texts = "sync_conflicts_letters", [value_text(side) for side in SIDES]
    statement = letters_index(operators, name, session.control("sync_conflicts"), texts)
    return {name: S("{} WHERE resolved_at IS NULL").format(statement)}
