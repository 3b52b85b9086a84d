"""The merge of one batch: classify, extract, resolve, insert, update, link waiting rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from target_crm.merge.classify import classify
from target_crm.merge.counts import Counts
from target_crm.merge.direct_insert import insert_new
from target_crm.merge.incomplete import leave_incomplete
from target_crm.merge.insert import insert_staged
from target_crm.merge.late_links import link_waiting
from target_crm.merge.matching import count_matched, tie_again, tie_chosen
from target_crm.merge.references import resolve_references
from target_crm.merge.required import leave_required
from target_crm.merge.session import MergeSession
from target_crm.merge.staging import Staged, stage
from target_crm.merge.through import link_waiting_pairs, merge_links
from target_crm.merge.update import update_staged
from target_crm.records.envelope import SeenRecord
from target_crm.records.extractor import Extracted
from target_crm.sql.statements import Statements

Extract = Callable[[Sequence[SeenRecord]], Extracted]


def merge(
    session: MergeSession, stream: str, records: Sequence[SeenRecord], extract: Extract, *, lock: bool = False
) -> Counts:
    """Merge records of one stream, each key once.

    Args:
        session: The session, in the caller's transaction.
        stream: A mapped stream.
        records: The records as read by their envelope.
        extract: Reads the records that need it.
        lock: Lock the rows first; slower, but safe against concurrent edits.

    Raises:
        ContendedError: a row changed between plan and write (never under `lock`).
        SkippedError: triggers kept rows as they are.
        GuardError: a guard stopped the batch.
        psycopg.Error: the database refused a value.
    """
    statements = session.prepare(stream)
    keys, staged, linked = session.row_keys.get(stream), list[Staged](), list[Extracted]()
    adopted = tie_chosen(session, statements.spec, stream, records)
    batch = classify(session, statements, records)
    if batch.counts.deleted_by_person and tie_again(session, statements.spec):
        statements = session.prepare(stream)
        batch = classify(session, statements, records)
    counts = batch.counts
    counts.adopted = adopted
    if batch.new:
        found = extract(batch.new)
        waiting = resolve_references(session, statements, found, lock=lock)
        leave_required(statements.spec, found, waiting)
        linked.append(found)
        if keys is not None:
            counts.inserted = insert_new(session.connection, statements, keys, found, batch.arrival)
        else:
            staged.append(Staged(found, is_new=True))
    if batch.changed:
        found = extract(batch.changed)
        leave_incomplete(session, statements.spec, found)
        resolve_references(session, statements, found, lock=lock)
        linked.append(found)
        staged.append(Staged(found, is_new=False))
    if staged:
        counts.add(_merge_staged(session, statements, stream, staged, lock=lock))
    if batch.new or adopted or statements.spec.live.mapping.match_only:
        link_waiting(session, statements.spec, stream, records, lock=lock)
        link_waiting_pairs(session, stream, records)
    merge_links(session, stream, linked)
    return counts


def _merge_staged(
    session: MergeSession, statements: Statements, stream: str, parts: Sequence[Staged], *, lock: bool
) -> Counts:
    """Merge records that are not copied directly into their table."""
    spec, table = statements.spec, statements.spec.live.mapping
    rows = stage(session, statements, parts)
    if table.match_only:
        return count_matched(session, spec, stream, rows)
    counts = insert_staged(session, statements, parts)
    if not all(part.is_new for part in parts):
        counts.add(update_staged(session, statements, rows, lock=lock))
    return counts
