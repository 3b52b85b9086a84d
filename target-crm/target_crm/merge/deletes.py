"""Marks rows whose records were deleted in amoCRM, and unmarks those that were restored."""

from __future__ import annotations

from collections.abc import Sequence

from target_crm.merge.copying import copy_lines
from target_crm.merge.counts import Counts
from target_crm.merge.guards import guard_deletes
from target_crm.merge.session import MergeSession
from target_crm.sql import deletes


def delete(session: MergeSession, stream: str, lines: Sequence[bytes]) -> Counts:
    """Mark rows whose records were deleted in amoCRM, unmark those that were restored.

    Raises:
        GuardError: more of the table than `max_deletes_percent` would be marked in this run.
    """
    live, schema = session.live[stream], session.schema
    if live.mapping.service["amo_deleted_at"] is None or live.mapping.match_only:
        return Counts()
    copy_lines(session, lines)
    session.run(deletes.DROP_DELETES)
    with session.by_key():
        session.run(deletes.plan_deletes(live, schema))
        row = session.run(deletes.COUNT_DELETES).fetchone()
        assert row is not None
        counts = deletes.DeleteCounts._make(row)
        if counts.marked:
            guard_deletes(session, live, counts.marked)
        session.run(deletes.mark_rows(live, schema, session.run_id))
        session.run(deletes.remember_tombstones(live, schema))
    return Counts(deleted=counts.marked, restored=counts.restored)
