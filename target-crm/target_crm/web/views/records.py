"""Records: finding one, its values with where they come from, its history."""

from __future__ import annotations

from starlette.responses import Response

from target_crm.operations.cards import Card, conflicts_of
from target_crm.operations.conflicts import cell_now
from target_crm.operations.explain import explain, find_row
from target_crm.operations.labels import hidden_columns
from target_crm.operations.records import context_of, items_of
from target_crm.operations.search import Found, find_records, recent_records
from target_crm.operations.session import Row, UnknownError
from target_crm.operations.timeline import find_entry, put_back, timeline
from target_crm.web.page import PER_PAGE, Page, link


def find_record(page: Page) -> Response:
    """The search; with a table and a key or number it leads to the record's page."""
    table, key, q = page.given("table"), (page.given("key") or "").strip(), (page.given("q") or "").strip()
    problem = None
    if table in page.session.tables and key:
        live = page.session.table(table)
        wanted = [f"amo:{key}", key] if key.isascii() and key.isdigit() else [key]
        for name in wanted:
            try:
                row = find_row(page.session, live, name)
            except UnknownError:
                problem = page.texts("record_unknown", record=key[:60], table=page.shown.table(table, many=True))
            else:
                return page.redirect(f"/records/{table}/{row['__key']}")
    search = find_records(page.session, q)
    found = search.found or ([] if q else recent_records(page.session))
    if q and len(found) == 1:
        return page.redirect(f"/records/{found[0].table}/{found[0].row_id}")
    return page.render(
        "records.html.j2",
        status=404 if problem else 200,
        q=q,
        problem=problem,
        found=[{**vars(f), "card": _card(page, f)} for f in found],
        left_out=search.left_out,
    )


def _card(page: Page, found: Found) -> str | None:
    return page.accounts.card(page.session.tables[found.table].mapping.stream, found.account_id, found.amo_id)


def show_record(page: Page) -> Response:
    """One record: each column's value, where it came from, when, what it replaced; then all that was written."""
    session, table, key = page.session, page.in_path("table"), page.in_path("row_id")
    live = session.table(table)
    row = find_row(session, live, key)
    row_id, before = row["__key"], page.number("before")
    found = explain(session, table, row_id)
    entries = timeline(session, live, row, before=before, limit=PER_PAGE)
    more = None
    written = [e for e in entries if not e["by_hand"]]
    if len(written) > PER_PAGE:
        last = written[PER_PAGE - 1]["id"]
        entries = [e for e in entries if e["id"] >= last]
        more = link(f"/records/{table}/{row_id}", before=last) + "#history"
    page.shown.learn(
        ({"table_name": table, "column_name": c.column, **vars(c)} for c in found.cells),
        "value",
        "amo_value",
        "replaced",
    )
    page.shown.learn(entries, "old_value", "new_value")
    return page.render(
        "record.html.j2",
        table=table,
        record=found,
        context=context_of(session, live, row, page.accounts),
        items=[(s.item_set.table, s.item_set, rows) for s, rows in items_of(session, live, row_id) if rows],
        conflicts=conflicts_of(session, Card(table, row_id), PER_PAGE),
        entries=entries,
        fingerprints=_fingerprints(page, table, row_id, entries),
        keys=hidden_columns(session),
        more=more,
        is_first=before is None,
    )


def _fingerprints(page: Page, table: str, row_id: str, entries: list[Row]) -> dict[str, str]:
    """What the columns of these entries hold now, as `put_back` compares it."""
    columns = {c.name for c in page.session.table(table).mapping.columns}
    found = {}
    for column in {e["column_name"] for e in entries} & columns:
        cell = cell_now(page.session, {"table_name": table, "row_id": row_id, "column_name": column, "crm_value": None})
        if cell.exists:
            found[column] = cell.fingerprint
    return found


def back_to(page: Page) -> Response:
    """Write the value that a cell held before an entry of the journal into it again."""
    table, row_id, number = page.in_path("table"), page.in_path("row_id"), page.number("entry") or 0
    entry = find_entry(page.session, table, row_id, number)
    run = put_back(page.session, table, row_id, entry["column_name"], entry["old_value"], page.given("seen") or "")
    done = {"done": "back", "run": run} if run else {"done": "back_changed"}
    return page.redirect(f"/records/{table}/{row_id}", **done)
