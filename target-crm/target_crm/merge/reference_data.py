"""Writes reference data (pipelines, statuses, ...), and updates the rows that use it."""

from __future__ import annotations

from collections.abc import Sequence

from target_crm.merge.copying import copy_lines
from target_crm.merge.counts import Counts
from target_crm.merge.session import MergeSession
from target_crm.merge.update import update_column
from target_crm.sql import links


def write_names(session: MergeSession, lines: Sequence[bytes], *, lock: bool = False) -> dict[str, Counts]:
    """Write staged names (pipelines, statuses, ...) and bring them to the rows that use them.

    Returns:
        What changed, by table.
    """
    copy_lines(session, lines)
    session.run(links.DROP_NAMED)
    done: dict[str, Counts] = {}
    if not session.run(links.new_names(session.schema)).rowcount:
        return done
    session.run(links.write_names(session.schema))
    for stream, live in session.live.items():
        for column in live.mapping.columns:
            if column.lookup and not live.mapping.match_only:
                part = session.spec(stream, column.name)
                counts = update_column(session, part, links.named_rows(part, column), lock=lock)
                done.setdefault(live.mapping.table, Counts()).add(Counts(updated=counts.updated))
    return done
