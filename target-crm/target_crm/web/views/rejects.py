"""Rejects: what is wrong with them, trying them again, dropping them."""

from __future__ import annotations

import re

from starlette.responses import Response

from target_crm.operations.labels import natural_order
from target_crm.operations.rejects import (
    count_rejects,
    drop,
    find_rejects,
    grouped_rejects,
    read_record,
    record_name,
    retry,
)
from target_crm.operations.session import Row
from target_crm.presentation.values import readable_json
from target_crm.web.page import COUNTED, PER_PAGE, Page, link

_LONGEST_SHOWN = 20_000
_MOST_IN_A_GROUP = 1_000_000


def list_rejects(page: Page) -> Response:
    """The rejects that the filter leaves, the oldest first."""
    return _list(page)


def _list(page: Page, *, status: int = 200, problem: str | None = None) -> Response:
    chosen = {"stream": page.given("stream"), "run_id": page.number("run_id"), "resolved": page.given("resolved")}
    chosen["code"] = page.given("code")
    after = page.number("after") or 0
    found = find_rejects(
        page.session,
        stream=page.given("stream"),
        run=page.number("run_id"),
        code=page.given("code"),
        resolved=chosen["resolved"] is not None,
        after=after,
        limit=PER_PAGE + 1,
    )
    more = None
    if len(found) > PER_PAGE:
        found = found[:PER_PAGE]
        more = link("/rejects", **chosen, after=found[-1]["id"])
    return page.render(
        "rejects.html.j2",
        status=status,
        rejects=[described_reject(page, r) for r in found],
        open=count_rejects(page.session, COUNTED),
        groups=grouped_rejects(page.session),
        chosen=chosen,
        streams=[page.session.tables[t].mapping.stream for t in natural_order(page.session, page.session.tables)],
        problem=problem,
        more=more,
        is_first=not after,
    )


def described_reject(page: Page, reject: Row) -> Row:
    """A reject with the name and the card of its record, and how it was closed."""
    record = read_record(reject["record"])
    texts, how = page.texts, reject["resolution"] or ""
    told = re.fullmatch(r"(loaded|proposed) in run (\d+)", how)
    if told:
        how = texts(f"reject_{told[1]}", n=told[2])
    elif how.startswith("dropped: "):
        how = texts("reject_dropped", reason=how.removeprefix("dropped: "))
    elif how == "superseded":
        how = texts("reject_superseded")
    return {
        **reject,
        "record": _pretty(reject["record"]),
        "name": record_name(record),
        "card": page.accounts.card(reject["stream"], reject["account_id"], reject["amo_id"], record),
        "how": how,
    }


def _pretty(record: str | None) -> str:
    """A record on several lines. Very long ones are cut."""
    text = readable_json(record, indent=2)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def _group(page: Page) -> list[int] | None:
    """The open rejects of the group that a form names; None where it names none."""
    if page.given("group") is None:
        return None
    found = find_rejects(page.session, stream=page.given("stream"), code=page.given("code"), limit=_MOST_IN_A_GROUP)
    return [reject["id"] for reject in found]


def try_again(page: Page) -> Response:
    """Load one reject again, a group of them, or with `all` every open one."""
    number, group = page.number("id"), _group(page)
    if group is None and page.given("all") is None:
        group = [number] if number is not None and find_rejects(page.session, ids=[number], limit=1) else []
    if group == []:
        return page.redirect("/rejects", done="gone")
    page.session.connection.commit()
    run, tried, bad = retry(page.session, group)
    return page.redirect("/rejects", done="retry_bad" if bad else "retry", run=run, tried=tried, bad=bad)


def drop_some(page: Page) -> Response:
    """Close a reject, or a group of them, with a reason."""
    numbers, reason = _group(page), (page.given("reason") or "").strip()
    if not reason:
        return _list(page, status=422, problem=page.texts("drop_needs_reason"))
    closed = drop(page.session, [page.number("id") or 0] if numbers is None else numbers, reason)
    return page.redirect("/rejects", done="drop" if closed else "gone", settled=closed)
