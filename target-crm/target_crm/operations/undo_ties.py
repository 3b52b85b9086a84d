"""Takes back which rows a run gave to which records: the adoptions and ties of a load, and the undo of such."""

from __future__ import annotations

from target_crm.mapping.check import LiveTable
from target_crm.operations.undo_remove import wait_again
from target_crm.operations.undo_restore import restore_columns
from target_crm.operations.undo_work import Work
from target_crm.sql import undo_ties as statements


def restore_rows(work: Work, live: LiveTable) -> None:
    """Columns and documents of a table, then the ids, stamps and keys of rows that became a record's or ceased to be.

    What is known of the rows before anything is put back tells whether somebody wrote them since.
    """
    session = work.session
    session.execute(statements.DROP)
    ties = session.execute(statements.collect(work.spec, live))
    if not live.mapping.match_only:
        restore_columns(work, live)
    if not ties:
        return
    if not live.mapping.match_only:
        session.execute(statements.restore_ids(live))
    for statement in statements.restore_keys(work.spec, live):
        session.execute(statement)
    work.count(live.mapping.table).restored_ties += ties
    session.execute(statements.note_untied(live.mapping.stream))


def begin(work: Work) -> None:
    """Before the first table."""
    work.session.execute(statements.DROP_UNTIED)
    work.session.execute(statements.CREATE_UNTIED)


def wait_for_untied(work: Work) -> None:
    """Let the links to records that have no row any more wait for them; after rows that go are gone."""
    for live in work.session.tables.values():
        work.session.execute(statements.DROP_REMOVED)
        if work.session.execute(statements.removed(live.mapping.stream)):
            wait_again(work, live)
