"""Inserts staged new records that can't be copied directly into their table."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from target_crm.merge import stored_forms
from target_crm.merge.counts import Counts
from target_crm.merge.session import MergeSession
from target_crm.merge.staging import Staged
from target_crm.sql import insert, sets
from target_crm.sql.statements import Statements


def insert_staged(session: MergeSession, statements: Statements, parts: Sequence[Staged]) -> Counts:
    """Insert the staged records that are new, the items of their sets, their keys and the journal."""
    new = sum(len(part.found.records) for part in parts if part.is_new)
    if not new:
        return Counts()
    inserted = _insert_rows(session, statements)
    if inserted:
        session.run(statements.remember_keys)
        session.run(statements.journal_inserted)
        _insert_items(session, statements)
    return Counts(inserted=inserted, skipped_by_database=new - inserted)


def _insert_rows(session: MergeSession, statements: Statements) -> int:
    """Insert the rows; twice if triggers store other values than those written (`stored_forms`)."""
    spec = statements.spec
    if not spec.live.rewrites:
        return _insert_once(session, statements)
    with session.connection.transaction() as attempt:
        inserted = _insert_once(session, statements)
        forms = stored_forms.find_of_new(session, spec)
        if forms:
            raise psycopg.Rollback(attempt)
    if forms:
        stored_forms.remember_of_new(session, spec, forms)
        inserted = _insert_once(session, statements)
    return inserted


def _insert_once(session: MergeSession, statements: Statements) -> int:
    inserted = session.run(statements.insert_rows).rowcount
    if inserted:
        session.run(statements.analyze_inserted)
    return inserted


def _insert_items(session: MergeSession, statements: Statements) -> None:
    spec = statements.spec
    for index, item_set in enumerate(spec.live.mapping.sets):
        done = session.run(statements.insert_items[index])
        live = spec.live.sets[item_set.name]
        if session.has_triggers(live):
            row = session.run(insert.count_items_of_new(spec, index)).fetchone()
            session.skip_items(live, (row[0] if row else 0) - done.rowcount)
        one = sets.SetSpec(spec, index)
        if one.remembers:
            session.run(sets.remember_stored_of_new(one))
