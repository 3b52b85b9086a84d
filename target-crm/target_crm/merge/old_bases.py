"""Bases that their columns do not take any more, since somebody has changed the columns' types: they are forgotten."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from target_crm.merge.session import MergeSession
from target_crm.records.envelope import SeenRecord
from target_crm.sql import old_bases

logger = logging.getLogger("target-crm")


def forget_unread(session: MergeSession, stream: str, records: Sequence[SeenRecord]) -> bool:
    """Forget the bases of the records' rows that are not read as their columns' types; whether there were any.

    Such a column then counts as one of which amoCRM has said nothing yet.
    """
    spec = session.spec(stream)
    if spec.live.mapping.match_only:
        return False
    keys, found = [record.key for record in records], False
    for slot in spec.slots:
        if slot.live.host is not None or slot.live.family == "json":
            continue
        session.run(old_bases.make_reader(slot))
        number = session.run(old_bases.forget(spec, slot, keys)).rowcount
        if number:
            logger.info(
                "%s.%s: what amoCRM sent last for %d rows does not fit the column's type %s and counts as unknown.",
                spec.live.name,
                slot.column.name,
                number,
                slot.live.type_sql,
            )
        found = found or number > 0
    return found
