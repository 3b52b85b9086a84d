"""Records: finding one, its values with where they come from, its history."""

from __future__ import annotations

from starlette.responses import Response

from target_crm.operations.conflicts import Filter, find_conflicts
from target_crm.operations.explain import explain, find_row, history, set_history
from target_crm.operations.records import context_of, items_of, value_names
from target_crm.operations.session import UnknownError
from target_crm.web.page import PER_PAGE, Page, link
from target_crm.web.views.runs import hidden_keys


def find_record(page: Page) -> Response:
    """A form; with a table and a key it leads to the record's page."""
    table, key = page.given("table"), (page.given("key") or "").strip()
    problem = None
    if table in page.session.tables and key:
        live = page.session.table(table)
        wanted = [f"amo:{key}", key] if key.isascii() and key.isdigit() else [key]
        for name in wanted:
            try:
                row = find_row(page.session, live, name)
            except UnknownError as error:
                problem = error.text(page.texts.language)
            else:
                return page.redirect(f"/records/{table}/{row['__key']}")
    return page.render(
        "records.html.j2",
        status=404 if problem else 200,
        tables=list(page.session.tables),
        table=table,
        key=key,
        problem=problem,
    )


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
    called = {c.column: value_names(session, table, c.column, (c.value, c.amo_value, c.replaced)) for c in found.cells}
    for entry in entries:
        values = [v for v in (entry["old_value"], entry["new_value"]) if isinstance(v, (str, int))]
        called.setdefault(entry["column_name"], {}).update(value_names(session, table, entry["column_name"], values))
    return page.render(
        "record.html.j2",
        table=table,
        record=found,
        context=context_of(session, live, row),
        items=[(s.item_set.table, s.item_set, rows) for s, rows in items_of(session, live, row_id)],
        conflicts=_open_conflicts(page, table, row_id),
        entries=entries,
        called=called,
        keys=hidden_keys(session),
        more=more,
        is_first=before is None,
    )


def _open_conflicts(page: Page, table: str, row_id: str) -> list[dict[str, object]]:
    return find_conflicts(page.session, Filter(table=table, row=row_id), limit=PER_PAGE)
