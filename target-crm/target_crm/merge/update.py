"""Three-way merge of records whose row exists: plan, journal, conflicts, rows, keys, child rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import psycopg
from psycopg import sql

from target_crm.database.run_setting import work_for
from target_crm.merge import stored_forms
from target_crm.merge.child_rows import merge_child_rows
from target_crm.merge.counts import ContendedError, Counts, SkippedError
from target_crm.merge.guards import guard_changes
from target_crm.merge.session import MergeSession
from target_crm.sql import journal, merge, stale, write
from target_crm.sql.merge import PlanSummary, Touched
from target_crm.sql.spec import MergeSpec, Slot
from target_crm.sql.statements import PlanStatements, Statements

# Rows of a partial merge, which are not counted.
_MANY = 1 << 30


class _Change(NamedTuple):
    """The changes of a plan."""

    slots: Sequence[Slot]
    rows: int
    conflicts: int
    marks: bool


def update_staged(session: MergeSession, statements: Statements, rows: int, *, lock: bool) -> Counts:
    """Merge staged records whose row exists; many columns are merged in parts."""
    if len(statements.groups) == 1:
        return update(session, statements.plan(rows), lock=lock)
    total, updated, edited, planned = Counts(), set[int](), set[int](), 0
    for group in statements.groups:
        done = update(session, group.plan(rows), lock=lock)
        row = session.run(merge.touched(group.spec)).fetchone()
        assert row is not None
        touched = Touched._make(row)
        updated.update(touched.changed or ())
        edited.update(touched.edited or ())
        total.conflicts += done.conflicts
        total.skipped_by_database = max(total.skipped_by_database, done.skipped_by_database)
        planned = done.updated + done.unchanged
    total.updated, total.unchanged, total.kept = len(updated), planned - len(updated), len(edited)
    return total


def update(session: MergeSession, plan: PlanStatements, *, lock: bool) -> Counts:
    """Merge the rows of a plan, their keys and child rows."""
    if plan.spec.only is not None:
        # The rows of a partial merge may be found by their values.
        return _update_rows(session, plan, lock=lock)
    with session.by_key():
        counts = _update_rows(session, plan, lock=lock)
    if counts.updated:
        merge_child_rows(session, plan.spec)
    if counts.unchanged:
        with session.by_key():
            session.run(plan.remember_unchanged)
    return counts


def update_column(session: MergeSession, part: MergeSpec, rows: sql.Composable, *, lock: bool) -> Counts:
    """Merge a single column of existing rows."""
    return update(session, PlanStatements(session.connection, part, rows, _MANY), lock=lock)


def _update_rows(session: MergeSession, plan: PlanStatements, *, lock: bool) -> Counts:
    """Plan and write; the counts include rows without changes."""
    spec = plan.spec
    if lock:
        # Locked rows can't change any more.
        session.run(plan.lock)
    session.run_all(plan.fill)
    skipping = session.skipping.get(spec.live.mapping.table)
    skipped = session.run(merge.leave_rows(spec, skipping)).rowcount if skipping else 0
    row = session.run(plan.count).fetchone()
    assert row is not None
    found = PlanSummary._make(row)
    if spec.only is None:
        guard_changes(session, spec, found)
    former = _find_stale(session, spec) if found.edited and spec.only is None else 0
    conflicts = found.conflicts + former
    if session.settings.dry_run and found.edited:
        session.kept_cells += session.run(journal.kept_cells(spec)).fetchall()
    if found.changed:
        slots = [slot for slot, number in zip(spec.slots, found.writes, strict=True) if number]
        _write(session, plan, _Change(slots, found.changed, conflicts, found.marks), lock=lock)
    elif former:
        _record_conflicts(session, spec)
    return Counts(
        updated=found.changed,
        unchanged=found.rows - found.changed,
        kept=found.edited,
        conflicts=conflicts,
        skipped_by_database=skipped,
    )


def _find_stale(session: MergeSession, spec: MergeSpec) -> int:
    """Turn manual edits that equal former values of amoCRM into conflicts; returns the number."""
    found, slots = 0, stale.soft_slots(spec)
    counts = session.run(stale.count_protected(spec)).fetchone() if slots else None
    for slot, number in zip(slots, counts or (), strict=True):
        if number:
            found += session.run(stale.mark_conflicts(spec, slot)).rowcount
    return found


def _record_conflicts(session: MergeSession, spec: MergeSpec) -> None:
    statement = journal.record_conflicts(spec)
    assert statement is not None
    # Conflicts that these supersede: an undo opens them again.
    work_for(session.connection, session.run_id, session=False)
    session.run(statement)


def _write(session: MergeSession, plan: PlanStatements, change: _Change, *, lock: bool) -> None:
    """Write the plan; twice if triggers store other values than those written (`stored_forms`)."""
    if not plan.spec.live.rewrites:
        _write_once(session, plan, change, lock=lock)
        return
    with session.connection.transaction() as attempt:
        _write_once(session, plan, change, lock=lock)
        forms = stored_forms.find(session, plan.spec)
        if forms:
            raise psycopg.Rollback(attempt)
    if forms:
        stored_forms.remember(session, plan.spec, forms)
        _write_once(session, plan, change, lock=lock)


def _write_once(session: MergeSession, plan: PlanStatements, change: _Change, *, lock: bool) -> None:
    """Write journal, conflicts, rows and keys of the plan: as many rows as expected, and conflicts."""
    spec = plan.spec
    session.run(journal.journal_changes(spec, plan.rows, change.slots, marks=change.marks))
    if change.conflicts:
        _record_conflicts(session, spec)
    for slot in change.slots:
        if (spec.live.mapping.table, slot.column.name) in session.vacating:
            session.run(write.vacate(spec, slot))
    done = session.run(plan.write).fetchone()
    if done is None or done[0] != change.rows:
        if lock and spec.live.has_versions:
            # The rows are locked, so a trigger left them unchanged.
            raise SkippedError(spec.live.mapping.table, [row[0] for row in session.run(write.unwritten(spec))])
        raise ContendedError
