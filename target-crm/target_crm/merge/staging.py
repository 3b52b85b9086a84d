"""Copies extracted records into the temporary tables from which they are inserted and merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from target_crm.merge.copy_format import Column, dump_column, dump_documents
from target_crm.merge.copying import copy_in
from target_crm.merge.direct_insert import Documents, encode_bases
from target_crm.merge.session import MergeSession
from target_crm.records.extractor import Extracted
from target_crm.sql.statements import Statements


class Staged(NamedTuple):
    """Records to be staged, all of them new or none."""

    found: Extracted
    is_new: bool


def stage(session: MergeSession, statements: Statements, parts: Sequence[Staged]) -> int:
    """Copy records into the staging tables; returns the number."""
    rows = 0
    for found, is_new in parts:
        rows += len(found.records)
        columns: list[Column] = [
            dump_column([r.seq for r in found.records]),
            dump_column([r.account_id for r in found.records]),
            dump_column([r.amo_id for r in found.records]),
            dump_column([r.updated_at and r.updated_at.isoformat() for r in found.records]),
            dump_column(found.created),
            dump_column([r.hash for r in found.records]),
            dump_column([is_new]) * len(found.records),
            Documents(found.records, encode_bases(found)),
            *map(dump_column, found.columns),
        ]
        copy_in(session.connection, statements.copy_stage, columns)
        _stage_items(session, statements, found)
    if any(part.is_new for part in parts):
        session.run(statements.analyze_stage)
    if statements.spec.live.mapping.sets:
        session.run(statements.analyze_items)
    return rows


def _stage_items(session: MergeSession, statements: Statements, found: Extracted) -> None:
    for index, items in enumerate(found.items):
        flat = [(record.seq, item) for record, own in zip(found.records, items, strict=True) for item in own]
        if flat:
            columns = [
                dump_column([seq for seq, _ in flat]),
                dump_column([index]) * len(flat),
                dump_column([item.key for _, item in flat]),
                dump_column([item.value for _, item in flat]),
                dump_column([item.comment for _, item in flat]),
                dump_column([item.type for _, item in flat]),
                dump_column([item.position for _, item in flat]),
                dump_documents([item.document for _, item in flat]),
            ]
            copy_in(session.connection, statements.copy_items, columns)
