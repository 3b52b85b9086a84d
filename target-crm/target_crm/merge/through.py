"""Merges the join tables of a stream, and makes links that waited for records that have arrived."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from target_crm.mapping.foreign_keys import keys_to
from target_crm.merge.child_rows import tell_kept
from target_crm.merge.copy_format import dump_column
from target_crm.merge.copying import copy_in
from target_crm.merge.session import MergeSession
from target_crm.records.envelope import SeenRecord
from target_crm.records.extractor import Extracted
from target_crm.sql import through
from target_crm.sql.through import ThroughSpec


def merge_links(session: MergeSession, stream: str, parts: Sequence[Extracted]) -> None:
    """Remove, store and insert the links of records whose rows have been written."""
    live = session.live[stream]
    for number, one in enumerate(live.mapping.through):
        said = [
            (record.account_id, record.amo_id, refs)
            for found in parts
            for record, refs in zip(found.records, found.links[number], strict=True)
            if refs is not None
        ]
        if not said:
            continue
        spec = ThroughSpec(session.schema, session.run_id, live, one, session.live[one.link])
        session.run(through.CREATE)
        session.run(through.TRUNCATE)
        columns = [dump_column([row[place] for row in said]) for place in range(3)]
        copy_in(session.connection, through.COPY.as_bytes(session.connection), columns)
        pointing = keys_to(session.connection, spec.live.schema, spec.live.name)
        gone = session.run(through.lock_gone(spec)).rowcount if pointing else 0
        removed = session.run(through.remove(spec, pointing)).rowcount
        if gone > removed:
            tell_kept(spec.live.name, gone - removed, pointing)
        session.run(through.add(spec))
        session.run(through.make(spec, through.OF_STAGED))


def link_waiting_pairs(session: MergeSession, stream: str, records: Sequence[SeenRecord]) -> None:
    """Insert the links of other records that waited for records of this stream."""
    accounts = sorted({record.account_id for record in records})
    for spec in _to(session, stream):
        if session.run(through.some_wait(spec, accounts)).fetchone():
            session.run(through.make(spec, through.of_accounts(accounts)))


def _to(session: MergeSession, stream: str) -> Iterator[ThroughSpec]:
    for live in session.live.values():
        for one in live.mapping.through:
            if one.link == stream:
                yield ThroughSpec(session.schema, session.run_id, live, one, session.live[stream])
