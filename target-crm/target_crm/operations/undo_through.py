"""Restores what a run did to join tables."""

from __future__ import annotations

from collections.abc import Iterator

from target_crm.operations.undo_work import Work
from target_crm.sql import undo_through as statements
from target_crm.sql.through import ThroughSpec


def restore_links(work: Work) -> None:
    """Rows of join tables that the run added go, those it removed return. Before the rows that it inserted go."""
    session = work.session
    for spec in _specs(work):
        counts = work.count(spec.through.table)
        counts.restored_items += session.execute(statements.remove_added(work.spec, spec))
        counts.restored_items += session.execute(statements.return_removed(work.spec, spec))
        counts.left_edited += session.rows(statements.count_left(spec))[0]["n"]


def _specs(work: Work) -> Iterator[ThroughSpec]:
    tables = {live.mapping.stream: live for live in work.session.tables.values()}
    for live in tables.values():
        for through in live.mapping.through:
            yield ThroughSpec(work.spec.schema, work.spec.new_run, live, through, tables[through.link])
