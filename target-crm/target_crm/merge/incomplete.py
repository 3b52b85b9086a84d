"""Keeps what a changed record does not say whole from being taken for empty or gone."""

from __future__ import annotations

from target_crm.merge.session import MergeSession
from target_crm.records.extractor import Extracted
from target_crm.sql import merge
from target_crm.sql.spec import MergeSpec


def leave_incomplete(session: MergeSession, spec: MergeSpec, found: Extracted) -> None:
    """Leave alone what was read in part: columns of several properties, and sets."""
    _leave_columns(session, spec, found)
    for index, (item_set, places) in enumerate(zip(spec.live.mapping.sets, found.incomplete, strict=True)):
        # Of a set that is not read whole nothing is treated as gone.
        for place in places:
            found.items[index][place] = []
            found.bases[place].pop(item_set.name, None)


def _leave_columns(session: MergeSession, spec: MergeSpec, found: Extracted) -> None:
    """Leave columns alone that are made of several properties, of rows that had those which did not come now.

    A property that was taken out of the selection is not empty: what the others give without it is another value.
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
