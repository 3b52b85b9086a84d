"""Conflicts: the list, the queue that is worked through one by one, decisions in bulk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
from starlette.responses import Response

from target_crm.database.refusals import is_refusal
from target_crm.operations import conflicts as settling
from target_crm.operations.conflicts import RULES, CellNow, Filter, cell_now, find_conflict, find_conflicts, resolve
from target_crm.operations.explain import find_row
from target_crm.operations.records import context_of, names_of, value_names
from target_crm.operations.session import Row, UnknownError
from target_crm.presentation.values import as_typed, is_empty
from target_crm.web.page import COUNTED, PER_PAGE, Page, link, refusal_text

_SAMPLE = 10


def _filter(page: Page) -> Filter:
    rule = page.given("rule")
    return Filter(
        table=page.given("table"),
        column=page.given("column"),
        run=page.number("run_id"),
        rule=rule if rule in RULES else None,
        resolved=page.given("resolved") is not None,
    )


def _parameters(which: Filter) -> dict[str, Any]:
    """The filter as parameters of an address."""
    return {
        "table": which.table,
        "column": which.column,
        "run_id": which.run,
        "rule": which.rule,
        "resolved": "1" if which.resolved else None,
    }


def list_conflicts(page: Page) -> Response:
    """The conflicts that the filter leaves, the oldest first."""
    which, after = _filter(page), page.number("after") or 0
    found = find_conflicts(page.session, which, after=after, limit=PER_PAGE + 1)
    more = None
    if len(found) > PER_PAGE:
        found = found[:PER_PAGE]
        more = link("/conflicts", **_parameters(which), after=found[-1]["id"])
    number, newest = settling.count_conflicts(page.session, replace(which, resolved=False), COUNTED)
    return page.render(
        "conflicts.html.j2",
        conflicts=_named(page, found),
        which=which,
        parameters=_parameters(which),
        cells=settling.open_cells(page.session, COUNTED),
        rules=list(RULES),
        open=number,
        newest=newest,
        first_open=next((c["id"] for c in found if c["resolved_at"] is None), None),
        more=more,
        is_first=not after,
    )


def _named(page: Page, found: list[Row]) -> list[Row]:
    """Conflicts with the names of their records, and of the rows that their values are keys of."""
    names = names_of(page.session, ((c["table_name"], c["row_id"]) for c in found))
    called = {}
    for table, column in {(c["table_name"], c["column_name"]) for c in found}:
        values = [
            c[side]
            for c in found
            if (c["table_name"], c["column_name"]) == (table, column)
            for side in ("base_value", "crm_value", "amo_value")
        ]
        called.update(value_names(page.session, table, column, (v for v in values if isinstance(v, (str, int)))))
    return [
        {
            **c,
            "name": names.get((c["table_name"], c["row_id"]), c["row_id"]),
            **{side: called.get(str(c[side]), c[side]) for side in ("base_value", "crm_value", "amo_value")},
        }
        for c in found
    ]


def show_conflict(page: Page) -> Response:
    """One conflict, with all that is needed to decide."""
    return _show(page, find_conflict(page.session, int(page.in_path("conflict"))))


def _show(page: Page, conflict: Row, *, status: int = 200, problem: str | None = None, typed: str = "") -> Response:
    session, which = page.session, replace(_filter(page), resolved=False)
    live = session.tables.get(conflict["table_name"])
    cell = cell_now(session, conflict)
    context = None
    if live is not None and cell.exists:
        try:
            context = context_of(session, live, find_row(session, live, conflict["row_id"]))
        except UnknownError:
            cell = CellNow(exists=False)
    ours = cell.value if cell.exists and conflict["resolved_at"] is None else conflict["crm_value"]
    sides = (conflict["base_value"], ours, conflict["amo_value"])
    called = value_names(
        session, conflict["table_name"], conflict["column_name"], (v for v in sides if isinstance(v, (str, int)))
    )
    base, ours, theirs = (called.get(str(v), v) for v in sides)
    column = live.columns.get(conflict["column_name"]) if live else None
    return page.render(
        "conflict.html.j2",
        status=status,
        c=conflict,
        cell=cell,
        context=context,
        base=base,
        ours=ours,
        theirs=theirs,
        linked=bool(called),
        family=column.family if column else "text",
        how=_how(page, conflict),
        parameters=_parameters(which),
        next=next(iter(find_conflicts(session, which, after=conflict["id"], limit=1)), None),
        previous=next(iter(find_conflicts(session, which, before=conflict["id"], limit=1)), None),
        problem=problem,
        typed=typed,
        typed_ours=sides[1],
        is_value_empty=is_empty,
    )


def _how(page: Page, conflict: Row) -> str | None:
    """How a conflict was settled, and when; None while it is open."""
    if conflict["resolved_at"] is None:
        return None
    texts = page.texts
    how = f"{texts.of('resolution', conflict['resolution'])}, {texts.when(conflict['resolved_at'])}"
    return how if conflict["settled_by"] is None else f"{how}, {texts('in_run', n=conflict['settled_by'])}"


def settle(page: Page) -> Response:
    """Settle one conflict, and go on to the next. The second of two people is told."""
    session, number = page.session, int(page.in_path("conflict"))
    conflict = find_conflict(session, number)
    texts, take, typed = page.texts, page.given("take") or "", page.given("value") or ""
    if conflict["resolved_at"] is not None:
        return _show(page, conflict, status=409, problem=texts("settled_meanwhile", how=_how(page, conflict)))
    value = None
    if take == "value":
        live = session.table(conflict["table_name"])
        column = live.columns.get(conflict["column_name"])
        try:
            value = as_typed(typed, column.family if column else "text", column.length if column else None)
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
    which = replace(_filter(page), resolved=False)
    found = find_conflicts(session, which, after=number, limit=1) or find_conflicts(session, which, limit=1)
    place = f"/conflicts/{found[0]['id']}" if found else "/conflicts"
    return page.redirect(place, **_parameters(which), done=take, run=run, conflict=number)


def ask_bulk(page: Page) -> Response:
    """How many conflicts a decision would settle, and the first of them; nothing is changed."""
    take, which = page.given("take"), _bulk_filter(page)
    number, newest = settling.count_conflicts(page.session, which, COUNTED)
    return page.render(
        "bulk.html.j2",
        take="amo" if take == "amo" else "crm",
        ids=which.ids or [],
        number=number,
        up_to=which.up_to or newest,
        sample=_named(page, find_conflicts(page.session, which, limit=_SAMPLE)),
        parameters=_parameters(which),
    )


def settle_bulk(page: Page) -> Response:
    """Settle what `ask_bulk` showed: not what came since."""
    if page.given("confirmed") is None:
        return ask_bulk(page)
    take, which = page.given("take"), _bulk_filter(page)
    run, done = resolve(page.session, which, take if take in ("amo", "crm") else "")
    return page.redirect(
        "/conflicts",
        **{k: v for k, v in _parameters(which).items() if v},
        done="bulk" if run else "nothing",
        run=run,
        settled=done.settled,
        left=done.changed_since,
    )


def _bulk_filter(page: Page) -> Filter:
    which = replace(_filter(page), resolved=False, up_to=page.number("up_to"))
    return replace(which, ids=page.numbers("id")) if page.given("chosen") else which
