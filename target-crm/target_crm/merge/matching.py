"""Existing rows: ties them to the records chosen for them, and counts matches of tables that are only matched."""

from __future__ import annotations

from collections.abc import Sequence

from target_crm.merge.counts import Counts
from target_crm.merge.session import MergeSession
from target_crm.records.envelope import SeenRecord
from target_crm.sql import links
from target_crm.sql.spec import MergeSpec
from target_crm.sql.ties import tie_emptied, tie_rows


def tie_chosen(session: MergeSession, spec: MergeSpec, stream: str, records: Sequence[SeenRecord]) -> int:
    """Give rows that were chosen for records the keys of these records; returns the number."""
    chosen = session.ties.get(stream)
    ties = [(*r.key, *chosen[r.key]) for r in records if r.key in chosen] if chosen else []
    return session.run(tie_rows(spec.live, spec.schema, spec.run_id, ties)).rowcount if ties else 0


def tie_again(session: MergeSession, spec: MergeSpec) -> int:
    """Restore the IDs of rows in which they were cleared (by a form that was opened before the load), according to
    `sync_keys`; returns the number."""
    done = session.run(tie_emptied(spec)).rowcount
    if done > 0:
        session.tied_again[spec.live.mapping.table] = session.tied_again.get(spec.live.mapping.table, 0) + done
    return done


def count_matched(session: MergeSession, spec: MergeSpec, stream: str, rows: int) -> Counts:
    """Counts of the staged records of a table that is only matched; those without a row are noted."""
    unmatched = [links.Unmatched._make(row) for row in session.run(links.unmatched(spec)).fetchall()]
    session.unmatched.update({(stream, one.account_id, one.amo_id): (one.name, one.email) for one in unmatched})
    return Counts(unmatched=len(unmatched), unchanged=rows - len(unmatched))
