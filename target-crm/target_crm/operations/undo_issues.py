"""Conflicts, rejects, warnings and proposals follow the undo of a run: what it opened is void, what it closed
is open again."""

from __future__ import annotations

from target_crm.operations.undo_work import Work
from target_crm.sql import undo_issues as statements


def follow(work: Work) -> None:
    """Bring them in step with what has been put back; all of it in the caller's transaction.

    A conflict follows its cell or its row's base: where those stay, it stays. If the undone run was an undo itself,
    what it had closed is open again and the reverse.
    """
    session, undo = work.session, work.spec
    tables = list(session.tables.values())
    for live in tables:
        session.execute(statements.close_opened_conflicts(undo, live))
    for issues in statements.OF_RECORDS:
        session.execute(statements.close_opened(undo, issues))
    for opening in (False, True):
        for live in tables:
            allowed = statements.conflict_may_return(undo, live)
            session.execute(statements.restore_issues(undo, statements.CONFLICTS, allowed, opening=opening))
        for issues in statements.OF_RECORDS:
            allowed = statements.record_may_return(undo)
            session.execute(statements.restore_issues(undo, issues, allowed, opening=opening))
    for live in tables:
        session.execute(statements.reopen_settled(undo, live))
    session.execute(statements.reopen_superseded(undo))
