"""The statements of one stream's merge, each composed once: composing costs more than a small batch."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import psycopg
from psycopg import sql

from target_crm.sql import direct, insert, journal, merge, staging, write
from target_crm.sql.spec import MergeSpec


class Statements:
    """What is run for each batch of a stream, as bytes.

    Args:
        connection: Whose encoding the statements are in.
        spec: The stream's merge.
        show_edits: Whether rows that hold edits count as changed, for a plan tells of each.
        compares_all: Whether all rows do.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        spec: MergeSpec,
        *,
        show_edits: bool = False,
        compares_all: bool = False,
    ) -> None:
        self._connection, self.spec = connection, spec
        self._show_edits, self._compares_all = show_edits, compares_all
        self._plans: dict[int, PlanStatements] = {}

    def _bytes(self, statement: sql.Composable) -> bytes:
        return statement.as_bytes(self._connection)

    @cached_property
    def create_tables(self) -> list[bytes]:
        """The temporary tables."""
        return [self._bytes(statement) for statement in staging.create_tables(self.spec)]

    @cached_property
    def have_rows(self) -> bytes:
        """Whether there is anything in the temporary tables."""
        return self._bytes(staging.have_rows(self.spec))

    @cached_property
    def truncate_tables(self) -> bytes:
        """Empties the temporary tables."""
        return self._bytes(staging.truncate_tables(self.spec))

    @cached_property
    def copy_seen(self) -> bytes:
        """COPY of the keys that came."""
        return self._bytes(staging.copy_seen(self.spec))

    @cached_property
    def analyze_seen(self) -> bytes:
        """Statistics of the keys that came."""
        return self._bytes(staging.analyze(self.spec, "seen"))

    @cached_property
    def classify(self) -> bytes:
        """Tells new records from changed ones."""
        return self._bytes(staging.classify(self.spec, show_edits=self._show_edits, compares_all=self._compares_all))

    @cached_property
    def copy_waiting_links(self) -> bytes:
        """COPY of links whose other end has not come."""
        return self._bytes(staging.copy_waiting_links(self.spec))

    @cached_property
    def keep_waiting_links(self) -> bytes:
        """Keeps those links."""
        return self._bytes(staging.keep_waiting_links(self.spec))

    @cached_property
    def forget_waiting_links(self) -> bytes:
        """Empties their temporary table."""
        return self._bytes(staging.truncate_waiting_links(self.spec))

    @cached_property
    def copy_stage(self) -> bytes:
        """COPY of whole records."""
        return self._bytes(staging.copy_stage(self.spec))

    @cached_property
    def copy_items(self) -> bytes:
        """COPY of the items of sets."""
        return self._bytes(staging.copy_items(self.spec))

    @cached_property
    def analyze_stage(self) -> bytes:
        """Statistics of staged records."""
        return self._bytes(staging.analyze(self.spec, "stage"))

    @cached_property
    def analyze_items(self) -> bytes:
        """Statistics of staged items."""
        return self._bytes(staging.analyze(self.spec, "items"))

    @cached_property
    def insert_rows(self) -> bytes:
        """Inserts staged records that are new."""
        return self._bytes(insert.insert_rows(self.spec))

    @cached_property
    def analyze_inserted(self) -> bytes:
        """Statistics of inserted rows."""
        return self._bytes(staging.analyze(self.spec, "inserted"))

    @cached_property
    def remember_keys(self) -> bytes:
        """Keeps which record became which inserted row."""
        return self._bytes(insert.remember_keys(self.spec))

    @cached_property
    def journal_inserted(self) -> bytes:
        """The journal of inserted rows."""
        return self._bytes(insert.journal_inserted(self.spec))

    @cached_property
    def insert_items(self) -> list[bytes]:
        """Inserts the items of inserted rows, by the number of their set."""
        return [self._bytes(insert.insert_items_of_new(self.spec, i)) for i in range(len(self.spec.live.mapping.sets))]

    @cached_property
    def copy_rows(self) -> bytes:
        """COPY of new rows straight into their table."""
        return self._bytes(direct.copy_rows(self.spec))

    @cached_property
    def copy_keys(self) -> bytes:
        """COPY of which record became which of these rows."""
        return self._bytes(direct.copy_keys(self.spec))

    @cached_property
    def copy_journal(self) -> bytes:
        """COPY of the journal of these rows."""
        return self._bytes(journal.copy_inserted(self.spec))

    @cached_property
    def groups(self) -> list[Statements]:
        """Those of each part in which rows that exist are merged; itself where all columns are merged at once."""
        if len(self.spec.groups) == 1:
            return [self]
        return [Statements(self._connection, group) for group in self.spec.groups]

    @cached_property
    def copy_item_rows(self) -> list[bytes]:
        """COPY of the items of these rows straight into their tables, by the number of their set."""
        sets = self.spec.live.mapping.sets
        return [self._bytes(direct.copy_set(item_set, self.spec.live.sets[item_set.name])) for item_set in sets]

    def plan(self, rows: int) -> PlanStatements:
        """Those that merge `rows` staged records whose row exists; the same ones for numbers that are alike."""
        size = staging.limit_of(rows)
        if size not in self._plans:
            self._plans[size] = PlanStatements(self._connection, self.spec, merge.staged(self.spec, size), size)
        return self._plans[size]


class PlanStatements:
    """The statements that merge rows of one source three ways.

    Args:
        connection: Whose encoding the statements are in.
        spec: The stream's merge, of all columns, a part of them, or one.
        source: The rows, as `sql.merge.staged` gives them.
        rows: How many they are at most.
    """

    def __init__(self, connection: psycopg.Connection[Any], spec: MergeSpec, source: sql.Composable, rows: int) -> None:
        self._connection, self.spec, self._source, self.rows = connection, spec, source, rows

    def _bytes(self, statement: sql.Composable) -> bytes:
        return statement.as_bytes(self._connection)

    @cached_property
    def lock(self) -> bytes:
        """Locks the rows."""
        return self._bytes(merge.lock_rows(self.spec, self._source))

    @cached_property
    def fill(self) -> list[bytes]:
        """Works the plan out."""
        return [self._bytes(statement) for statement in merge.fill_plan(self.spec, self._source)]

    @cached_property
    def count(self) -> bytes:
        """Sums the plan up."""
        return self._bytes(merge.count_plan(self.spec))

    @cached_property
    def write(self) -> bytes:
        """Writes the changed rows and keeps with their keys what was merged."""
        return self._bytes(write.write_and_remember(self.spec, self.rows))

    @cached_property
    def remember_unchanged(self) -> bytes:
        """Keeps with their keys what was found unchanged the long way."""
        return self._bytes(write.remember_unchanged(self.spec, self.rows))
