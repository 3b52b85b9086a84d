"""The compiled statements of one stream, kept as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from target_crm.sql.spec import MergeSpec


class Statements:
    """Composes each statement once: composing costs more than a small batch."""

    def __init__(self, connection: psycopg.Connection[Any], spec: MergeSpec) -> None:
        self._connection, self.spec = connection, spec
        self._texts: dict[str, bytes] = {}

    def text(self, name: str, compose: Callable[[], sql.Composable]) -> bytes:
        """The statement of that name."""
        found = self._texts.get(name)
        if found is None:
            found = self._texts[name] = compose().as_bytes(self._connection)
        return found
