"""Restores what a run wrote, wherever nobody has changed it since. The undo is a run itself, and can be undone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

from psycopg import sql

from target_crm.load import runs
from target_crm.mapping.catalogue import read_columns_of, read_facts_of
from target_crm.mapping.check import LiveTable
from target_crm.operations import undo_ties
from target_crm.operations.concerned import accounts_of_run
from target_crm.operations.history import undone_by, unknown_run
from target_crm.operations.session import NotPossibleError, Row, Session
from target_crm.operations.undo_entries import RowKey, collect_entries, count_rewritten, leave_out, lock_entries
from target_crm.operations.undo_issues import follow
from target_crm.operations.undo_remove import remove_rows
from target_crm.operations.undo_restore import restore_items, return_rows
from target_crm.operations.undo_through import restore_links
from target_crm.operations.undo_work import KeptFor, Undone, Work
from target_crm.sql.undo_restore import UndoSpec

# The number of values that the preview of an undo shows.
SHOWN_CHANGES = 300

__all__ = ["KeptFor", "Preview", "Undone", "preview_undo", "take_back", "undo"]


@dataclass(frozen=True)
class Preview:
    """What an undo does by table, the first cells that it leaves since somebody edited them, the foreign keys for
    which it keeps rows, and the first of the values that it writes, as entries of the journal."""

    counts: dict[str, Undone]
    left: list[Row]
    kept_for: list[KeptFor] = field(default_factory=list)
    changes: list[Row] = field(default_factory=list)


def preview_undo(session: Session, run: int) -> Preview:
    """What `undo` would do: the undo itself, rolled back.

    Raises:
        As `undo`.
    """
    return _undo(session, run, preview=True)[1]


def take_back(session: Session, run: int, without: Collection[RowKey] = ()) -> tuple[int, Preview]:
    """Undo a run, but for the rows `without`; the undo's own number, and what was done.

    Raises:
        As `undo`.
    """
    return _undo(session, run, preview=False, without=without)


def undo(session: Session, run: int, *, preview: bool = False) -> dict[str, Undone]:
    """Undo a run; what was done by table. `preview` does the same and rolls it back.

    A row that a later run wrote is left alone (undo that run first), as is a cell whose value is no longer what the run
    wrote, and an inserted row that somebody edited in any column, added to or pointed at by a foreign key.

    Raises:
        UnknownError: there is no such run, it is still running, or it has been undone.
        BusyError: a load, or another session that holds rows, was in the way for `lock_timeout_seconds`.
    """
    return _undo(session, run, preview=preview)[1].counts


def _undo(session: Session, run: int, *, preview: bool, without: Collection[RowKey] = ()) -> tuple[int, Preview]:
    _check(session, run)
    fresh = _as_they_are(session)
    left_out: dict[str, int] = {}

    def prepare() -> None:
        collect_entries(fresh, run)
        left_out.clear()
        left_out.update(leave_out(fresh, without))
        lock_entries(fresh)

    def work(new_run: int) -> tuple[int, Preview]:
        done = Work(fresh, UndoSpec(session.settings.crm_schema, run, new_run))
        _put_back(done, left_out)
        changes = _written(session, new_run) if preview else []
        found = Preview(done.counts, done.left, done.kept_for, changes)
        session.count(new_run, {name: asdict(c) for name, c in found.counts.items()})
        if preview:
            raise _RollBack(found)
        return new_run, found

    try:
        return session.run("undo", work, accounts=accounts_of_run(session, run), prepare=prepare, undoes=run)
    except _RollBack as previewed:
        return 0, previewed.found


def _as_they_are(session: Session) -> Session:
    """The session with its tables as they are now: a column that somebody added a second ago may hold their work."""

    def places(tables: Iterable[LiveTable]) -> Iterator[tuple[str, str]]:
        for live in tables:
            yield live.schema, live.name
            yield from places(live.sets.values())

    def fresh(live: LiveTable) -> LiveTable:
        place = live.schema, live.name
        sets = {name: fresh(one) for name, one in live.sets.items()}
        return replace(live, columns=columns[place], rewrites=facts[place].rewrites, sets=sets)

    asked = set(places(session.tables.values()))
    columns, facts = read_columns_of(session.connection, asked), read_facts_of(session.connection, asked)

    return replace(session, tables={name: fresh(live) for name, live in session.tables.items()})


def _written(session: Session, new_run: int) -> list[Row]:
    """The first values that the undo writes; the documents' own entries are left out."""
    documents = sorted({live.mapping.raw_fields for live in session.tables.values()})
    return session.rows(
        session.query("history.sql", "first_values", most=sql.Literal(SHOWN_CHANGES)),
        new_run,
        documents,
    )


def _put_back(work: Work, left_out: Mapping[str, int]) -> None:
    """All of it, in the caller's transaction; the rows are locked."""
    session = work.session
    for table, number in count_rewritten(session).items():
        work.count(table).left_rewritten += number - left_out.get(table, 0)
    # Tables that are only matched were never written to, and have no columns for that.
    tables = [live for live in session.tables.values() if not live.mapping.match_only]
    for live in tables:
        return_rows(work, live)
    undo_ties.begin(work)
    for live in session.tables.values():
        undo_ties.restore_rows(work, live)
    for item_set in session.item_sets:
        restore_items(work, item_set)
    restore_links(work)
    for live in reversed(tables):
        remove_rows(work, live)
    undo_ties.wait_for_untied(work)
    follow(work)


class _RollBack(Exception):
    """Rolls a preview back."""

    def __init__(self, found: Preview) -> None:
        super().__init__()
        self.found = found


def _check(session: Session, run: int) -> None:
    runs.close_dead_runs(session.connection, session.settings.crm_schema)
    session.connection.commit()
    found = session.rows(session.query("history.sql", "find_undoable"), run)
    if not found:
        raise unknown_run(session, run)
    if found[0]["status"] == "running":
        raise NotPossibleError.of("E_RUN_RUNNING", run=run)
    wrote = (t.get(what, 0) for t in found[0]["counts"].values() for what in ("inserted", "updated", "deleted"))
    if any(wrote) and not found[0]["has_journal"]:
        raise NotPossibleError.of("E_RUN_JOURNAL_REMOVED", run=run)
    by = undone_by(session, run)
    if by is not None:
        raise NotPossibleError.of("E_RUN_UNDONE", run=run, by=by)
