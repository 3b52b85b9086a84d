"""Finds the records that the database refuses among many, without writing any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg

from target_crm.database.refusals import belongs_to_records
from target_crm.database.session import PinnedConnection
from target_crm.records.envelope import SeenRecord

Refused = list[tuple[SeenRecord, psycopg.Error]]


class Isolator:
    """Tries parts of a batch and rolls each back.

    A record is refused if it can't be merged after those before it that can. What depends on several records at once
    (two that swap a unique value) must not be torn apart by what is written: so nothing is, and the caller merges the
    others together.

    Args:
        connection: Where `merge` works.
        merge: Merges records in a separate transaction, or a savepoint inside one.
    """

    def __init__(self, connection: PinnedConnection, merge: Callable[[Sequence[SeenRecord]], object]) -> None:
        self._connection, self._merge = connection, merge

    def find(self, records: Sequence[SeenRecord], error: psycopg.Error) -> Refused:
        """Those of records that are refused; all together they are, with `error`.

        Raises:
            psycopg.Error: an error that belongs to no record.
        """
        if len(records) == 1:
            return [(records[0], error)]
        middle = len(records) // 2
        refused = self._refused(records[:middle])
        bad = {id(record) for record, _ in refused}
        good = [record for record in records[:middle] if id(record) not in bad]
        with self._connection.transaction(force_rollback=True):
            if good:
                self._merge(good)
            return refused + self._refused(records[middle:])

    def _refused(self, records: Sequence[SeenRecord]) -> Refused:
        try:
            with self._connection.transaction(force_rollback=True):
                self._merge(records)
                # What is deferred to the commit is refused here.
                self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except psycopg.Error as error:
            if not belongs_to_records(error):
                raise
            return self.find(records, error)
        return []
