"""Statements of a fixed shape, kept in .sql files.

A statement begins with a line `-- name: NAME`; the comments below it say what it does. Slots `{sync_...}` are the
loader's own tables, others are given by the caller; values are parameters (`%s`).
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from string import Formatter

from psycopg import sql


@cache
def _statements(file: str) -> dict[str, str]:
    text = resources.files("target_crm.sql").joinpath(file).read_text("utf-8")
    _, *parts = re.split(r"(?m)^-- name: (\w+)\n", text)
    bodies = ("\n".join(line for line in part.splitlines() if not line.startswith("--")) for part in parts[1::2])
    return dict(zip(parts[::2], (body.strip() for body in bodies), strict=True))


def query(file: str, name: str, schema: str, **slots: sql.Composable) -> sql.Composed:
    """A statement of a file, for the schema of the loader's own tables."""
    text = _statements(file)[name]
    tables = {slot for _, slot, _, _ in Formatter().parse(text) if slot and slot.startswith("sync_")}
    return sql.SQL(text).format(**{table: sql.Identifier(schema, table) for table in tables}, **slots)
