"""Proposals: records that are like rows, put beside them one by one, or decided in bulk by their ИНН."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.responses import Response

from target_crm.operations.accounts import page_of
from target_crm.operations.beside import Beside, Line, beside, constraint_of, inn_columns, is_open, neighbour, same_inn
from target_crm.operations.known import unknown_numbers
from target_crm.operations.labels import natural_order
from target_crm.operations.proposals import decide, find_proposals, ignore
from target_crm.operations.records import names_of
from target_crm.operations.rejects import record_name
from target_crm.operations.session import Row, UnknownError
from target_crm.presentation.differences import Difference, Part
from target_crm.web.page import COUNTED, PER_PAGE, Page, link

# So many candidates fit beside one another, and have keys of their own.
_BESIDE = 4
_NAMED = 3
_SAMPLE = 10
_LONGEST = 32_000


def list_proposals(page: Page) -> Response:
    """The proposals that the filter leaves, the oldest first."""
    stream, resolved, after = page.given("stream"), page.given("resolved"), page.number("after") or 0
    found = find_proposals(page.session, stream=stream, resolved=resolved is not None, after=after, limit=PER_PAGE + 1)
    more = None
    if len(found) > PER_PAGE:
        found = found[:PER_PAGE]
        more = link("/proposals", stream=stream, resolved=resolved, after=found[-1]["id"])
    tables = page.session.tables
    return page.render(
        "proposals.html.j2",
        proposals=_described(page, found),
        stream=stream,
        resolved=resolved is not None,
        streams=[tables[name].mapping.stream for name in natural_order(page.session, tables)],
        first_open=neighbour(page.session, 0, stream),
        has_inn=any(inn_columns(live) for live in tables.values()),
        more=more,
        is_first=not after,
    )


def _described(page: Page, found: Iterable[Row]) -> list[Row]:
    """Proposals with the names of record and candidates, the rule in words, and what was decided."""
    tables = {live.mapping.stream: table for table, live in page.session.tables.items()}
    proposals = list(found)
    wanted = [
        (tables[p["stream"]], key) for p in proposals if p["stream"] in tables for key in p["candidates"][:_NAMED]
    ]
    names = names_of(page.session, wanted)
    described = []
    for one in proposals:
        table = tables.get(one["stream"])
        rows = [page.shown.name(names, table, key) for key in one["candidates"][:_NAMED]] if table else []
        described.append(
            {
                **one,
                "name": _record_name(page, one),
                "rows": rows,
                "others": len(one["candidates"]) - len(rows),
                "by": _rule(page, one, table),
                "how": _how(page, one),
            }
        )
    return described


def _record_name(page: Page, proposal: Row) -> str:
    what = page.shown.labels.stream(proposal["stream"])
    return record_name(proposal["record"]) or page.texts("row_unnamed", what=what)


def _rule(page: Page, proposal: Row, table: str | None) -> str:
    """By what the record is like the rows, in the words of the page."""
    rule = proposal["rule"]
    if rule is None or table is None:
        return page.texts("proposal_no_rule")
    if constraint_of(rule) is not None:
        return page.texts("proposal_constraint")
    return ", ".join(page.shown.column(table, name) for name in rule.split(", "))


def _how(page: Page, proposal: Row) -> str | None:
    if proposal["resolved_at"] is None:
        return None
    return f"{page.texts.of('proposal', proposal['resolution'])}, {page.texts.when(proposal['resolved_at'])}"


def _find(page: Page, number: int) -> Row:
    found = find_proposals(page.session, ids=[number], resolved=True, limit=1)
    if not found:
        raise unknown_numbers(page.session, "sync_proposals", [number])
    return found[0]


def show_proposal(page: Page) -> Response:
    """A record beside its candidates."""
    return _show(page, _find(page, int(page.in_path("proposal"))))


def _start(page: Page, proposal: Row) -> int:
    start = page.number("from") or 0
    return start if start < len(proposal["candidates"]) else 0


def _show(page: Page, proposal: Row, *, status: int = 200, problem: str | None = None) -> Response:
    start, stream, number = _start(page, proposal), page.given("stream"), proposal["id"]
    found = beside(page.session, proposal, start, _BESIDE)
    table = found.live.mapping.table
    names = names_of(page.session, ((table, c.row_id) for c in found.candidates))
    here = f"/proposals/{number}"
    rest, after = start + _BESIDE, neighbour(page.session, number, stream)
    before = neighbour(page.session, number, stream, back=True)
    return page.render(
        "proposal.html.j2",
        status=status,
        proposal=proposal,
        table=table,
        name=_record_name(page, proposal),
        card=page.accounts.card(proposal["stream"], proposal["account_id"], proposal["amo_id"], proposal["record"]),
        by=_rule(page, proposal, table),
        how=_how(page, proposal),
        is_open=is_open(proposal),
        can_add=found.can_add,
        candidates=[
            {
                "row_id": c.row_id,
                "name": page.shown.name(names, table, c.row_id),
                "is_gone": c.row is None,
                "is_taken": c.is_taken,
                "page": page_of(found.live, c.row) if c.row else None,
            }
            for c in found.candidates
        ],
        lines=_lines(page, found),
        seen=found.fingerprint,
        start=start,
        stream=stream,
        others=link(here, **{"from": rest, "stream": stream}) if rest < len(proposal["candidates"]) else None,
        first=link(here, stream=stream) if start else None,
        next=link(f"/proposals/{after}", stream=stream) if after else None,
        previous=link(f"/proposals/{before}", stream=stream) if before else None,
        problem=problem,
    )


def _lines(page: Page, found: Beside) -> list[dict[str, Any]]:
    table = found.live.mapping.table
    entries = [
        {"table_name": table, "column_name": line.column, "value": value}
        for line in found.lines
        for value in (line.theirs, *line.ours)
    ]
    page.shown.learn(entries, "value")
    return [
        {
            "column": line.column,
            "theirs": line.theirs,
            "ours": [_cell(page, table, line, place) for place in range(len(line.ours))],
        }
        for line in found.lines
    ]


def _cell(page: Page, table: str, line: Line, place: int) -> dict[str, Any]:
    """A candidate's value; what differs from the record's is marked, all of it where no words are shared."""
    shown, value = page.shown, line.ours[place]
    texts = [shown.value(table, line.column, one, _LONGEST) for one in (value, line.theirs)]
    is_same = line.same[place] or texts[0] == texts[1]
    difference = shown.difference(table, line.column, value, line.theirs)
    if is_same:
        difference = Difference([Part(part.text, False) for part in difference.parts])
    elif not any(part.differs for part in difference.parts):
        difference = Difference([Part(part.text, True) for part in difference.parts], difference.hint)
    return {"value": value, "is_same": is_same, "difference": difference}


def settle(page: Page) -> Response:
    """Decide on one record, and go on to the next. A form that shows what is no longer so decides nothing."""
    session, take = page.session, page.given("take") or ""
    proposal = _find(page, int(page.in_path("proposal")))
    number, row = proposal["id"], take.removeprefix("row:") if take.startswith("row:") else None
    if not is_open(proposal):
        return _show(page, proposal, status=409, problem=page.texts("proposal_decided", how=_how(page, proposal)))
    found = beside(session, proposal, _start(page, proposal), _BESIDE)
    if (page.given("seen") or "") != found.fingerprint:
        return _show(page, proposal, status=409, problem=page.texts("proposal_changed"))
    is_known = row in [c.row_id for c in found.candidates]
    if take == "ignore" and proposal["resolved_at"] is None:
        done, (run, _) = "left_out", ignore(session, [number])
    elif is_known or (take == "insert" and found.can_add):
        try:
            *_, run = decide(session, {number: row})
        except UnknownError as error:
            return _refused(page, number, error)
        done = "matched" if is_known else "inserted"
        if _find(page, number)["resolution"] not in ("take", "insert"):
            return page.redirect("/proposals", done="match_bad", run=run)
    else:
        return _show(page, proposal, status=422, problem=page.texts("proposal_nothing"))
    stream = page.given("stream")
    after = neighbour(session, number, stream) or neighbour(session, 0, stream)
    return page.redirect(
        f"/proposals/{after}" if after else "/proposals", stream=stream, done=done, run=run, proposal=number
    )


def _refused(page: Page, number: int, error: UnknownError) -> Response:
    """Somebody decided, or the row went away, while the form was on its way."""
    page.session.connection.rollback()
    problem = error.text(page.texts.language) or page.texts("proposal_changed")
    return _show(page, _find(page, number), status=409, problem=problem)


def settle_bulk(page: Page) -> Response:
    """Show for which records exactly one candidate has their ИНН; when confirmed, take those that were shown."""
    session, stream = page.session, page.given("stream")
    waiting = find_proposals(session, stream=stream, limit=COUNTED)
    found = same_inn(session, waiting)
    if page.given("confirmed") is None:
        sample = [one for one in waiting if one["id"] in found][:_SAMPLE]
        return page.render(
            "proposals_bulk.html.j2",
            pairs=[f"{number}:{row}" for number, row in found.items()],
            sample=_sample(page, sample, found),
            stream=stream,
        )
    shown = [pair.partition(":") for pair in page.form.get("pair", [])]
    asked = {int(number): row for number, _, row in shown if number.isascii() and number.isdigit() and len(number) < 19}
    chosen = {number: row for number, row in asked.items() if found.get(number) == row}
    if not chosen:
        return page.redirect("/proposals", stream=stream, done="match_none")
    *_, run = decide(session, chosen)
    taken = find_proposals(session, ids=list(chosen), resolved=True, limit=len(chosen))
    settled = sum(one["resolution"] == "take" for one in taken)
    return page.redirect(
        "/proposals", stream=stream, done="matched_bulk", run=run, settled=settled, left=len(asked) - settled
    )


def _sample(page: Page, proposals: Iterable[Row], found: dict[int, str]) -> list[dict[str, Any]]:
    tables = {live.mapping.stream: table for table, live in page.session.tables.items()}
    some = list(proposals)
    names = names_of(page.session, ((tables[one["stream"]], found[one["id"]]) for one in some))
    return [
        {
            "stream": one["stream"],
            "name": _record_name(page, one),
            "table": tables[one["stream"]],
            "row_id": found[one["id"]],
            "row": page.shown.name(names, tables[one["stream"]], found[one["id"]]),
        }
        for one in some
    ]
