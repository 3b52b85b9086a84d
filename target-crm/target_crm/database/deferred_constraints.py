"""Deferred constraints, checked where nothing is committed: a dry run must refuse what the load's commit would."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

_INITIALLY_DEFERRED = """
SELECT DISTINCT namespace.nspname, con.conname
FROM pg_constraint AS con JOIN pg_namespace AS namespace ON namespace.oid = con.connamespace
WHERE con.condeferred
ORDER BY 1, 2
"""


class DeferredConstraints:
    """The initially deferred constraints of a database, found once per connection."""

    def __init__(self) -> None:
        self._names: list[sql.Identifier] | None = None

    def check(self, connection: psycopg.Connection[Any]) -> None:
        """Check all that is deferred so far; afterwards constraints are deferred as they were.

        Raises:
            psycopg.IntegrityError: a row violates one.
        """
        if self._names is None:
            self._names = [sql.Identifier(*row) for row in connection.execute(_INITIALLY_DEFERRED)]
        if not self._names:
            return
        names = sql.SQL(", ").join(self._names)
        connection.execute(sql.SQL("SET CONSTRAINTS {} IMMEDIATE").format(names))
        connection.execute(sql.SQL("SET CONSTRAINTS {} DEFERRED").format(names))
