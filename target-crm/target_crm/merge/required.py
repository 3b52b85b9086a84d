"""Leaves out new records that lack a required value, permanently or until it is available."""

from __future__ import annotations

from target_crm.mapping.model import Column
from target_crm.merge.references import Waiting
from target_crm.problems import Problem
from target_crm.records.bad_cells import BadCell
from target_crm.records.extractor import Extracted
from target_crm.sql.spec import MergeSpec


def leave_required(spec: MergeSpec, found: Extracted, waiting: list[Waiting]) -> None:
    """Leave out records whose required columns have no value; each gives a warning or waits.

    A record waits only for a link that it names; a record without one is left out.
    """
    table = spec.live.mapping
    named = {(link.account_id, link.amo_id, link.column): link for link in waiting}
    left: set[int] = set()
    for number, column in enumerate(table.columns):
        if column.required is None:
            continue
        for place, value in enumerate(found.columns[number]):
            if value is not None or place in left:
                continue
            left.add(place)
            record = found.records[place]
            link = _waits_for(column, named, (record.account_id, record.amo_id))
            args = {"table": table.table, "column": column.name}
            if link is not None and column.required == "wait":
                found.wait(record, Problem("W_RECORD_WAITS", {**args, "stream": link.stream, "ref": link.ref}))
            else:
                found.tell(
                    BadCell(table.stream, *record.key, table.table, column.name, Problem("W_RECORD_LEFT_OUT", args))
                )
    if left:
        found.drop(left)


def _waits_for(column: Column, named: dict[tuple[int, int, str], Waiting], key: tuple[int, int]) -> Waiting | None:
    """The link for which a column's value waits: its own, or the one of `via`."""
    own = named.get((*key, column.name))
    return own or (named.get((*key, column.via[0])) if column.via else None)
