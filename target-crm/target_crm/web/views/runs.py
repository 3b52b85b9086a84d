"""Runs: the list, one run's changes, undoing it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from target_crm.operations.accounts import cards_of
from target_crm.operations.history import RunFilter, changed_cells, find_changes, find_run, find_runs, undone_by
from target_crm.operations.labels import hidden_columns, natural_order
from target_crm.operations.permissions import is_offered, permissions_of, stopped_by
from target_crm.operations.rejects import find_rejects
from target_crm.operations.session import Row, Session
from target_crm.operations.undo import SHOWN_CHANGES, preview_undo, take_back
from target_crm.web.addresses import local_path
from target_crm.web.page import COUNTED, PER_PAGE, Page, link
from target_crm.web.views.rejects import described_reject

LOADS, DECISIONS = ("load", "retry"), ("resolve", "undo", "decide", "untie")
STATUSES = ("succeeded", "incomplete", "failed", "interrupted", "running")


def list_runs(page: Page) -> Response:
    """The loads that the filter leaves, the last first."""
    return _list(page, "runs", LOADS)


def list_decisions(page: Page) -> Response:
    """Decisions and undos, with who made them."""
    return _list(page, "decisions", DECISIONS)


def _list(page: Page, section: str, kinds: tuple[str, ...]) -> Response:
    kind = page.given("kind") if page.given("kind") in kinds else None
    status, table = page.given("status"), page.given("table")
    which = RunFilter(kind or kinds, status, table, page.day("since"), page.day("until"))
    runs = find_runs(page.session, before=page.number("before"), limit=PER_PAGE + 1, which=which)
    more = None
    if len(runs) > PER_PAGE:
        runs = runs[:PER_PAGE]
        more = link(f"/{section}", **{**asdict(which), "kind": kind}, before=runs[-1]["id"])
    return page.render(
        "runs.html.j2",
        section=section,
        runs=runs,
        chosen=which,
        kind=kind,
        kinds=kinds,
        statuses=STATUSES,
        tables=natural_order(page.session, [*page.session.tables, *page.session.sets]),
        more=more,
        is_first=page.number("before") is None,
    )


def show_run(page: Page) -> Response:
    """One run: counts, changes by table and column, the changes themselves."""
    session, run = page.session, find_run(page.session, int(page.in_path("run")))
    cells, after = changed_cells(session, run["id"], COUNTED), page.number("after") or 0
    guard = stopped_by(run)
    documents = {live.mapping.raw_fields for live in session.tables.values()}
    table, column = page.given("table"), page.given("column")
    if table is None and page.given("all") is None:
        table, column = _first_shown(cells, documents)
    entries = find_changes(session, run["id"], table=table, column=column, after=after, limit=PER_PAGE + 1)
    more = None
    if len(entries) > PER_PAGE:
        entries = entries[:PER_PAGE]
        shown = {"table": table, "column": column, "all": None if table else "1"}
        more = link(f"/runs/{run['id']}", **shown, after=entries[-1]["id"]) + "#changes"
    return page.render(
        "run.html.j2",
        run=run,
        undone=undone_by(session, run["id"]),
        guard=guard,
        is_offered=is_offered(session, run),
        permissions=permissions_of(session, run["id"]),
        concerned=_concerned(page, run["id"], guard) if guard else [],
        cells=page.shown.cells_in_order(cells),
        documents=documents,
        keys=hidden_columns(session),
        entries=[{**e, "record": record_of(session, e)} for e in with_names(page, entries)],
        table=table,
        column=column,
        more=more,
        is_first=not after,
    )


def _concerned(page: Page, run: int, guard: Row) -> list[dict[str, Any]]:
    """The first records that a guard stopped a run from changing, or of which too many were rejected, with their names
    and cards in amoCRM."""
    table = guard["args"].get("table")
    if table is None:
        return [{**described_reject(page, reject), "row_id": None} for reject in find_rejects(page.session, run=run)]
    rows = [{"table_name": table, "row_id": key} for key in guard["args"].get("keys", [])]
    names, cards = page.shown.names(rows), cards_of(page.session, page.accounts, [(table, r["row_id"]) for r in rows])
    return [
        {**r, "name": page.shown.name(names, table, r["row_id"]), "card": cards.get((table, r["row_id"]))} for r in rows
    ]


def _first_shown(cells: list[Row], documents: set[str]) -> tuple[str | None, str | None]:
    """The table and column to begin with: a column that people know, else whole rows, else nothing in particular."""
    known = [(c["table_name"], c["column_name"]) for c in cells if c["column_name"] not in documents]
    return next((c for c in known if c[1] != "*"), known[0] if known else (None, None))


def with_names(page: Page, entries: list[Row]) -> list[Row]:
    """Entries of the journal with the name of the row that each is about."""
    names = page.shown.names(entries)
    page.shown.learn(entries, *(s for s in ("old_value", "new_value", "value_now") if entries and s in entries[0]))
    return [{**e, "name": page.shown.name(names, e["table_name"], e["row_id"])} for e in entries]


def record_of(session: Session, entry: Row) -> tuple[str, str] | None:
    """Table and key of the record that an entry's page is; a set's row belongs to its parent's."""
    if entry["table_name"] in session.tables:
        return entry["table_name"], entry["row_id"]
    item_set = session.sets.get(entry["table_name"])
    whole = entry["new_value"] or entry["old_value"]
    if item_set is None or not isinstance(whole, dict) or not whole.get(item_set.item_set.parent):
        return None
    return item_set.parent.mapping.table, str(whole[item_set.item_set.parent])


def ask_undo(page: Page) -> Response:
    """What undoing a run would do and leave alone; nothing is changed."""
    run = find_run(page.session, int(page.in_path("run")))
    found = preview_undo(page.session, run["id"])
    counts = {table: asdict(c) for table, c in found.counts.items() if any(asdict(c).values())}
    return page.render(
        "undo.html.j2",
        run=run,
        counts=counts,
        left=with_names(page, found.left),
        kept_for=found.kept_for,
        changes=_by_row(page, with_names(page, found.changes)),
        is_cut=len(found.changes) == SHOWN_CHANGES,
        keys=hidden_columns(page.session),
    )


def _by_row(page: Page, entries: list[Row]) -> list[list[Row]]:
    """Entries by the record they are about, a set's rows with their record's."""
    found: dict[tuple[str, str], list[Row]] = {}
    for entry in entries:
        record = record_of(page.session, entry) or (entry["table_name"], entry["row_id"])
        found.setdefault(record, []).append({**entry, "record": record})
    names = page.shown.names({"table_name": t, "row_id": k} for t, k in found)
    return [[{**e, "name": page.shown.name(names, *record)} for e in group] for record, group in found.items()]


def undo(page: Page) -> Response:
    """Undo a run. A decision is taken back at once, any other run only from its preview."""
    run, is_match = find_run(page.session, int(page.in_path("run"))), page.given("to") == "proposals"
    is_decision = run["kind"] == "resolve" or (run["kind"] == "decide" and is_match)
    if not is_decision and page.given("confirmed") is None:
        return page.redirect(f"/runs/{run['id']}/undo")
    shown = {tuple(value.split("|", 1)) for value in page.form.get("shown", []) if "|" in value}
    kept = {tuple(value.split("|", 1)) for value in page.form.get("row", []) if "|" in value}
    number, _ = take_back(page.session, run["id"], [(table, key) for table, key in shown - kept])
    done: dict[str, Any] = {"done": "undo", "run": number}
    conflict = page.number("conflict")
    if conflict is not None:
        return page.redirect(f"/conflicts/{conflict}", **done)
    if is_match:
        proposal = page.number("proposal")
        return page.redirect(f"/proposals/{proposal}" if proposal else "/proposals", **done)
    if page.given("to") == "conflicts":
        back = local_path(page.given("back") or "/conflicts")
        return page.redirect(back if back.startswith("/conflicts") else "/conflicts", **done)
    return page.redirect(f"/runs/{run['id']}", **done)
