"""Values that their columns could not take, by table, column and code: the records, loading them again, discarding."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from target_crm.operations.accounts import cards_of
from target_crm.operations.cells import CellGroup, cells_of, discard_cells, find_cells, grouped_warnings, retry_cells
from target_crm.operations.session import Row
from target_crm.web.page import PER_PAGE, Page, link


def list_warnings(page: Page) -> Response:
    """The open warnings in groups, the largest first; with a group in the address its records one by one."""
    groups, chosen, after = grouped_warnings(page.session), _group(page), page.number("after") or 0
    found = cells_of(page.session, chosen, after=after, limit=PER_PAGE + 1) if chosen else []
    more = None
    if chosen and len(found) > PER_PAGE:
        found = found[:PER_PAGE]
        more = link("/warnings", **vars(chosen), after=found[-1]["id"]) + "#list"
    examples = find_cells(page.session, [number for group in groups for number in group["ids"]])
    known = {cell["id"]: cell for cell in _named(page, examples)}
    return page.render(
        "warnings.html.j2",
        groups=[
            {**g, "records": [known[n] for n in g["ids"] if n in known], "is_waiting": _is_waiting(g)} for g in groups
        ],
        chosen=chosen,
        cells=_named(page, found),
        more=more,
        is_first=not after,
    )


def _is_waiting(group: Row) -> bool:
    return CellGroup(group["table_name"], group["column_name"], group["code"]).is_waiting


def _group(page: Page) -> CellGroup | None:
    """The group that a page's parameters name."""
    table, column, code = (page.given(name) for name in ("table", "column", "code"))
    return CellGroup(table, column, code) if table and column and code else None


def _named(page: Page, cells: list[Row]) -> list[dict[str, Any]]:
    """Warnings with the names of their records and the addresses of their cards."""
    rows = [cell for cell in cells if cell["row_id"] is not None]
    names = page.shown.names(rows)
    cards = cards_of(page.session, page.accounts, [(c["table_name"], c["row_id"]) for c in rows])
    found = []
    for cell in cells:
        place = (cell["table_name"], cell["row_id"])
        name = page.shown.name(names, *place) if cell["row_id"] is not None else f"№ {cell['amo_id']}"
        card = cards.get(place) or page.accounts.card(cell["stream"], cell["account_id"], cell["amo_id"])
        found.append({**cell, "name": name, "card": card})
    return found


def try_again(page: Page) -> Response:
    """Load the records of a group again."""
    group = _group(page)
    if group is None:
        return page.redirect("/warnings", done="gone")
    run, tried, bad = retry_cells(page.session, group)
    return page.redirect("/warnings", done="cells_bad" if bad or not tried else "cells", run=run, tried=tried, bad=bad)


def discard(page: Page) -> Response:
    """Close the warnings of a group."""
    group = _group(page)
    closed = discard_cells(page.session, group) if group else 0
    return page.redirect("/warnings", done="cells_discarded" if closed else "gone", settled=closed)
