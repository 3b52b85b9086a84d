"""Runs the compiled statements of a merge inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import psycopg
from psycopg import sql

from target_crm.config import Settings
from target_crm.errors import GuardError
from target_crm.extract import SeenRecord, StagedRow
from target_crm.mapping.check import LiveTable
from target_crm.sql import deletes, insert, journal, links, merge, sets, staging
from target_crm.sql.spec import MergeSpec

Connection = psycopg.Connection[Any]
Stage = Callable[[Sequence[SeenRecord], bool], tuple[list[StagedRow], list[StagedRow]]]
# Below this many rows of a batch a share says nothing.
_LEAST_ROWS_FOR_SHARE = 20
# One deletion is never a mass deletion, however small the table.
_LEAST_DELETES = 2
# So many rows found unchanged the long way are worth remembering: a restored database, not a few edits.
_LEAST_TO_HEAL = 1000


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
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


class Statements:
    """The compiled statements of one stream, as text: composing them costs more than a small batch."""

    def __init__(self, connection: Connection, spec: MergeSpec) -> None:
        self._connection, self.spec = connection, spec
        self._texts: dict[str, bytes] = {}

    def text(self, name: str, compose: Callable[[], sql.Composable]) -> bytes:
        """The statement of that name."""
        found = self._texts.get(name)
        if found is None:
            found = self._texts[name] = compose().as_bytes(self._connection)
        return found


@dataclass
class Merger:
    """Merges staged records into the live tables over one connection.

    `deleted_so_far` counts by table what this run marked deleted, for the guard.
    """

    connection: Connection
    live: Mapping[str, LiveTable]
    settings: Settings
    run_id: int
    deleted_so_far: dict[str, int] = field(default_factory=dict)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {stream: number for number, stream in enumerate(self.live)}

    @cached_property
    def _statements(self) -> dict[str, Statements]:
        return {}

    def spec(self, stream: str, only: str | None = None) -> MergeSpec:
        """What the stream's merge is compiled from; one column alone for a partial one."""
        return MergeSpec(
            self.live[stream],
            self.live,
            self.settings.crm_schema,
            self.settings.default_policy,
            self.run_id,
            self._numbers[stream],
            only,
        )

    def _prepared(self, stream: str) -> Statements:
        """The stream's statements; its temporary tables exist from then on, empty."""
        found = self._statements.get(stream)
        if found is None:
            found = self._statements[stream] = Statements(self.connection, self.spec(stream))
        for number, statement in enumerate(staging.create_tables(found.spec)):
            self._run(found.text(f"create{number}", lambda s=statement: s))  # type: ignore[misc]
        self._run(found.text("truncate", lambda: staging.truncate_tables(found.spec)))
        return found

    def _run(self, statement: sql.Composable | bytes) -> psycopg.Cursor[Any]:
        return self.connection.execute(statement)  # type: ignore[arg-type]

    def _copy(self, statement: bytes, rows: Iterable[Sequence[Any]]) -> None:
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    def merge(self, stream: str, records: Sequence[SeenRecord], stage: Stage, *, lock: bool = False) -> Counts:
        """Merge records of one stream, each key once.

        Args:
            stream: A mapped stream.
            records: What has been seen of the records.
            stage: Takes the records that need it apart (and whether they are new), into rows and items.
            lock: Lock the rows first; slower, and immune to people who edit meanwhile.

        Raises:
            ContendedError: a row changed between plan and write (never under `lock`).
            GuardError: a guard stopped the batch.
            psycopg.Error: the database refused a value.
        """
        known = self._prepared(stream)
        spec, table = known.spec, known.spec.live.mapping
        counts = Counts(read=len(records))
        if not table.match_only:
            new, changed = self._sort_out(known, records, counts)
        else:
            new, changed = list(records), []
        if new or changed:
            self._stage(known, stage, new, changed)
            for name in table.match:
                column = next(c for c in table.columns if c.name == name)
                self._run(links.adopt_rows(spec, column))
            if table.match and not table.match_only:
                self._run(merge.mark_adopted(spec))
            if not table.match_only:
                counts.add(self._apply(known, bool(new), bool(changed) or bool(table.match), lock))
        counts.unchanged = max(0, len(records) - counts.inserted - counts.updated)
        if new or table.match:
            self._link_children(stream, "stage" if table.match else "born", lock=lock)
        return counts

    def _sort_out(
        self, known: Statements, records: Sequence[SeenRecord], counts: Counts
    ) -> tuple[list[SeenRecord], list[SeenRecord]]:
        """Tell new records from those that may have changed, and leave out the rest."""
        spec = known.spec
        self._copy(
            known.text("copy_seen", lambda: staging.copy_seen(spec)),
            (
                (n, r.account_id, r.amo_id, r.updated_at and r.updated_at.isoformat(), r.hash)
                for n, r in enumerate(records)
            ),
        )
        self._run(known.text("analyze_seen", lambda: staging.analyze(spec, "seen")))
        row = self._run(known.text("sort_out", lambda: staging.sort_out(spec))).fetchone()
        assert row is not None
        counts.kept = row[3]
        new, changed = (sorted(found or ()) for found in row[:2])
        return [records[n] for n in new], [records[n] for n in changed]

    def _stage(
        self,
        known: Statements,
        stage: Stage,
        new: Sequence[SeenRecord],
        changed: Sequence[SeenRecord],
    ) -> None:
        spec = known.spec
        rows, items = stage(new, True)
        more_rows, more_items = stage(changed, False)
        self._copy(known.text("copy_stage", lambda: staging.copy_stage(spec)), [*rows, *more_rows])
        self._run(known.text("analyze_stage", lambda: staging.analyze(spec, "stage")))
        if items or more_items:
            self._copy(known.text("copy_items", lambda: staging.copy_items(spec)), [*items, *more_items])
            self._run(known.text("analyze_items", lambda: staging.analyze(spec, "items")))

    def _apply(self, known: Statements, new: bool, changed: bool, lock: bool) -> Counts:
        spec, counts = known.spec, Counts()
        if new:
            counts.inserted = self._insert(known)
        if changed:
            counts.add(self._update(spec, merge.staged(spec), lock))
        return counts

    def _insert(self, known: Statements) -> int:
        spec = known.spec
        inserted = self._run(known.text("insert", lambda: insert.insert_rows(spec))).rowcount
        if not inserted:
            return 0
        self._run(known.text("analyze_born", lambda: staging.analyze(spec, "born")))
        self._run(known.text("remember_keys", lambda: insert.remember_keys(spec)))
        self._run(insert.journal_born(spec))
        for index in range(len(spec.live.mapping.sets)):
            self._run(known.text(f"items{index}", lambda k=index: insert.insert_born_items(spec, k)))  # type: ignore[misc]
        pending = merge.keep_pending(spec, born=True)
        if pending is not None:
            self._run(pending)
        return inserted

    def _update(self, spec: MergeSpec, source: sql.Composable, lock: bool) -> Counts:
        if lock:
            # What is locked can't change any more.
            self._run(merge.lock_rows(spec, source))
        self._run(merge.create_plan(spec, source))
        self._run(staging.analyze(spec, "plan"))
        row = self._run(merge.count_plan(spec)).fetchone()
        assert row is not None
        updated, edited, conflicts, writing = row[:4]
        if spec.only is None:
            self._guard_changes(spec, row[4:], writing)
        if updated:
            self._run(journal.journal_changes(spec))
            if conflicts:
                statement = journal.record_conflicts(spec)
                assert statement is not None
                self._run(statement)
            written = self._run(merge.write_and_remember(spec)).fetchone()
            if written is None or written[0] != updated:
                raise ContendedError
            if spec.only is None:
                self._merge_sets(spec)
                pending = merge.keep_pending(spec, born=False)
                if pending is not None:
                    self._run(pending)
        if spec.only is None:
            self._run(merge.heal_keys(spec, _LEAST_TO_HEAL))
        return Counts(updated=updated, kept=edited, conflicts=conflicts)

    def _merge_sets(self, spec: MergeSpec) -> None:
        for index in range(len(spec.live.mapping.sets)):
            one = sets.SetSpec(spec, index)
            drop, owners, *rest = sets.create_items(one)
            self._run(drop)
            if not self._run(owners).rowcount:
                continue
            for statement in rest:
                self._run(statement)
            self._run(sets.remove_items(one))
            self._run(sets.update_items(one))
            self._run(sets.insert_items(one))

    def _link_children(self, stream: str, came: str, *, lock: bool) -> None:
        """Link the rows that waited for what came just now."""
        spec, schema = self.spec(stream), self.settings.crm_schema
        self._run(links.DROP_LATE)
        if not self._run(links.take_pending(spec, stream, came)).rowcount:
            return
        waiting = self._run(links.LATE_COLUMNS).fetchall()
        for child, live in self.live.items():
            for column in live.mapping.columns:
                if column.link == stream and (live.mapping.table, column.name) in waiting:
                    late = self.spec(child, column.name)
                    self._update(late, links.late_rows(late, column), lock)
        self._run(links.forget_pending(schema))

    def _copy_lines(self, lines: Iterable[bytes]) -> None:
        self._run(links.CREATE_LINES)
        self._run(sql.SQL("TRUNCATE crm_lines"))
        self._copy(links.COPY_LINES.as_bytes(self.connection), ((line.decode(),) for line in lines))

    def name(self, lines: Sequence[bytes], *, lock: bool = False) -> dict[str, Counts]:
        """Write staged names (pipelines, statuses, ...) and bring them to the rows that use them.

        Returns:
            What changed, by table.
        """
        schema = self.settings.crm_schema
        self._copy_lines(lines)
        self._run(links.DROP_NAMED)
        done: dict[str, Counts] = {}
        if not self._run(links.new_names(schema)).rowcount:
            return done
        self._run(links.write_names(schema))
        for stream, live in self.live.items():
            for column in live.mapping.columns:
                if column.lookup and not live.mapping.match_only:
                    spec = self.spec(stream, column.name)
                    counts = self._update(spec, links.named_rows(spec, column), lock)
                    done.setdefault(live.mapping.table, Counts()).add(Counts(updated=counts.updated))
        return done

    def delete(self, stream: str, lines: Sequence[bytes]) -> Counts:
        """Mark rows whose records were deleted in amoCRM, unmark those that were restored.

        Raises:
            GuardError: more of the table than `max_deletes_percent` would be marked in this run.
        """
        live, schema = self.live[stream], self.settings.crm_schema
        if live.mapping.service["amo_deleted_at"] is None or live.mapping.match_only:
            return Counts()
        self._copy_lines(lines)
        self._run(deletes.DROP_DELETES)
        self._run(deletes.plan_deletes(live, schema))
        row = self._run(deletes.COUNT_DELETES).fetchone()
        assert row is not None
        marked, restored = row
        if marked:
            self._guard_deletes(live, marked)
        self._run(deletes.mark_rows(live, schema, self.run_id))
        self._run(deletes.remember_tombstones(live, schema))
        return Counts(deleted=marked, restored=restored)

    def _guard_deletes(self, live: LiveTable, marked: int) -> None:
        name = live.mapping.table
        total = self.deleted_so_far.get(name, 0) + marked
        row = self._run(deletes.count_live(live)).fetchone()
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

    def _guard_changes(self, spec: MergeSpec, overwrites: Sequence[int], taken: int) -> None:
        most = self.settings.max_changes_percent
        if most >= 100 or not taken:
            return
        row = self._run(sql.SQL("SELECT count(*) FROM {}").format(spec.temp("seen"))).fetchone()
        rows = row[0] if row else 0
        if rows < _LEAST_ROWS_FOR_SHARE:
            return
        for slot, changed in zip(spec.slots, overwrites, strict=True):
            if changed * 100 > rows * most:
                msg = (
                    f"This batch would overwrite {spec.live.mapping.table}.{slot.column.name} in {changed} of {rows} "
                    f"rows, more than max_changes_percent = {most:g}. Nothing of the batch was written. Look at the "
                    "mapping with target-crm-admin plan; if the change is right, raise max_changes_percent for one run."
                )
                raise GuardError(msg)
