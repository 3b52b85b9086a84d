"""Prevents values that a changed record contains only in part from being treated as empty or removed."""

from __future__ import annotations

from target_crm.merge.session import MergeSession
from target_crm.records.extractor import Extracted
from target_crm.sql import merge
from target_crm.sql.spec import MergeSpec


def leave_incomplete(session: MergeSession, spec: MergeSpec, found: Extracted) -> None:
    """Leave values unchanged that were read only in part: columns of several properties, and sets."""
    _leave_columns(session, spec, found)
    for index, (item_set, places) in enumerate(zip(spec.live.mapping.sets, found.incomplete, strict=True)):
        # If a set was read in part, no item is treated as removed.
        for place in places:
            found.items[index][place] = []
            found.bases[place].pop(item_set.name, None)


def _leave_columns(session: MergeSession, spec: MergeSpec, found: Extracted) -> None:
    """Leave columns of several properties unchanged if properties that the row had before did not come.

    A deselected property is not empty: the others without it would give another value.
    """
    by_names: dict[tuple[int, tuple[str, ...]], dict[tuple[int, int], list[int]]] = {}
    for place, number, names in found.partial:
        record = found.records[place]
        by_names.setdefault((record.account_id, names), {}).setdefault((record.amo_id, place), []).append(number)
    for (account, names), places in by_names.items():
        query = merge.had_properties(spec, account, [amo_id for amo_id, _ in places], names)
        had = {row[0] for row in session.run(query)}
        for (amo_id, place), numbers in places.items():
            for number in numbers if amo_id in had else ():
                found.leave_out(place, number, spec.live.mapping.columns[number].name)
