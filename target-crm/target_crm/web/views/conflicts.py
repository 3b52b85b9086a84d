"""Conflicts: the list and its export, the queue that is worked through one by one, decisions in bulk."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import psycopg
from starlette.responses import JSONResponse, Response

from target_crm.database.refusals import is_refusal
from target_crm.operations import conflicts as settling
from target_crm.operations.choices import entry_for, find_choices, read_value
from target_crm.operations.conflict_lists import SORTS, find_sorted
from target_crm.operations.conflicts import CellNow, Filter, cell_now, find_conflict, find_conflicts, resolve
from target_crm.operations.explain import find_row
from target_crm.operations.records import context_of, linked_table
from target_crm.operations.search import rows_named
from target_crm.operations.session import Row, UnknownError, column_of
from target_crm.presentation.spreadsheet import as_text
from target_crm.sql.conflicts import RULES
from target_crm.web.page import COUNTED, PER_PAGE, Page, link, refusal_text

_SAMPLE = 10
_MOST_EXPORTED = 50_000


def filter_of(page: Page) -> Filter:
    """The conflicts that a page's parameters name."""
    rule, text = page.given("rule"), (page.given("q") or "").strip()[:100] or None
    return Filter(
        text=text,
        rows=rows_named(page.session, text) if text else (),
        table=page.given("table"),
        column=page.given("column"),
        run=page.number("run_id"),
        rule=rule if rule in RULES else None,
        resolved=page.given("resolved") is not None,
    )


def parameters_of(which: Filter) -> dict[str, Any]:
    """The filter as parameters of an address."""
    return {
        "table": which.table,
        "column": which.column,
        "run_id": which.run,
        "rule": which.rule,
        "resolved": "1" if which.resolved else None,
        "q": which.text,
    }


def list_conflicts(page: Page) -> Response:
    """The conflicts that the filter leaves, in the chosen order."""
    which, after, sort = filter_of(page), page.number("after"), page.given("sort") or SORTS[0]
    number, newest = settling.count_conflicts(page.session, replace(which, resolved=False), COUNTED)
    few = which.text is not None and not which.resolved and number <= COUNTED
    found = find_sorted(page.session, which, sort, after, limit=PER_PAGE + 1, few=few)
    more = None
    if len(found) > PER_PAGE:
        found = found[:PER_PAGE]
        more = link("/conflicts", **parameters_of(which), sort=sort, after=found[-1]["id"])
    return page.render(
        "conflicts.html.j2",
        conflicts=_named(page, found),
        which=which,
        sort=sort,
        sorts=SORTS,
        parameters=parameters_of(which),
        cells=page.shown.cells_in_order(settling.open_cells(page.session, COUNTED)),
        rules=list(RULES),
        open=number,
        newest=newest,
        is_all=which == Filter(),
        first_open=next((c["id"] for c in found if c["resolved_at"] is None), None),
        more=more,
        is_first=not after,
    )


def export(page: Page) -> Response:
    """The conflicts that the filter leaves as CSV for a spreadsheet."""
    texts, shown = page.texts, page.shown
    found = _named(page, find_conflicts(page.session, filter_of(page), limit=_MOST_EXPORTED))
    out = io.StringIO()
    # Spreadsheets in Russian part columns by semicolons.
    lines = csv.writer(out, delimiter=";" if texts.language == "ru" else ",")
    heads = ("table", "row", "column", "base", "ours", "theirs", "recorded", "resolution")
    lines.writerow([texts(head) for head in heads])
    for c in found:
        values = [
            shown.value(c["table_name"], c["column_name"], c[f"{s}_value"], 32_000) for s in ("base", "crm", "amo")
        ]
        how = texts.of("resolution", c["resolution"]) if c["resolution"] else texts("open_word")
        place = [shown.table(c["table_name"]), c["name"], shown.column(c["table_name"], c["column_name"])]
        cells = [*place, *values, texts.when(c["created_at"]), how]
        lines.writerow([as_text(cell) for cell in cells])
    return Response(
        "\ufeff" + out.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="conflicts.csv"'},
    )


def _named(page: Page, found: list[Row]) -> list[Row]:
    """Conflicts with the names of their records; the names of what their values link to are read at once."""
    names = page.shown.names(found)
    page.shown.learn(found, "base_value", "crm_value", "amo_value")
    return [{**c, "name": page.shown.name(names, c["table_name"], c["row_id"])} for c in found]


def show_conflict(page: Page) -> Response:
    """One conflict, with all that is needed to decide."""
    return _show(page, find_conflict(page.session, int(page.in_path("conflict"))))


def _show(page: Page, conflict: Row, *, status: int = 200, problem: str | None = None, typed: str = "") -> Response:
    session, which = page.session, replace(filter_of(page), resolved=False)
    live = session.tables.get(conflict["table_name"])
    cell = cell_now(session, conflict)
    context = None
    if live is not None and cell.exists:
        try:
            context = context_of(session, live, find_row(session, live, conflict["row_id"]), page.accounts)
        except UnknownError:
            cell = CellNow(exists=False)
    ours = cell.value if cell.exists and conflict["resolved_at"] is None else conflict["crm_value"]
    return page.render(
        "conflict.html.j2",
        status=status,
        c=conflict,
        cell=cell,
        context=context,
        base=conflict["base_value"],
        ours=ours,
        theirs=conflict["amo_value"],
        entry=entry_for(session, page.shown, conflict["table_name"], conflict["column_name"], ours),
        how=_how(page, conflict),
        parameters=parameters_of(which),
        next=next(iter(find_conflicts(session, which, after=conflict["id"], limit=1)), None),
        previous=next(iter(find_conflicts(session, which, before=conflict["id"], limit=1)), None),
        problem=problem,
        typed=typed,
    )


def _how(page: Page, conflict: Row) -> str | None:
    """How a conflict was settled, and when; None while it is open."""
    if conflict["resolved_at"] is None:
        return None
    texts = page.texts
    how = f"{texts.of('resolution', conflict['resolution'])}, {texts.when(conflict['resolved_at'])}"
    return how if conflict["settled_by"] is None else f"{how}, {texts('run_resolve', n=str(conflict['settled_by']))}"


def settle(page: Page) -> Response:
    """Settle one conflict, and go on to the next. The second of two people learns that."""
    session, number = page.session, int(page.in_path("conflict"))
    conflict = find_conflict(session, number)
    texts, take, typed = page.texts, page.given("take") or "", page.given("value") or ""
    if conflict["resolved_at"] is not None:
        return _show(page, conflict, status=409, problem=texts("settled_meanwhile", how=_how(page, conflict)))
    value = None
    if take == "value":
        try:
            value = read_value(session, page.shown, conflict["table_name"], conflict["column_name"], typed)
        except ValueError as error:
            return _show(page, conflict, status=422, problem=texts(str(error)), typed=typed)
        if value is None:
            return _show(page, conflict, status=422, problem=texts("typed_nothing"))
    try:
        run, done = resolve(session, Filter(ids=[number]), take, value, seen=page.given("seen") or "")
    except psycopg.Error as error:
        if not is_refusal(error):
            raise
        session.connection.rollback()
        return _show(page, conflict, status=422, problem=refusal_text(error, texts), typed=typed)
    if not done.settled:
        conflict = find_conflict(session, number)
        how = _how(page, conflict)
        said = texts("settled_meanwhile", how=how) if how else texts("changed_meanwhile")
        return _show(page, conflict, status=409, problem=said, typed=typed)
    which = replace(filter_of(page), resolved=False)
    found = find_conflicts(session, which, after=number, limit=1) or find_conflicts(session, which, limit=1)
    place = f"/conflicts/{found[0]['id']}" if found else "/conflicts"
    return page.redirect(place, **parameters_of(which), done=take, run=run, conflict=number)


def ask_bulk(page: Page) -> Response:
    """How many conflicts a decision would settle, and the first of them; nothing is changed."""
    take, which = page.given("take"), _bulk_filter(page)
    number, newest = settling.count_conflicts(page.session, which, COUNTED)
    return page.render(
        "bulk.html.j2",
        take="amo" if take == "amo" else "crm",
        which=which,
        ids=which.ids or [],
        number=number,
        up_to=which.up_to or newest,
        sample=_named(page, find_conflicts(page.session, which, limit=_SAMPLE)),
        parameters=parameters_of(which),
    )


def settle_bulk(page: Page) -> Response:
    """Settle what `ask_bulk` showed: not what came since."""
    if page.given("confirmed") is None:
        return ask_bulk(page)
    take, which = page.given("take"), _bulk_filter(page)
    run, done = resolve(page.session, which, take if take in ("amo", "crm") else "")
    return page.redirect(
        "/conflicts",
        **{k: v for k, v in parameters_of(which).items() if v},
        done="bulk" if run else "nothing",
        run=run,
        settled=done.settled,
        left=done.changed_since,
    )


def _bulk_filter(page: Page) -> Filter:
    which = replace(filter_of(page), resolved=False, up_to=page.number("up_to"))
    is_chosen = page.given("chosen") is not None and page.given("everything") is None
    return replace(which, ids=page.numbers("id")) if is_chosen else which


def offer_choices(page: Page) -> Response:
    """Names of the rows that a column may link to, as JSON: those that hold the words of `q`."""
    table, column = page.given("table") or "", page.given("column") or ""
    parent = linked_table(page.session, column_of(page.session.table(table).mapping, column))
    found = find_choices(page.session, parent, page.given("q") or "") if parent is not None else []
    return JSONResponse([option.text for option in found])
