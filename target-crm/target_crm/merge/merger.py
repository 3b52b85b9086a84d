"""Runs the compiled statements of a merge inside the caller's transaction."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from target_crm.config.settings import Settings
from target_crm.database.session import PinnedConnection
from target_crm.errors import GuardError
from target_crm.load import runs
from target_crm.mapping.check import LiveTable, read_columns
from target_crm.mapping.foreign_keys import keys_to
from target_crm.mapping.model import Column
from target_crm.merge.copy_format import Column as CopyColumn
from target_crm.merge.copy_format import dump_column, dump_documents
from target_crm.merge.direct_insert import Arrival, Documents, copy_in, encode_bases, insert_new
from target_crm.merge.references import resolve
from target_crm.merge.row_keys import RowKeys
from target_crm.records.envelope import SeenRecord
from target_crm.records.extractor import Extracted
from target_crm.sql import deletes, insert, joins, journal, links, merge, sets, staging, stale, stored
from target_crm.sql.spec import MergeSpec, Slot
from target_crm.sql.statements import Statements

logger = logging.getLogger("target-crm")
Connection = PinnedConnection
Extract = Callable[[Sequence[SeenRecord]], Extracted]
# Below this many rows of a batch a share says nothing.
_LEAST_ROWS_FOR_SHARE = 20
# One deletion is never a mass deletion, however small the table.
_LEAST_DELETES = 2
# So many rows found unchanged the long way are worth remembering: a restored database, not a few edits.
_LEAST_TO_HEAL = 1000
# Rows of a partial merge: nobody counted them.
_MANY = 1 << 30


class SkippedError(Exception):
    """The database left rows as they are, without an error: a trigger returned NULL. They are left out, too."""

    def __init__(self, table: str, rows: Sequence[str]) -> None:
        super().__init__(f"{len(rows)} rows of {table}")
        self.table, self.rows = table, rows


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
    # No row, since a person deleted it; a version older than the row's or than another one in the same batch; no row
    # that matches, of tables that are only matched.
    deleted_by_person: int = 0
    superseded: int = 0
    unmatched: int = 0
    warnings: int = 0
    skipped_by_database: int = 0

    def add(self, other: Counts) -> None:
        """Sum up."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


@dataclass(frozen=True)
class Sorted:
    """A batch sorted out: new records, those that may have changed, and what the database knows of the new ones."""

    new: list[SeenRecord]
    changed: list[SeenRecord]
    arrival: Arrival
    counts: Counts


class _Planned(NamedTuple):
    """What became of the rows of a plan."""

    planned: int
    counts: Counts


@dataclass
class Merger:
    """Merges staged records into the live tables over one connection.

    `row_keys` names the streams whose new rows can be copied straight into their tables; `deleted_so_far` counts by
    table what this run marked deleted, for the guard.
    """

    connection: Connection
    live: Mapping[str, LiveTable]
    settings: Settings
    run_id: int
    row_keys: Mapping[str, RowKeys] = field(default_factory=dict)
    deleted_so_far: dict[str, int] = field(default_factory=dict)
    # Of the merge under way: rows that a trigger keeps as they are, by table; columns that are emptied before they are
    # written, for their values are unique and change places.
    skipping: dict[str, set[str]] = field(default_factory=dict)
    vacating: set[tuple[str, str]] = field(default_factory=set)
    # Items of sets that triggers left out, by table.
    skipped_items: dict[str, int] = field(default_factory=dict)
    _with_triggers: dict[str, bool] = field(default_factory=dict)
    # Of a dry run: table, row, column, base, the CRM's value, amoCRM's value of each edit that stays.
    kept_cells: list[tuple[Any, ...]] = field(default_factory=list)
    # Name and e-mail of records that match no row, by stream, account and amoCRM id.
    unmatched: dict[tuple[str, int, int], tuple[str | None, str | None]] = field(default_factory=dict)

    def use(self, connection: Connection) -> None:
        """Go on over another session, which knows none of the temporary tables."""
        self.connection = connection
        self._statements.clear()

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {stream: number for number, stream in enumerate(self.live)}

    @cached_property
    def _groups(self) -> dict[str, Statements]:
        return {}

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

    @contextmanager
    def _by_key(self) -> Iterator[None]:
        """Within it rows are looked up one by one by their whole key (`joins.BY_KEY`).

        After an error the transaction is at its end, and the setting with it.
        """
        self._run(joins.BY_KEY)
        yield
        self._run(joins.AS_PLANNED)

    def _run(self, statement: sql.Composable | bytes) -> psycopg.Cursor[Any]:
        return self.connection.execute(statement)  # type: ignore[arg-type]

    def merge(self, stream: str, records: Sequence[SeenRecord], extract: Extract, *, lock: bool = False) -> Counts:
        """Merge records of one stream, each key once.

        Args:
            stream: A mapped stream.
            records: What has been seen of the records.
            extract: Reads the records that need it.
            lock: Lock the rows first; slower, and immune to people who edit meanwhile.

        Raises:
            ContendedError: a row changed between plan and write (never under `lock`).
            GuardError: a guard stopped the batch.
            psycopg.Error: the database refused a value.
        """
        known = self._prepared(stream)
        spec, table = known.spec, known.spec.live.mapping
        counts = Counts(read=len(records))
        batch = Sorted(list(records), [], Arrival(""), Counts()) if table.match_only else self._sort_out(known, records)
        counts.add(batch.counts)
        if batch.new or batch.changed:
            counts.add(self._merge_some(known, stream, batch, extract, lock=lock))
        if batch.new or table.match:
            self._link_children(spec, stream, "stage" if table.match else "seen", records, lock=lock)
        return counts

    def _sort_out(self, known: Statements, records: Sequence[SeenRecord]) -> Sorted:
        """Tell new records from those that may have changed, and leave out the rest."""
        spec = known.spec
        columns = [
            dump_column(range(len(records))),
            dump_column([r.account_id for r in records]),
            dump_column([r.amo_id for r in records]),
            dump_column([r.updated_at and r.updated_at.isoformat() for r in records]),
            dump_column([r.hash for r in records]),
        ]
        copy_in(self.connection, known.text("copy_seen", lambda: staging.copy_seen(spec)), columns)
        self._run(known.text("analyze_seen", lambda: staging.analyze(spec, "seen")))
        with self._by_key():
            sort_out = known.text("sort_out", lambda: staging.sort_out(spec, show_edits=self.settings.dry_run))
            row = self._run(sort_out).fetchone()
        assert row is not None
        new, changed = (sorted(found or ()) for found in row[:2])
        same, kept, with_keys, marked, marks, now, deleted_by_person, superseded = row[2:]
        arrival = Arrival(
            now,
            frozenset(records[n].seq for n in with_keys or ()),
            {records[n].seq: mark for n, mark in zip(marked or (), marks or (), strict=True)},
        )
        counts = Counts(unchanged=same, kept=kept, deleted_by_person=deleted_by_person, superseded=superseded)
        return Sorted([records[n] for n in new], [records[n] for n in changed], arrival, counts)

    def _merge_some(self, known: Statements, stream: str, batch: Sorted, extract: Extract, *, lock: bool) -> Counts:
        """Merge those records of a batch that are new or may have changed."""
        spec, table, counts = known.spec, known.spec.live.mapping, Counts()
        keys = self.row_keys.get(stream)
        staged: list[tuple[Extracted, bool]] = []
        for records, is_new in ((batch.new, True), (batch.changed, False)):
            if not records:
                continue
            found = extract(records)
            if not is_new:
                self._leave_partial(spec, found)
                for item_set, places in zip(table.sets, enumerate(found.incomplete), strict=True):
                    # Of a set that is not read whole nothing is taken for gone.
                    for place in places[1]:
                        found.items[places[0]][place] = []
                        found.bases[place].pop(item_set.name, None)
            self._resolve(known, found, lock=lock)
            if is_new and keys is not None:
                counts.inserted = insert_new(self.connection, known, keys, found, batch.arrival)
            else:
                staged.append((found, is_new))
        if not staged:
            return counts
        rows = self._stage(known, staged)
        for name in table.match:
            column = next(c for c in table.columns if c.name == name)
            self._run(links.adopt_rows(spec, column))
        if table.match_only:
            unmatched = self._run(links.unmatched(spec)).fetchall()
            self.unmatched.update({(stream, *row[:2]): row[2:] for row in unmatched})
            counts.unmatched = len(unmatched)
            counts.unchanged = rows - len(unmatched)
            return counts
        new = sum(len(found.records) for found, is_new in staged if is_new)
        if new:
            if table.match:
                new -= self._run(merge.mark_adopted(spec)).rowcount
            inserted = self._insert_staged(known)
            counts.inserted, counts.skipped_by_database = inserted, new - inserted
        if table.match or not all(is_new for _, is_new in staged):
            counts.add(self._update_staged(known, rows, lock=lock))
        return counts

    def _update_staged(self, known: Statements, rows: int, *, lock: bool) -> Counts:
        """Merge staged records whose row exists, some of the columns after others where they are many."""
        if len(known.spec.groups) == 1:
            return self._update(known, lambda: merge.staged(known.spec, rows), rows, lock=lock)
        total, updated, edited = Counts(), set[int](), set[int]()
        for group in known.spec.groups:
            part = self._groups.setdefault(group.plan.as_string(), Statements(self.connection, group))
            done = self._update(part, lambda g=group: merge.staged(g, rows), rows, lock=lock)  # type: ignore[misc]
            row = self._run(merge.touched(group)).fetchone()
            assert row is not None
            updated.update(row[0] or ())
            edited.update(row[1] or ())
            total.conflicts += done.conflicts
            total.skipped_by_database = max(total.skipped_by_database, done.skipped_by_database)
            planned = done.updated + done.unchanged
        total.updated, total.unchanged, total.kept = len(updated), planned - len(updated), len(edited)
        return total

    def _leave_partial(self, spec: MergeSpec, found: Extracted) -> None:
        """Leave columns alone that are made of several properties, of rows that had those which did not come now.

        A property that was taken out of the selection is not empty: what the others give without it is another value.
        """
        by_names: dict[tuple[int, tuple[str, ...]], dict[tuple[int, int], list[int]]] = {}
        for place, number, names in found.partial:
            record = found.records[place]
            by_names.setdefault((record.account_id, names), {}).setdefault((record.amo_id, place), []).append(number)
        for (account, names), places in by_names.items():
            query = merge.had_properties(spec, account, [amo_id for amo_id, _ in places], names)
            had = {row[0] for row in self._run(query)}
            for (amo_id, place), numbers in places.items():
                for number in numbers if amo_id in had else ():
                    found.leave_out(place, number, spec.live.mapping.columns[number].name)

    def _resolve(self, known: Statements, found: Extracted, *, lock: bool) -> None:
        """Resolve what the records refer to, and remember the links that must wait."""
        spec = known.spec
        waiting = resolve(self.connection, self.settings.crm_schema, spec.live, self.live, found, lock=lock)
        if not waiting or spec.live.mapping.match_only:
            return
        copy_in(
            self.connection,
            known.text("copy_waits", lambda: staging.copy_waits(spec)),
            [dump_column(values) for values in zip(*waiting, strict=True)],
        )
        self._run(known.text("keep_waits", lambda: staging.keep_waits(spec)))
        self._run(sql.SQL("TRUNCATE {}").format(spec.temp("waits")))

    def _stage(self, known: Statements, parts: Sequence[tuple[Extracted, bool]]) -> int:
        """Copy records into the staging tables; how many."""
        spec, rows = known.spec, 0
        for found, is_new in parts:
            rows += len(found.records)
            columns: list[CopyColumn] = [
                dump_column([r.seq for r in found.records]),
                dump_column([r.account_id for r in found.records]),
                dump_column([r.amo_id for r in found.records]),
                dump_column([r.updated_at and r.updated_at.isoformat() for r in found.records]),
                dump_column(found.created),
                dump_column([r.hash for r in found.records]),
                dump_column([is_new]) * len(found.records),
                Documents(found.records, encode_bases(found)),
                *map(dump_column, found.columns),
            ]
            copy_in(self.connection, known.text("copy_stage", lambda: staging.copy_stage(spec)), columns)
            self._stage_items(known, found)
        if any(is_new for _, is_new in parts):
            self._run(known.text("analyze_stage", lambda: staging.analyze(spec, "stage")))
        if spec.live.mapping.sets:
            self._run(known.text("analyze_items", lambda: staging.analyze(spec, "items")))
        return rows

    def _stage_items(self, known: Statements, found: Extracted) -> None:
        for index, items in enumerate(found.items):
            flat = [(record.seq, item) for record, own in zip(found.records, items, strict=True) for item in own]
            columns = [
                dump_column([seq for seq, _ in flat]),
                dump_column([index]) * len(flat),
                *(dump_column([item[part] for _, item in flat]) for part in range(5)),
                dump_documents([item.document for _, item in flat]),
            ]
            if flat:
                statement = known.text("copy_items", lambda: staging.copy_items(known.spec))
                copy_in(self.connection, statement, columns)

    def _insert_staged(self, known: Statements) -> int:
        spec, inserted = known.spec, 0

        def write() -> None:
            nonlocal inserted
            inserted = self._run(known.text("insert", lambda: insert.insert_rows(spec))).rowcount
            if inserted:
                self._run(known.text("analyze_born", lambda: staging.analyze(spec, "born")))

        self._as_stored(spec, write, new=True)
        if not inserted:
            return 0
        self._run(known.text("remember_keys", lambda: insert.remember_keys(spec)))
        self._run(known.text("journal_born", lambda: insert.journal_born(spec)))
        for index in range(len(spec.live.mapping.sets)):
            done = self._run(known.text(f"items{index}", lambda k=index: insert.insert_born_items(spec, k)))  # type: ignore[misc]
            live = spec.live.sets[spec.live.mapping.sets[index].name]
            if self._has_triggers(live):
                row = self._run(insert.count_born_items(spec, index)).fetchone()
                self._skip_items(live, (row[0] if row else 0) - done.rowcount)
            one = sets.SetSpec(spec, index)
            if one.remembers:
                self._run(sets.remember_stored_of_new(one))
        return inserted

    def _update(self, known: Statements, source: Callable[[], sql.Composable], rows: int, *, lock: bool) -> Counts:
        """Merge rows that exist three ways: plan, journal, conflicts, rows, keys, sets; `rows` come from `source`."""
        spec, size = known.spec, staging.limit_of(rows)
        if spec.only is not None:
            # The rows of a partial merge may be found by what is in them.
            return self._update_rows(known, source, rows, lock=lock).counts
        with self._by_key():
            done = self._update_rows(known, source, rows, lock=lock)
        if done.counts.updated:
            self._merge_sets(spec)
        if done.planned > done.counts.updated:
            with self._by_key():
                self._run(known.text(f"heal{size}", lambda: merge.heal_keys(spec, rows, _LEAST_TO_HEAL)))
        return done.counts

    def _update_rows(
        self, known: Statements, source: Callable[[], sql.Composable], rows: int, *, lock: bool
    ) -> _Planned:
        spec, size = known.spec, staging.limit_of(rows)
        if lock:
            # What is locked can't change any more.
            self._run(known.text(f"lock{size}", lambda: merge.lock_rows(spec, source())))
        self._run(known.text(f"plan{size}", lambda: merge.fill_plan(spec, source())))
        skipping = self.skipping.get(spec.live.mapping.table)
        skipped = self._run(merge.leave_rows(spec, skipping)).rowcount if skipping else 0
        row = self._run(known.text("count", lambda: merge.count_plan(spec))).fetchone()
        assert row is not None
        planned, updated, edited, conflicts, writing, marks = row[:6]
        overwrites, takes = row[6 : 6 + len(spec.slots)], row[6 + len(spec.slots) :]
        if spec.only is None:
            self._guard_changes(spec, overwrites, writing)
        former = self._find_stale(spec) if edited and spec.only is None else 0
        conflicts += former
        if self.settings.dry_run and edited:
            self.kept_cells += self._run(journal.kept_cells(spec)).fetchall()
        if updated:
            written = [slot for slot, number in zip(spec.slots, takes, strict=True) if number]
            self._as_stored(
                spec, lambda: self._write(known, rows, written, (updated, conflicts), marks=marks, lock=lock), new=False
            )
        elif former:
            self._record_conflicts(spec)
        return _Planned(
            planned,
            Counts(
                updated=updated,
                unchanged=planned - updated,
                kept=edited,
                conflicts=conflicts,
                skipped_by_database=skipped,
            ),
        )

    def _find_stale(self, spec: MergeSpec) -> int:
        """Turn edits by hand that are former values of amoCRM into conflicts; how many."""
        found, slots = 0, stale.soft_slots(spec)
        counts = self._run(stale.count_protected(spec)).fetchone() if slots else None
        for slot, number in zip(slots, counts or (), strict=True):
            if number:
                found += self._run(stale.mark_conflicts(spec, slot)).rowcount
        return found

    def _record_conflicts(self, spec: MergeSpec) -> None:
        statement = journal.record_conflicts(spec)
        assert statement is not None
        # Conflicts that these supersede: an undoing opens them again.
        runs.work_for(self.connection, self.run_id, session=False)
        self._run(statement)

    def _write(
        self,
        known: Statements,
        rows: int,
        written: Sequence[Slot],
        expected: tuple[int, int],
        *,
        marks: bool,
        lock: bool,
    ) -> None:
        """Journal, conflicts, rows and keys of the plan; as many rows as expected, and conflicts."""
        spec, size = known.spec, staging.limit_of(rows)
        updated, conflicts = expected
        self._run(journal.journal_changes(spec, rows, written, marks=marks))
        if conflicts:
            self._record_conflicts(spec)
        for slot in written:
            if (spec.live.mapping.table, slot.column.name) in self.vacating:
                self._run(merge.vacate(spec, slot))
        done = self._run(known.text(f"write{size}", lambda: merge.write_and_remember(spec, rows))).fetchone()
        if done is None or done[0] != updated:
            if lock and spec.live.has_versions:
                # Nobody could change the rows meanwhile: a trigger kept them as they are.
                raise SkippedError(spec.live.mapping.table, [row[0] for row in self._run(merge.unwritten(spec))])
            raise ContendedError

    def _as_stored(self, spec: MergeSpec, write: Callable[[], Any], *, new: bool) -> None:
        """Write rows. Where triggers store something else, that is found out, taken back, and written again with a
        document that remembers it: what the loader left in a row is not taken for an edit later."""
        if not spec.live.rewrites:
            write()
            return
        with self.connection.transaction() as attempt:
            write()
            found = stored.other_forms_of_new(spec) if new else stored.other_forms(spec)
            forms = [(q, json.dumps(form)) for q, form in self._run(found).fetchall()]
            if forms:
                raise psycopg.Rollback(attempt)
        if forms:
            self._run(stored.remember(spec, forms, new=new))
            write()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A transaction (a savepoint inside one) of an attempt; what was noted in it is forgotten if it fails."""
        cells, items = len(self.kept_cells), dict(self.skipped_items)
        try:
            with self.connection.transaction():
                yield
        except BaseException:
            del self.kept_cells[cells:]
            self.skipped_items = items
            raise

    def _has_triggers(self, live: LiveTable) -> bool:
        """Whether triggers run before rows of the table are written, which may leave rows out."""
        name = live.identifier.as_string(self.connection)
        found = self._with_triggers.get(name)
        if found is None:
            found = bool(self._run(sets.has_triggers(name)).fetchone())
            self._with_triggers[name] = found
        return found

    def free_columns(self, error: psycopg.Error) -> set[tuple[str, str]]:
        """Mapped columns that may be empty, of the unique index that a refused row violates."""
        for live in self.live.values():
            table = live.mapping
            if (live.schema, live.name) == (error.diag.schema_name, error.diag.table_name):
                with self.connection.transaction():
                    found = self._run(merge.index_columns(live, error.diag.constraint_name or "")).fetchall()
                nullable = {c.name for c in table.columns if not live.columns[c.name].not_null}
                return {(table.table, row[0]) for row in found if row[0] in nullable}
        return set()

    def _merge_sets(self, spec: MergeSpec) -> None:
        for index in range(len(spec.item_sets)):
            one = sets.SetSpec(spec, index)
            drop, owners, *rest = sets.create_items(one)
            self._run(drop)
            if not self._run(owners).rowcount:
                continue
            for statement in rest:
                self._run(statement)
            self._remove_items(one)
            last = self._run(sets.last_entry(one)).fetchone() if one.remembers else None
            self._run(sets.update_items(one))
            self._run(sets.insert_items(one))
            if last is not None:
                self._run(sets.remember_stored(one, last[0]))
            if self._has_triggers(one.live):
                row = self._run(sets.left_over(one)).fetchone()
                self._skip_items(one.live, row[0] if row else 0)

    def _skip_items(self, live: LiveTable, number: int) -> None:
        """Note items that a trigger of their table left out."""
        if number > 0:
            self.skipped_items[live.name] = self.skipped_items.get(live.name, 0) + number

    def _remove_items(self, one: sets.SetSpec) -> None:
        """Remove the items that amoCRM dropped: lock them first, then look at the application's columns and keys."""
        known = one.live
        live = replace(known, columns=read_columns(self.connection, known.schema, known.name))
        gone = self._run(sets.lock_gone(one, live)).rowcount
        if not gone:
            return
        pointing = keys_to(self.connection, known.schema, known.name)
        kept = gone - self._run(sets.remove_items(one, live, pointing)).rowcount
        if kept > 0:
            tables = ", ".join(sorted({".".join(key.table) for key in pointing}))
            logger.warning(
                "%s: %d rows whose items are gone from amoCRM are kept, since foreign keys may point at them (%s).",
                known.name,
                kept,
                tables,
            )

    def _link_children(
        self, spec: MergeSpec, stream: str, came: str, records: Sequence[SeenRecord], *, lock: bool
    ) -> None:
        """Link the rows that waited for what came just now."""
        schema = self.settings.crm_schema
        accounts = sorted({record.account_id for record in records})
        if not self._run(links.some_wait(schema, stream, accounts)).fetchone():
            return
        self._run(links.DROP_LATE)
        if not self._run(links.take_pending(spec, stream, came)).rowcount:
            return
        waiting = self._run(links.LATE_COLUMNS).fetchall()
        for child, live in self.live.items():
            for column in live.mapping.columns:
                if column.link == stream and (live.mapping.table, column.name) in waiting:
                    self._update_part(child, column, links.late_rows, lock=lock)
        self._run(links.forget_pending(schema))

    def _update_part(
        self, stream: str, column: Column, rows: Callable[[MergeSpec, Column], sql.Composable], *, lock: bool
    ) -> Counts:
        """Merge one column alone, of rows that are there."""
        spec = self.spec(stream, column.name)
        return self._update(Statements(self.connection, spec), lambda: rows(spec, column), _MANY, lock=lock)

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
                    counts = self._update_part(stream, column, links.named_rows, lock=lock)
                    done.setdefault(live.mapping.table, Counts()).add(Counts(updated=counts.updated))
        return done

    def _copy_lines(self, lines: Iterable[bytes]) -> None:
        self._run(links.CREATE_LINES)
        self._run(sql.SQL("TRUNCATE crm_lines"))
        copy_in(self.connection, links.COPY_LINES.as_bytes(self.connection), [dump_documents(list(lines))])

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
        with self._by_key():
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
                    f"rows, more than max_changes_percent = {most:g}. None of these was written. Look at the mapping "
                    "with target-crm-admin plan; if the change is right, raise max_changes_percent for one run."
                )
                raise GuardError(msg)
