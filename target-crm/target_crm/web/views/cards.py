"""Conflicts by record: a card with all of a record's conflicts, settled field by field or as a whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
from starlette.responses import Response

from target_crm.database.refusals import is_refusal
from target_crm.operations.cards import Card, conflicts_of, next_card, previous_card
from target_crm.operations.choices import entry_for, read_value
from target_crm.operations.conflicts import Choice, Filter, cell_now, count_conflicts, resolve_each
from target_crm.operations.explain import find_row
from target_crm.operations.records import Context, context_of
from target_crm.operations.session import Row, UnknownError
from target_crm.web.page import COUNTED, Page, link, refusal_text
from target_crm.web.views.conflicts import filter_of, parameters_of


def first(page: Page) -> Response:
    """The first card of the queue; the list where there is none."""
    which = replace(filter_of(page), resolved=False)
    card = next_card(page.session, which)
    return page.redirect(_address(card) if card else "/conflicts", **parameters_of(which))


def _address(card: Card) -> str:
    return f"/cards/{card.table}/{card.row_id}"


def show_card(page: Page) -> Response:
    """A record's open conflicts side by side."""
    return _show(page)


def _card(page: Page) -> Card:
    return Card(page.in_path("table"), page.in_path("row_id"))


def _queue(page: Page) -> tuple[Filter, dict[str, Any], int, int]:
    """The filter, its parameters, and how many conflicts were settled and skipped since the queue began."""
    which = replace(filter_of(page), resolved=False)
    settled, skipped = page.number("done_so_far") or 0, page.number("skipped") or 0
    return which, parameters_of(which), settled, skipped


def _show(
    page: Page, *, status: int = 200, problem: str | None = None, typed: dict[int, str] | None = None
) -> Response:
    session, card = page.session, _card(page)
    which, parameters, settled, skipped = _queue(page)
    found = conflicts_of(session, card)
    if not found and problem is None:
        after = next_card(session, which, card) or next_card(session, which)
        return page.redirect(_address(after) if after else "/conflicts", **parameters)
    page.shown.learn(found, "base_value", "crm_value", "amo_value")
    open_now, _ = count_conflicts(session, which, COUNTED)
    after, before = next_card(session, which, card), previous_card(session, which, card)
    kept = {"done_so_far": settled or None}
    return page.render(
        "card.html.j2",
        status=status,
        card=card,
        context=_context(page, card),
        rows=[_row(page, conflict, (typed or {}).get(conflict["id"], "")) for conflict in found],
        first_place=settled + skipped + 1,
        last_place=settled + skipped + len(found),
        total=settled + open_now,
        is_counted=open_now <= COUNTED,
        parameters=parameters,
        progress={**kept, "skipped": skipped or None},
        next=link(_address(after), **parameters, **kept, skipped=skipped + len(found)) if after else None,
        previous=link(_address(before), **parameters, **kept) if before else None,
        problem=problem,
    )


def _context(page: Page, card: Card) -> Context | None:
    live = page.session.tables.get(card.table)
    if live is None:
        return None
    try:
        return context_of(page.session, live, find_row(page.session, live, card.row_id), page.accounts)
    except UnknownError:
        return None


def _row(page: Page, conflict: Row, typed: str) -> dict[str, Any]:
    """A conflict with what its cell holds now and the field for another value."""
    cell = cell_now(page.session, conflict)
    ours = cell.value if cell.exists else conflict["crm_value"]
    entry = None
    if cell.exists:
        entry = entry_for(page.session, page.shown, conflict["table_name"], conflict["column_name"], ours)
    return {**conflict, "cell": cell, "ours": ours, "entry": entry, "typed": typed}


def settle_card(page: Page) -> Response:
    """Settle the card's conflicts that were decided, and go on to the next card."""
    session, card = page.session, _card(page)
    which, parameters, settled, skipped = _queue(page)
    found = {c["id"]: c for c in conflicts_of(session, card)}
    typed = {number: page.given(f"value-{number}") or "" for number in found}
    try:
        choices = _choices(page, found, typed)
    except ValueError as error:
        return _show(page, status=422, problem=page.texts(str(error)), typed=typed)
    if not choices:
        return _show(page, status=422 if found else 409, problem=page.texts("card_nothing" if found else "card_gone"))
    try:
        run, done = resolve_each(session, choices)
    except psycopg.Error as error:
        if not is_refusal(error):
            raise
        session.connection.rollback()
        return _show(page, status=422, problem=refusal_text(error, page.texts), typed=typed)
    if done.changed_since:
        said = page.texts("card_changed", settled=done.settled, left=done.changed_since)
        return _show(page, status=409, problem=said, typed=typed)
    after = card if len(choices) < len(found) else next_card(session, which, card) or next_card(session, which)
    progress = {"done_so_far": settled + done.settled, "skipped": skipped or None}
    return page.redirect(
        _address(after) if after else "/conflicts", **parameters, **progress, done="card", run=run, settled=done.settled
    )


def _choices(page: Page, found: dict[int, Row], typed: dict[int, str]) -> dict[int, Choice]:
    """What was decided, by conflict.

    Raises:
        ValueError: a typed value can be none of its column; a key of the texts.
    """
    choices = {}
    for number, conflict in found.items():
        take = page.given("all") or page.given(f"take-{number}")
        value = None
        if take == "value":
            value = read_value(page.session, page.shown, conflict["table_name"], conflict["column_name"], typed[number])
            if value is None:
                raise ValueError("typed_nothing")
        if take in ("amo", "crm", "value") and page.given(f"seen-{number}") is not None:
            choices[number] = Choice(take, value, page.given(f"seen-{number}"))
    return choices
