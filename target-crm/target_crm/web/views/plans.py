"""What the next load would change: a plan, value by value, with what it leaves alone and why."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.responses import Response

from target_crm.operations.accounts import cards_of
from target_crm.operations.labels import hidden_columns, natural_order
from target_crm.operations.overview import done_by, told_of
from target_crm.operations.rejects import read_record, record_name
from target_crm.operations.session import Row
from target_crm.plan.file import last_plan_file
from target_crm.plan.index import SECTIONS, PlanIndex
from target_crm.web.page import PER_PAGE, Page, link
from target_crm.web.views.runs import record_of

_OF_RECORDS = ("proposal", "reject")


@lru_cache(maxsize=2)
def _index(version: tuple[Path, int, int]) -> PlanIndex:
    """The index of a plan file, by its path, time and size: when the file has changed, it is another one."""
    return PlanIndex(version[0])


def show_plan(page: Page) -> Response:
    """A section of the plan: the one of the address, else the first that is not empty."""
    file = last_plan_file(page.session.settings)
    if file is None or not file.exists():
        return page.render("plan.html.j2", plan=None)
    about = file.stat()
    plan = _index((file, about.st_mtime_ns, about.st_size))
    page.shown.coming = lambda key: _name_of_new(plan, key)
    tabs = _tabs(page, plan)
    section, table = _chosen(page, tabs)
    start = page.number("start") or 0
    found, has_more = plan.records(section, table, start, PER_PAGE)
    groups = [_named(page, entries) for entries in found]
    return page.render(
        "plan.html.j2",
        plan=plan,
        at=datetime.fromtimestamp(about.st_mtime, timezone.utc),
        told=told_of(page.texts, done_by({"counts": plan.counts})),
        tabs=tabs,
        section=section,
        chosen=table,
        groups=_with_cards(page, groups, section),
        keys=hidden_columns(page.session),
        more=link("/plan", section=section, table=table, start=start + PER_PAGE) if has_more else None,
        is_first=not start,
    )


def _tabs(page: Page, plan: PlanIndex) -> list[tuple[str, str, int]]:
    """Section, table and number of entries of what the plan has, in the order of the page."""
    return [
        (section, table, plan.sizes[section, table])
        for section in SECTIONS
        for table in natural_order(page.session, plan.tables(section))
    ]


def _chosen(page: Page, tabs: list[tuple[str, str, int]]) -> tuple[str, str]:
    wanted = (page.given("section"), page.given("table") or "")
    found = next((tab for tab in tabs if tab[:2] == wanted), tabs[0] if tabs else ("changed", "", 0))
    return found[0], found[1]


def _name_of_new(plan: PlanIndex, key: str) -> str:
    row = plan.new_row(key)
    return "" if row is None else record_name(row)


def _named(page: Page, entries: list[Row]) -> list[dict[str, Any]]:
    """The entries of one record with its name, and where its page is."""
    first = entries[0]
    if first["type"] in _OF_RECORDS:
        raw = first["record"]
        record = raw if isinstance(raw, dict) else read_record(raw)
        what = page.shown.labels.stream(first["stream"]) if first["stream"] else "–"
        return [{**first, "record": None, "name": record_name(record) or f"{what} № {first['amo_id'] or '–'}"}]
    if first["type"] == "warning":
        name = page.shown.name(page.shown.names(_rows(entries)), first["table_name"], first["row_id"] or "")
        return [{**e, "name": name, "record": (e["table_name"], e["row_id"]) if e["row_id"] else None} for e in entries]
    page.shown.learn((e for e in entries if e["type"] != "adopted"), *_sides(first))
    owner = record_of(page.session, {"old_value": None, **first})
    place = owner or (first["table_name"], first["row_id"])
    name = page.shown.name(page.shown.names([{"table_name": place[0], "row_id": place[1]}]), *place)
    return [{**e, "name": name, "record": owner} for e in entries]


def _rows(entries: list[Row]) -> list[Row]:
    return [e for e in entries if e["row_id"] is not None]


def _sides(entry: Row) -> tuple[str, ...]:
    return ("base_value", "crm_value", "amo_value") if "amo_value" in entry else ("old_value", "new_value")


def _with_cards(page: Page, groups: list[list[dict[str, Any]]], section: str) -> list[list[dict[str, Any]]]:
    """The groups with the addresses of their records' cards; of records without a row by their number in amoCRM."""
    places = [group[0]["record"] for group in groups if group[0]["record"]]
    known = cards_of(page.session, page.accounts, places)

    def card(entry: dict[str, Any]) -> str | None:
        if entry["record"]:
            return known.get(entry["record"])
        if section in _OF_RECORDS:
            return page.accounts.card(entry["stream"], entry["account_id"], entry["amo_id"])
        return None

    return [[{**entry, "card": card(entry)} for entry in group] for group in groups]
