"""Restores what a run did to join tables."""

from __future__ import annotations

from collections.abc import Iterator

from target_crm.mapping.foreign_keys import keys_to
from target_crm.operations.undo_work import Work
from target_crm.sql import undo_through as statements
from target_crm.sql.through import ThroughSpec


def restore_links(work: Work) -> None:
    """Rows of join tables that the run added go, those it removed return. Before the rows that it inserted go."""
    session = work.session
    for spec in _specs(work):
        counts = work.count(spec.through.table)
        pointing = keys_to(session.connection, spec.live.schema, spec.live.name)
        if pointing:
            session.execute(statements.lock_added(spec))
        counts.restored_items += session.execute(statements.remove_added(work.spec, spec, pointing))
        counts.restored_items += session.execute(statements.return_removed(work.spec, spec))
        (left,) = session.rows(statements.count_left(spec))
        counts.left_edited += left["edited"]
        counts.left_referenced += left["referenced"]


def _specs(work: Work) -> Iterator[ThroughSpec]:
    tables = {live.mapping.stream: live for live in work.session.tables.values()}
    for live in tables.values():
        for through in live.mapping.through:
            yield ThroughSpec(work.spec.schema, work.spec.new_run, live, through, tables[through.link])
