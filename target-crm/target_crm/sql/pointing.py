"""SQL that asks whether foreign keys point at a row."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from target_crm.mapping.foreign_keys import ForeignKey
from target_crm.sql.spec import S

# The alias of pointing rows.
POINTING = "f"


def points_at(key: ForeignKey, row: str, only: sql.Composable | None = None) -> sql.Composed:
    """Whether a row of the key's table points at the row under the alias; `only` limits the pointing rows.

    What this role can't read may point at anything.
    """
    if not key.readable:
        return S("true").format()
    return S("EXISTS (SELECT FROM {} AS {} WHERE {}{})").format(
        key.identifier,
        sql.Identifier(POINTING),
        key.matches(POINTING, row),
        S(" AND {}").format(only) if only is not None else S(""),
    )


def unreferenced(keys: Iterable[ForeignKey], row: str) -> sql.Composed:
    """Whether none of the keys points at the row."""
    conditions = [S("NOT {}").format(points_at(key, row)) for key in keys]
    return S(" AND ").join([*conditions, S("true")])
