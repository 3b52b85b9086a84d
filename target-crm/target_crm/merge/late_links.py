"""Links rows that waited for a record that has arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from target_crm.mapping.model import Column
from target_crm.merge.session import MergeSession
from target_crm.merge.update import update_column
from target_crm.records.envelope import SeenRecord
from target_crm.sql import links
from target_crm.sql.spec import MergeSpec


def link_waiting(
    session: MergeSession, spec: MergeSpec, stream: str, records: Sequence[SeenRecord], *, lock: bool
) -> None:
    """Link the rows that waited for records that have just arrived."""
    accounts = sorted({record.account_id for record in records})
    if not session.run(links.some_wait(session.schema, stream, accounts)).fetchone():
        return
    came = "stage" if spec.live.mapping.match_only else "seen"
    session.run(links.DROP_LATE)
    if not session.run(links.take_pending(spec, stream, came)).rowcount:
        return
    waiting = session.run(links.LATE_COLUMNS).fetchall()
    for child, live in session.live.items():
        for column in live.mapping.columns:
            if column.links_to(stream) and (live.mapping.table, column.name) in waiting:
                plain = replace(
                    column, link=stream, links=(), when_entity=stream if column.links else column.when_entity
                )
                part = _with(session.spec(child, column.name), plain)
                update_column(session, part, links.late_rows(part, plain), lock=lock)
                _follow(session, child, column, lock=lock)
    session.run(links.forget_pending(session.schema))


def _follow(session: MergeSession, child: str, link: Column, *, lock: bool) -> None:
    """Fill columns whose value comes through a link that has just been made."""
    for column in session.live[child].mapping.columns:
        if column.via and column.via[0] == link.name:
            part = _with(session.spec(child, column.name), replace(column, link=None, path=()))
            update_column(session, part, links.rows_through(part, column, link), lock=lock)


def _with(spec: MergeSpec, column: Column) -> MergeSpec:
    """The spec of a partial merge with another source of its column."""
    mapping = spec.live.mapping
    columns = tuple(column if one.name == column.name else one for one in mapping.columns)
    return replace(spec, live=replace(spec.live, mapping=replace(mapping, columns=columns)))
