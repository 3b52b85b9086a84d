"""Records: finding one, its values with where they come from, its history."""

from __future__ import annotations

from starlette.responses import Response

from target_crm.operations.conflicts import Filter, find_conflicts
from target_crm.operations.explain import explain, find_row, history, set_history
from target_crm.operations.records import context_of, items_of
from target_crm.operations.search import Found, find_records, recent_records
from target_crm.operations.session import UnknownError
from target_crm.web.page import PER_PAGE, Page, link
from target_crm.web.views.runs import hidden_keys


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
    entries = [
        *history(session, table, row_id, before=before, limit=PER_PAGE + 1),
        *set_history(session, table, row_id, before=before, limit=PER_PAGE + 1),
    ]
    entries.sort(key=lambda e: -e["id"])
    more = None
    if len(entries) > PER_PAGE:
        entries = entries[:PER_PAGE]
        more = link(f"/records/{table}/{row_id}", before=entries[-1]["id"]) + "#history"
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
        conflicts=_open_conflicts(page, table, row_id),
        entries=entries,
        keys=hidden_keys(session),
        more=more,
        is_first=before is None,
    )


def _open_conflicts(page: Page, table: str, row_id: str) -> list[dict[str, object]]:
    return find_conflicts(page.session, Filter(table=table, row=row_id), limit=PER_PAGE)
