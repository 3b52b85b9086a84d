"""First step of a merge: separates new records from those that may have changed, and drops the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from target_crm.merge.copy_format import dump_column
from target_crm.merge.copying import copy_in
from target_crm.merge.counts import Counts
from target_crm.merge.session import MergeSession
from target_crm.records.envelope import SeenRecord
from target_crm.sql.staging import Classified
from target_crm.sql.statements import Statements


@dataclass(frozen=True)
class Arrival:
    """Facts from the database about new records of a batch: the time of the transaction, sequences of records whose key
    is known, and their soft-delete timestamps."""

    now: str = ""
    known: frozenset[int] = frozenset()
    marks: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClassifiedBatch:
    """New records, those that may have changed, and facts about the new ones."""

    new: list[SeenRecord]
    changed: list[SeenRecord]
    arrival: Arrival
    counts: Counts


def classify(session: MergeSession, statements: Statements, records: Sequence[SeenRecord]) -> ClassifiedBatch:
    """Classify a batch by keys, times and hashes, without extracting the records.

    All records of a table that is only matched are new, because its rows store nothing of them.
    """
    if statements.spec.live.mapping.match_only:
        return ClassifiedBatch(list(records), [], Arrival(), Counts(read=len(records)))
    columns = [
        dump_column(range(len(records))),
        dump_column([r.account_id for r in records]),
        dump_column([r.amo_id for r in records]),
        dump_column([r.updated_at and r.updated_at.isoformat() for r in records]),
        dump_column([r.hash for r in records]),
    ]
    copy_in(session.connection, statements.copy_seen, columns)
    session.run(statements.analyze_seen)
    with session.by_key():
        row = session.run(statements.classify).fetchone()
    assert row is not None
    found = Classified._make(row)
    arrival = Arrival(
        found.now,
        frozenset(records[place].seq for place in found.new_with_key or ()),
        {records[place].seq: mark for place, mark in zip(found.new_marked or (), found.new_marks or (), strict=True)},
    )
    counts = Counts(
        read=len(records),
        unchanged=found.unchanged,
        kept=found.edited,
        deleted_by_person=found.deleted_by_person,
        superseded=found.superseded,
    )
    new, changed = ([records[place] for place in sorted(places or ())] for places in (found.new, found.changed))
    return ClassifiedBatch(new, changed, arrival, counts)
