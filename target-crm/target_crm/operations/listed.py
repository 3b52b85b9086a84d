"""Lists of the loader's own tables for the commands: how many there are in all, warnings, what a change was about."""

from __future__ import annotations

from psycopg import sql

from target_crm.operations.session import Row, Session

S = sql.SQL
MOST_COUNTED = 10_000


def count_up_to(session: Session, table: str, condition: sql.Composable, most: int = MOST_COUNTED) -> int:
    """How many rows of one of the loader's tables, under the alias `listed`, fit a condition; counted up to
    `most` + 1."""
    (found,) = session.rows(
        S("SELECT count(*) AS n FROM (SELECT FROM {} AS listed WHERE {} LIMIT {}) AS counted").format(
            session.control(table), condition, sql.Literal(most + 1)
        )
    )
    return int(found["n"])


def fits(*, resolved: bool = False, **values: object) -> sql.Composed:
    """A condition over `listed`: open ones alone unless `resolved`, and what is given of the columns; a list means
    any."""
    parts: list[sql.Composable] = [S("true") if resolved else S("listed.resolved_at IS NULL")]
    for name, value in values.items():
        if isinstance(value, list):
            parts.append(S("listed.{} = ANY({})").format(sql.Identifier(name), sql.Literal(value)))
        elif value is not None:
            parts.append(S("listed.{} = {}").format(sql.Identifier(name), sql.Literal(value)))
    return S(" AND ").join(parts)


def find_listed(
    session: Session, table: str, condition: sql.Composable, *, after: int = 0, limit: int = 50
) -> list[Row]:
    """Rows of one of the loader's tables, under the alias `listed`, that fit a condition, with an id above `after`, the
    oldest first."""
    return session.rows(
        S("SELECT listed.* FROM {} AS listed WHERE {} AND listed.id > %s ORDER BY listed.id LIMIT %s").format(
            session.control(table), condition
        ),
        after,
        limit,
    )
