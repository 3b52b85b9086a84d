"""Removes the rows that a run inserted, but for those that somebody edited, added to or points at."""

from __future__ import annotations

from dataclasses import replace

from target_crm.mapping.check import LiveTable
from target_crm.mapping.foreign_keys import ForeignKey, keys_to
from target_crm.operations.session import SetTable
from target_crm.operations.undo_work import KeptFor, Work
from target_crm.sql import undo_remove as statements
from target_crm.sql.sets import has_triggers


def remove_rows(work: Work, live: LiveTable) -> None:
    """Remove a table's inserted rows with their items; what must stay is counted with its reason.

    Rows that point at them and were inserted by the same run are to be removed before.
    """
    if live.mapping.account is None or live.mapping.amo_id is None:
        return
    session, name = work.session, live.mapping.table
    session.execute(statements.DROP)
    if not session.execute(statements.look_at_rows(work.spec, live)):
        return
    session.execute_all(statements.INDEX)
    sets = [s for s in session.item_sets if s.parent is live]
    for item_set in sets:
        session.execute(statements.keep_rows_with_edited_items(item_set.item_set, item_set.live, live))
    keys = _keys_to(work, live, sets)
    items = [(item_set, key) for item_set in sets for key in _keys_to_items(work, item_set)]
    _keep_pointed_at(work, live, keys, items)
    counts = work.count(name)
    removed = _remove(work, live, sets)
    counts.removed_rows += removed
    if removed:
        wait_again(work, live)
    kept = {row["why"]: row["n"] for row in session.rows(statements.COUNT_KEPT)}
    counts.left_edited += kept.get(statements.EDITED, 0)
    counts.left_referenced += kept.get(statements.REFERENCED, 0)
    counts.left_by_trigger += kept.get(statements.BY_TRIGGER, 0)
    if kept.get(statements.REFERENCED):
        _name_what_keeps(work, live, keys, items)


def _remove(work: Work, live: LiveTable, sets: list[SetTable]) -> int:
    """Remove the rows that go, with their items; how many.

    A trigger may keep a row (one that marks it instead of deleting it, say) or one of its items: then both stay as they
    are, and the others are removed.
    """
    session = work.session
    tables = [one.identifier.as_string(session.connection) for one in (live, *(s.live for s in sets))]
    if not any(session.rows(has_triggers(name)) for name in tables):
        _remove_items(work, sets)
        session.execute(statements.note_removed(live))
        return session.execute(statements.remove_rows(work.spec, live))
    while True:
        session.execute(statements.BEGIN_TRIAL)
        removed = 0
        _remove_items(work, sets)
        kept = [key for s in sets for key in session.rows(statements.owners_of_kept(s.item_set, s.live))]
        if not kept:
            session.execute(statements.note_removed(live))
            removed = session.execute(statements.remove_rows(work.spec, live))
            kept = session.rows(statements.still_there(live))
        if not kept:
            session.execute(statements.END_TRIAL)
            return removed
        session.execute(statements.TAKE_TRIAL_BACK)
        session.execute(statements.keep_by_trigger({row["row_id"] for row in kept}))


def _remove_items(work: Work, sets: list[SetTable]) -> None:
    for item_set in sets:
        work.session.execute(statements.remove_items(work.spec, item_set.item_set, item_set.live))


def _keys_to(work: Work, live: LiveTable, sets: list[SetTable]) -> list[ForeignKey]:
    """The foreign keys that point at the table, but for those by which its items belong to their rows."""
    own = {(s.live.schema, s.live.name, s.item_set.parent) for s in sets}
    found = keys_to(work.session.connection, live.schema, live.name)
    return [
        key
        for key in found
        if not (len(key.columns) == 1 and key.targets == (live.mapping.id,) and (*key.table, *key.columns) in own)
    ]


def _keys_to_items(work: Work, item_set: SetTable) -> list[ForeignKey]:
    return keys_to(work.session.connection, item_set.live.schema, item_set.live.name)


def _keep_pointed_at(
    work: Work, live: LiveTable, keys: list[ForeignKey], items: list[tuple[SetTable, ForeignKey]]
) -> None:
    session = work.session
    for item_set, key in items:
        session.execute(statements.keep_owners_of_pointed_at(key, item_set.item_set, item_set.live))
    within = [key for key in keys if key.readable and key.table == (live.schema, live.name)]
    for key in keys:
        if key not in within:
            session.execute(statements.keep_pointed_at(key, live, within=False))
    # A row that stays keeps those it points at.
    while sum(session.execute(statements.keep_pointed_at(key, live, within=True)) for key in within):
        pass


def _name_what_keeps(
    work: Work, live: LiveTable, keys: list[ForeignKey], items: list[tuple[SetTable, ForeignKey]]
) -> None:
    asked = [(key, statements.count_pointed_at(key, live)) for key in keys]
    asked += [
        (key, statements.count_owners_of_pointed_at(key, item_set.item_set, item_set.live)) for item_set, key in items
    ]
    for key, query in asked:
        number = work.session.rows(query)[0]["n"]
        if number:
            pointing = ".".join(key.table)
            work.kept_for.append(KeptFor(live.mapping.table, number, key.name, pointing, key.readable))


def wait_again(work: Work, parent: LiveTable) -> None:
    """Let the links to records of the table undo_removed wait for them."""
    for live in work.session.tables.values():
        table = live.mapping
        if table.match_only or table.account is None or table.amo_id is None:
            continue
        for column in table.columns:
            stream = parent.mapping.stream
            if column.links_to(stream):
                named = replace(column, link=stream, when_entity=stream) if column.links else column
                work.session.execute(statements.wait_again(work.spec, live, named))
