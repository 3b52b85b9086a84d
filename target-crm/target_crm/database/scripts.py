"""Scripts of SQL: the statements that make and upgrade the tables."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any

import psycopg
from psycopg import sql


def run_script(connection: psycopg.Connection[Any], file: str, **slots: sql.Composable) -> None:
    """Run the statements of a file one after another. The caller commits.

    Each by itself, since Citus passes on the text in which a statement is. A statement ends with a line that ends
    with a semicolon, outside of a function's body.
    """
    for statement in _split(file):
        connection.execute(sql.SQL(statement).format(**slots))


@cache
def _split(file: str) -> list[str]:
    text = resources.files("target_crm.sql").joinpath(file).read_text("utf-8")
    code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    # Every other part is a function's body.
    parts = code.split("$$")
    ends = [part if number % 2 else re.sub(r";[ \t]*(?:\n|$)", "\0", part) for number, part in enumerate(parts)]
    return [statement for whole in "$$".join(ends).split("\0") if (statement := whole.strip())]
