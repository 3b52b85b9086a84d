"""Standing rules: what past decisions suggest, those that are stored, switching one off."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from target_crm.operations.permissions import find_permissions
from target_crm.operations.rules import (
    CONDITIONS,
    TAKES,
    Draft,
    add_rule,
    apply_rules,
    draft,
    effect_of,
    find_rules,
    suggestions,
    switch_off,
)
from target_crm.web.page import Page


def list_rules(page: Page) -> Response:
    """The stored rules, what decisions suggest, and a form for another one with a preview of what it would decide."""
    asked = None
    table, _, column = (page.given("cell") or "").partition("|")
    if table and column:
        asked = _told(page, draft(page.session, table, column, page.given("condition") or "", page.given("take") or ""))
    cells = [
        (f"{name}|{c.name}", page.shown.cell(name, c.name))
        for name, live in page.session.tables.items()
        if not live.mapping.match_only
        for c in live.mapping.columns
    ]
    return page.render(
        "rules.html.j2",
        rules=find_rules(page.session),
        permissions=find_permissions(page.session),
        offered=[_told(page, rule) for rule in suggestions(page.session)],
        asked=asked,
        chosen=page.given("cell"),
        condition=page.given("condition"),
        take=page.given("take"),
        cells=sorted(cells, key=lambda c: c[1]),
        conditions=CONDITIONS,
        takes=TAKES,
    )


def _told(page: Page, rule: Draft) -> dict[str, Any]:
    return {"rule": rule, "effect": effect_of(page.session, rule)}


def make_rule(page: Page) -> Response:
    """Store a rule, and decide by it what is open now if that was asked for."""
    given = [page.given(name) or "" for name in ("table", "column", "condition", "take")]
    number = add_rule(page.session, draft(page.session, given[0], given[1], given[2], given[3]))
    settled = apply_rules(page.session, only=number) if page.given("now") else 0
    return page.redirect("/rules", done="rule", settled=settled)


def end_rule(page: Page) -> Response:
    """Switch a rule off."""
    done = switch_off(page.session, page.number("id") or 0)
    return page.redirect("/rules", done="rule_off" if done else "gone")
