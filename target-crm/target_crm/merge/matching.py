"""Matches staged records with rows that the CRM already had, by e-mail or name."""

from __future__ import annotations

from target_crm.merge.counts import Counts
from target_crm.merge.session import MergeSession
from target_crm.sql import links
from target_crm.sql.spec import MergeSpec


def match_rows(session: MergeSession, spec: MergeSpec) -> None:
    """Give rows that match a staged record the record's key."""
    table = spec.live.mapping
    for name in table.match:
        column = next(c for c in table.columns if c.name == name)
        session.run(links.adopt_rows(spec, column))


def count_matched(session: MergeSession, spec: MergeSpec, stream: str, rows: int) -> Counts:
    """What became of the staged records of a table that is only matched; those without a row are noted."""
    unmatched = [links.Unmatched._make(row) for row in session.run(links.unmatched(spec)).fetchall()]
    session.unmatched.update({(stream, one.account_id, one.amo_id): (one.name, one.email) for one in unmatched})
    return Counts(unmatched=len(unmatched), unchanged=rows - len(unmatched))
