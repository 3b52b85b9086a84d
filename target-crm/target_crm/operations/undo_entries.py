"""What an undo starts from: the run's entries in the journal, one for each cell or row, and its rows' locks."""

from __future__ import annotations

from collections.abc import Collection

from target_crm.operations.session import Session
from target_crm.sql import undo_entries as statements

RowKey = tuple[str, str]


def collect_entries(session: Session, run: int) -> None:
    """Gather what the run changed, one entry for each cell or row, and whether a later run (not undone) wrote it, too.

    A run may write a cell several times: what counts is what was there before the first and after the last. The entries
    are in the temporary tables undo_entries and undo_born until the transaction ends.
    """
    changes, runs = session.control("sync_changes"), session.control("sync_runs")
    documents = {live.mapping.raw_fields for live in session.tables.values()}
    # A run that moved no base (a decision) can be taken back cell by cell, whatever else was written in the row.
    cells_alone = not session.rows(statements.moved_base(changes, run, documents))
    session.execute(statements.DROP)
    session.execute(statements.entries(changes, runs, run, same_cell=cells_alone))
    keys = {name: live.columns[live.mapping.id].family for name, live in session.tables.items()}
    keys |= {s.item_set.table: s.live.columns[s.item_set.id].family for s in session.item_sets}
    for table, family in keys.items():
        foreign = statements.drop_foreign_keys_of(table, family)
        if foreign is not None:
            session.execute(foreign)
    session.execute_all(statements.INDEX_ENTRIES)
    session.execute(statements.born(list(session.tables.values())))
    session.execute_all(statements.INDEX_BORN)
    session.execute(statements.FORGET_CELLS_OF_BORN)
    for item_set in session.item_sets:
        session.execute(statements.forget_items_of_born(item_set.item_set, item_set.parent))


def leave_out(session: Session, rows: Collection[RowKey]) -> dict[str, int]:
    """Leave rows with their items as they are, as if a later run had written them; how many of each table."""
    if not rows:
        return {}
    left: dict[str, int] = {}
    for table, keys in _by_table(rows).items():
        found = session.rows(statements.leave_out(table, keys))
        left[table] = len({row["row_id"] for row in found})
        for item_set in session.item_sets:
            if item_set.parent.mapping.table == table:
                items = session.rows(statements.leave_out_items(item_set.item_set, keys))
                name = item_set.item_set.table
                left[name] = left.get(name, 0) + len({row["row_id"] for row in items})
    return left


def _by_table(rows: Collection[RowKey]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table, key in rows:
        found.setdefault(table, []).append(key)
    return found


def count_rewritten(session: Session) -> dict[str, int]:
    """How many of the rows a later run wrote, too, by table."""
    return {row["table_name"]: row["n"] for row in session.rows(statements.COUNT_REWRITTEN)}


def lock_entries(session: Session) -> None:
    """Lock every row that the undo may write or remove, in one order: tables as the mapping links them, parents
    before children, keys ascending. What is read afterwards holds until the transaction ends."""
    for live in session.tables.values():
        if not live.mapping.match_only:
            session.execute(statements.lock_rows(live))
    for item_set in session.item_sets:
        session.execute(statements.lock_items(item_set.item_set, item_set.live, item_set.parent))
