"""Runs the compiled statements of a merge inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from target_crm.config import Settings
from target_crm.errors import GuardError
from target_crm.mapping.check import LiveTable
from target_crm.mapping.model import Column
from target_crm.sql import deletes, journal, links, merge, sets
from target_crm.sql.merge import MergeSpec

Connection = psycopg.Connection[Any]
# Below this many rows of a batch a share says nothing.
_LEAST_ROWS_FOR_SHARE = 20
# One deletion is never a mass deletion, however small the table.
_LEAST_DELETES = 2


class ContendedError(Exception):
    """Somebody changed rows between plan and write; the batch is merged anew under locks."""


@dataclass
class Counts:
    """What a merge did to one table, in rows; conflicts are counted in cells."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    kept: int = 0
    conflicts: int = 0
    deleted: int = 0
    restored: int = 0
    rejected: int = 0

    def add(self, other: Counts) -> None:
        """Sum up."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class Merger:
    """Merges staged lines into the live tables. One instance serves one run."""

    connection: Connection
    live: Mapping[str, LiveTable]
    settings: Settings
    run_id: int
    deleted_so_far: dict[str, int] = field(default_factory=dict)

    def spec(self, stream: str, columns: Iterable[Column] | None = None) -> MergeSpec:
        """What the stream's merge is compiled from; some columns alone for a partial one."""
        live = self.live[stream]
        chosen = tuple(columns) if columns is not None else live.mapping.columns
        return MergeSpec(live, self.live, chosen, self.settings.crm_schema, self.settings.default_policy)

    def _run(self, statement: sql.Composable) -> int:
        return self.connection.execute(statement, {"run": self.run_id}).rowcount  # type: ignore[arg-type]

    def _plain(self, statement: sql.Composable) -> psycopg.Cursor[Any]:
        return self.connection.execute(statement)  # type: ignore[arg-type]

    def stage(self, lines: Iterable[bytes]) -> None:
        """COPY the lines into the staging table, in place of what it held."""
        self._plain(merge.CREATE_STAGE)
        self._plain(sql.SQL("TRUNCATE crm_stage"))
        with self.connection.cursor() as cursor, cursor.copy(merge.COPY_STAGE) as copy:
            copy.write(b"\n".join(lines) + b"\n")
        self._plain(merge.ANALYZE_STAGE)

    def merge(self, stream: str, lines: list[bytes], *, lock: bool = False) -> Counts:
        """Merge the staged lines of one stream.

        Args:
            stream: A mapped stream.
            lines: Staging lines, one a record, each record once.
            lock: Lock the rows first; slower, and immune to people who edit meanwhile.

        Raises:
            ContendedError: a row changed between plan and write (never under `lock`).
            GuardError: a guard stopped the batch.
            psycopg.Error: the database refused a value.
        """
        spec = self.spec(stream)
        table = spec.live.mapping
        self.stage(lines)
        for name in table.match:
            column = next(c for c in table.columns if c.name == name)
            self._plain(links.adopt_rows(spec, column))
        if table.match_only:
            return Counts(read=len(lines), unchanged=len(lines))
        counts = self._apply(spec, merge.staged_rows(spec), lock=lock)
        counts.read = len(lines)
        counts.unchanged = len(lines) - counts.inserted - counts.updated
        if counts.inserted:
            self._link_children(stream, lock=lock)
        return counts

    def _plan(self, spec: MergeSpec, source: sql.Composable, *, partial: bool) -> tuple[int, ...]:
        self._plain(merge.DROP_PLAN)
        self._plain(merge.create_plan(spec, source, partial=partial))
        self._plain(merge.ANALYZE_PLAN)
        row = self._plain(merge.count_plan(spec)).fetchone()
        assert row is not None
        return tuple(row)

    def _apply(
        self, spec: MergeSpec, source: sql.Composable, *, partial: bool = False, lock: bool = False
    ) -> Counts:
        planned = self._plan(spec, source, partial=partial)
        if lock:
            # What is locked can't change any more; rows that join in while we wait for locks are locked, too.
            for _ in range(5):
                self._plain(merge.lock_rows(spec))
                before, planned = planned, self._plan(spec, source, partial=partial)
                if before == planned:
                    break
        inserted, updated, kept, conflicts, taken = planned[:5]
        if not partial:
            self._guard_changes(spec, planned[5:], taken)
        if updated:
            if self._plain(merge.update_rows(spec)).rowcount != updated:
                raise ContendedError
            self._run(journal.journal_updates(spec))
            if spec.live.mapping.resurrect == "changed":
                self._plain(merge.remember_versions(spec))
        if inserted:
            self._plain(merge.insert_rows(spec))
            self._run(journal.journal_inserts(spec))
        if conflicts:
            statement = journal.record_conflicts(spec)
            if statement is not None:
                self._run(statement)
        if (inserted or updated) and not partial:
            self._merge_sets(spec, updated)
            pending = merge.keep_pending(spec)
            if pending is not None:
                self._plain(pending)
        return Counts(inserted=inserted, updated=updated, kept=kept, conflicts=conflicts)

    def _merge_sets(self, spec: MergeSpec, updated: int) -> None:
        for index, item_set in enumerate(spec.live.mapping.sets):
            one = sets.SetSpec(spec, item_set, index)
            self._plain(sets.DROP_ITEMS)
            if not self._plain(sets.create_owners(one)).rowcount:
                continue
            self._plain(sets.CREATE_ITEMS)
            self._plain(sets.ANALYZE_ITEMS)
            if updated:
                self._run(sets.remove_items(one))
                self._run(sets.update_items(one))
            self._run(sets.insert_items(one))

    def _link_children(self, stream: str, *, lock: bool) -> None:
        """Link the rows that came before their parents."""
        schema = self.settings.crm_schema
        self._plain(links.DROP_BORN)
        self._plain(links.BORN)
        self._plain(links.DROP_LATE)
        if not self._plain(links.take_pending(schema, stream)).rowcount:
            return
        for table_name, column_name in self._plain(links.LATE_COLUMNS).fetchall():
            child = next((t for t in self.live.values() if t.mapping.table == table_name), None)
            column = child and next((c for c in child.mapping.columns if c.name == column_name), None)
            if child is None or column is None:
                continue
            spec = self.spec(child.mapping.stream, [column])
            self._apply(spec, links.late_rows(spec, column), partial=True, lock=lock)
        self._plain(links.forget_pending(schema))

    def name(self, lines: list[bytes], *, lock: bool = False) -> Counts:
        """Write staged names (pipelines, statuses, ...) and bring them to the rows that use them."""
        schema = self.settings.crm_schema
        self.stage(lines)
        self._plain(links.DROP_NAMED)
        counts = Counts(read=len(lines))
        if not self._plain(links.upsert_lookups(schema)).rowcount:
            return counts
        self._plain(links.write_lookups(schema))
        for stream, live in self.live.items():
            for column in live.mapping.columns:
                if column.lookup and not live.mapping.match_only:
                    spec = self.spec(stream, [column])
                    counts.add(self._apply(spec, links.named_rows(spec, column), partial=True, lock=lock))
        return counts

    def delete(self, stream: str, lines: list[bytes]) -> Counts:
        """Mark rows whose records were deleted in amoCRM, unmark those that were restored.

        Raises:
            GuardError: more of the table than `max_deletes_percent` would be marked in this run.
        """
        live, schema = self.live[stream], self.settings.crm_schema
        if live.mapping.service["amo_deleted_at"] is None or live.mapping.match_only:
            return Counts()
        self.stage(lines)
        self._plain(deletes.DROP_DELETES)
        self._plain(deletes.plan_deletes(live, schema))
        row = self._plain(deletes.COUNT_DELETES).fetchone()
        assert row is not None
        marked, restored = row
        if marked:
            self._guard_deletes(live, marked)
        self._run(deletes.mark_rows(live, schema))
        self._plain(deletes.remember_tombstones(live, schema))
        return Counts(deleted=marked, restored=restored)

    def _guard_deletes(self, live: LiveTable, marked: int) -> None:
        name = live.mapping.table
        total = self.deleted_so_far.get(name, 0) + marked
        row = self._plain(deletes.count_live(live)).fetchone()
        assert row is not None
        rows = row[0] + self.deleted_so_far.get(name, 0)
        most = self.settings.max_deletes_percent
        if total >= _LEAST_DELETES and total * 100 > rows * most and not self.settings.allow_mass_delete:
            msg = (
                f"This run would mark {total} of {rows} rows of {name} deleted, more than max_deletes_percent = "
                f"{most:g}. Nothing was marked. If that is right, set allow_mass_delete: true "
                "(TARGET_CRM_ALLOW_MASS_DELETE=true) for one run."
            )
            raise GuardError(msg)
        self.deleted_so_far[name] = total

    def _guard_changes(self, spec: MergeSpec, overwrites: tuple[int, ...], taken: int) -> None:
        most = self.settings.max_changes_percent
        if most >= 100 or not taken:
            return
        row = self._plain(sql.SQL("SELECT count(*) FROM crm_stage")).fetchone()
        rows = row[0] if row else 0
        if rows < _LEAST_ROWS_FOR_SHARE:
            return
        for column, changed in zip(spec.columns, overwrites, strict=True):
            if changed * 100 >= rows * most:
                msg = (
                    f"This batch would overwrite {spec.live.mapping.table}.{column.name} in {changed} of {rows} rows, "
                    f"max_changes_percent = {most:g} or more. Nothing of the batch was written. Look at the mapping "
                    "with target-crm-admin plan; if the change is right, raise max_changes_percent for one run."
                )
                raise GuardError(msg)
