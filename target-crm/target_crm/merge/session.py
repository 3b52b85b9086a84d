"""A connection that merges: its tables, its statements, and notes of the current merge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg
from psycopg import sql

from target_crm.config.settings import Settings
from target_crm.database.session import PinnedConnection
from target_crm.database.violations import as_violation
from target_crm.mapping.check import LiveTable
from target_crm.merge.row_keys import RowKeys
from target_crm.sql import joins, sets, write
from target_crm.sql.spec import MergeSpec
from target_crm.sql.statements import Statements


@dataclass
class MergeSession:
    """Merges staged records into the live tables inside the caller's transaction.

    `row_keys` names the streams whose new rows can be copied straight into their tables; `deleted_so_far` counts by
    table what this run marked deleted, for the guard.
    """

    connection: PinnedConnection
    live: Mapping[str, LiveTable]
    settings: Settings
    run_id: int
    row_keys: Mapping[str, RowKeys] = field(default_factory=dict)
    deleted_so_far: dict[str, int] = field(default_factory=dict)
    # Whether records are compared by value even if key and hash are unchanged.
    compares_all: bool = False
    # Of the current merge: rows that a trigger leaves unchanged, by table; columns that are cleared before they are
    # written, because unique values are exchanged.
    skipping: dict[str, set[str]] = field(default_factory=dict)
    vacating: set[tuple[str, str]] = field(default_factory=set)
    # Items that triggers left out, by table.
    skipped_items: dict[str, int] = field(default_factory=dict)
    # In a dry run: table, row, column, base, the CRM's value and amoCRM's value of each edit that stays.
    kept_cells: list[tuple[Any, ...]] = field(default_factory=list)
    # Name and e-mail of records that match no row, by stream, account and amoCRM id.
    unmatched: dict[tuple[str, int, int], tuple[str | None, str | None]] = field(default_factory=dict)
    # Rows that were tied to their records again, by table.
    tied_again: dict[str, int] = field(default_factory=dict)
    # Rows for the records that are merged next: row and rule, by stream and key.
    ties: dict[str, dict[tuple[int, int], tuple[str, str]]] = field(default_factory=dict)
    _with_triggers: dict[str, bool] = field(default_factory=dict)
    _statements: dict[str, Statements] = field(default_factory=dict)

    def use(self, connection: PinnedConnection) -> None:
        """Continue with another session, which has none of the temporary tables."""
        self.connection = connection
        self._statements.clear()

    def run(self, statement: sql.Composable | bytes) -> psycopg.Cursor[Any]:
        """Run a statement."""
        return self.connection.execute(statement)  # type: ignore[arg-type]

    def run_all(self, statements: Iterable[sql.Composable | bytes]) -> None:
        """Run statements one after another, because Citus does not accept two of them in one string."""
        for statement in statements:
            self.run(statement)

    @property
    def schema(self) -> str:
        """The schema of the loader's own tables."""
        return self.settings.crm_schema

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {stream: number for number, stream in enumerate(self.live)}

    def spec(self, stream: str, only: str | None = None) -> MergeSpec:
        """The spec from which the stream's merge is compiled; a single column for a partial merge."""
        return MergeSpec(
            self.live[stream],
            self.live,
            self.schema,
            self.settings.default_policy,
            self.run_id,
            self._numbers[stream],
            only,
        )

    def prepare(self, stream: str) -> Statements:
        """The stream's statements; creates its empty temporary tables."""
        found = self._statements.get(stream)
        if found is None:
            found = Statements(
                self.connection,
                self.spec(stream),
                show_edits=self.settings.dry_run,
                compares_all=self.compares_all,
            )
            self._statements[stream] = found
        self.run_all(found.create_tables)
        # On Citus a question about several tables costs more than emptying them.
        left = self.run(found.have_rows).fetchone() if self.connection.staging is None else (True,)
        if left is None or left[0]:
            self.run(found.truncate_tables)
        return found

    @contextmanager
    def by_key(self) -> Iterator[None]:
        """Within it rows are looked up one by one by their whole key (`joins.by_key`).

        After an error the transaction is at its end, and the setting with it.
        """
        version = self.connection.info.server_version
        self.run(joins.by_key(version))
        yield
        self.run(joins.as_planned(version))

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A transaction (a savepoint inside one) of an attempt; its notes are dropped if it fails."""
        cells, items, tied = len(self.kept_cells), dict(self.skipped_items), dict(self.tied_again)
        try:
            with self.connection.transaction():
                yield
        except BaseException:
            del self.kept_cells[cells:]
            self.skipped_items = items
            self.tied_again = tied
            raise

    def has_triggers(self, live: LiveTable) -> bool:
        """Whether the table has BEFORE triggers, which may leave rows out."""
        name = live.identifier.as_string(self.connection)
        found = self._with_triggers.get(name)
        if found is None:
            found = bool(self.run(sets.has_triggers(name)).fetchone())
            self._with_triggers[name] = found
        return found

    def skip_items(self, live: LiveTable, number: int) -> None:
        """Note items that a trigger left out."""
        if number > 0:
            self.skipped_items[live.name] = self.skipped_items.get(live.name, 0) + number

    def as_violation(self, error: psycopg.Error) -> psycopg.Error:
        """The error. If Citus passes it on without its kind or names, the error that the node raised."""
        if self.connection.everywhere is None or error.diag.table_name:
            return error
        schemas = {self.schema, *(live.schema for live in self.live.values())}
        with self.connection.transaction():
            return as_violation(self.connection, error, schemas)

    def free_columns(self, error: psycopg.Error) -> set[tuple[str, str]]:
        """Nullable mapped columns of the unique index that a refused row violates."""
        for live in self.live.values():
            table = live.mapping
            if (live.schema, live.name) == (error.diag.schema_name, error.diag.table_name):
                with self.connection.transaction():
                    found = self.run(write.index_columns(live, error.diag.constraint_name or "")).fetchall()
                nullable = {c.name for c in table.columns if not live.columns[c.name].not_null}
                return {(table.table, row[0]) for row in found if row[0] in nullable}
        return set()
