"""Restores what a run changed in rows that were there before it."""

from __future__ import annotations

from target_crm.mapping.check import LiveTable
from target_crm.mapping.foreign_keys import keys_from, keys_to
from target_crm.operations.session import SetTable
from target_crm.operations.undo_work import Work
from target_crm.sql import undo_restore as statements
from target_crm.sql.spec import I, S

SHOWN_LEFT = 50


def return_rows(work: Work, live: LiveTable) -> None:
    """Rows that the run removed (an undo did), with their keys."""
    table, session = live.mapping, work.session
    links = keys_from(session.connection, live.schema, live.name)
    statement = statements.return_rows(work.spec, live, table.id, table.table, links, S("true"))
    returned = session.execute(statement)
    counts = work.count(table.table)
    counts.returned_rows += returned
    counts.left_edited += session.rows(statements.count_missing(live, table.table, table.id))[0]["n"]
    if returned and table.account and table.amo_id:
        session.execute(statements.return_keys(work.spec, live))


def restore_columns(work: Work, live: LiveTable) -> None:
    """Columns whose value is still the one that the run wrote, then the documents with the base."""
    session, raw = work.session, live.mapping.raw_fields
    links = keys_from(session.connection, live.schema, live.name)
    for found in session.rows(statements.columns_of(live.mapping.table)):
        column = found["column_name"]
        if column != raw and live.has(column):
            _restore_column(work, statements.CellSpec(live, column, links))
    session.execute(statements.restore_documents(work.spec, live))


def _restore_column(work: Work, cell: statements.CellSpec) -> None:
    session, counts = work.session, work.count(cell.live.mapping.table)
    left = session.rows(statements.count_left(cell))[0]["n"]
    counts.left_edited += left
    if left and len(work.left) < SHOWN_LEFT:
        work.left += session.rows(statements.show_left(cell, SHOWN_LEFT - len(work.left)))
    counts.restored_columns += session.execute(statements.restore_cells(work.spec, cell))
    if cell.column == cell.live.mapping.service.get("amo_deleted_at"):
        session.execute(statements.restore_marks(work.spec, cell))


def restore_items(work: Work, item_set: SetTable) -> None:
    """Items that the run added go, those it removed return, those it changed are as before."""
    one, live, session = item_set.item_set, item_set.live, work.session
    counts = work.count(one.table)
    pointing = keys_to(session.connection, live.schema, live.name)
    counts.restored_items += session.execute(statements.remove_added_items(work.spec, one, live, pointing))
    counts.restored_items += session.execute(statements.restore_changed_items(work.spec, one, live))
    links = keys_from(session.connection, live.schema, live.name)
    owner = S("EXISTS (SELECT FROM {} AS parent WHERE parent.{} = restored.{})").format(
        item_set.parent.identifier, I(item_set.parent.mapping.id), I(one.parent)
    )
    counts.restored_items += session.execute(statements.return_rows(work.spec, live, one.id, one.table, links, owner))
    (left,) = session.rows(statements.count_left_items(one, live))
    counts.left_edited += left["edited"]
    counts.left_referenced += left["referenced"]
