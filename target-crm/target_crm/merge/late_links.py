"""Links rows that waited for a record which has come now."""

from __future__ import annotations

from collections.abc import Sequence

from target_crm.merge.session import MergeSession
from target_crm.merge.update import update_column
from target_crm.records.envelope import SeenRecord
from target_crm.sql import links
from target_crm.sql.spec import MergeSpec


def link_waiting(
    session: MergeSession, spec: MergeSpec, stream: str, records: Sequence[SeenRecord], *, lock: bool
) -> None:
    """Link the rows that waited for records which came just now."""
    accounts = sorted({record.account_id for record in records})
    if not session.run(links.some_wait(session.schema, stream, accounts)).fetchone():
        return
    came = "stage" if spec.live.mapping.match else "seen"
    session.run(links.DROP_LATE)
    if not session.run(links.take_pending(spec, stream, came)).rowcount:
        return
    waiting = session.run(links.LATE_COLUMNS).fetchall()
    for child, live in session.live.items():
        for column in live.mapping.columns:
            if column.link == stream and (live.mapping.table, column.name) in waiting:
                part = session.spec(child, column.name)
                update_column(session, part, links.late_rows(part, column), lock=lock)
    session.run(links.forget_pending(session.schema))
