"""conflicts: list and resolve."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from target_crm.admin.common import plain_errors, print_json, session_of
from target_crm.admin.listing import Col, Listing, cut, page_options, print_list, shown_in_english
from target_crm.operations import history, known
from target_crm.operations.conflicts import TAKE, Filter, count_conflicts, find_conflicts, resolve
from target_crm.operations.listed import MOST_COUNTED
from target_crm.operations.session import Row, Session
from target_crm.sql.conflicts import RULES


@click.command()
@click.argument("ids", type=int, nargs=-1)
@click.option("--table", help="Only of this table.")
@click.option("--column", help="Only of this column.")
@click.option("--run", type=int, help="Only conflicts that this run recorded.")
@click.option("--rule", type=click.Choice(list(RULES)), help="Only conflicts whose two values differ in this way.")
@click.option("--resolved", is_flag=True, help="Settled ones, too.")
@click.option("--take", type=click.Choice(TAKE), help="Resolve them with amoCRM's value, the CRM's, or --value.")
@click.option("--value", help="With --take value: JSON, or plain text.")
@click.option("--all", "everything", is_flag=True, help="With --take: all open conflicts that match the filters.")
@page_options
@click.pass_context
@plain_errors
def conflicts(context: click.Context, ids: tuple[int, ...], **given: Any) -> None:
    """List conflicts, or resolve them with --take."""
    which = Filter(list(ids) or None, given["table"], given["column"], given["run"], given["resolved"], given["rule"])
    take = given["take"]
    if take is None:
        with session_of(context) as session:
            _require_known(session, which, are_open=False)
            if ids:
                which = replace(which, resolved=True)
            listing = _list(session, which, given["after"], given["limit"])
            print_list(listing, as_json=given["as_json"], as_csv=given["as_csv"])
        return
    if not ids and not given["everything"]:
        msg = "--take requires the numbers of conflicts, or --all."
        raise click.UsageError(msg)
    if take == "value" and given["value"] is None:
        msg = "--take value requires --value."
        raise click.UsageError(msg)
    with session_of(context) as session:
        _require_known(session, which, are_open=True)
        run, done = resolve(session, which, take, _value(given["value"]))
    if given["as_json"]:
        print_json({"run": run, **vars(done)})
        return
    skipped = f" Skipped because they had changed: {done.changed_since:,}." if done.changed_since else ""
    click.echo(f"{done.settled:,} conflict{'' if done.settled == 1 else 's'} resolved.{skipped}")
    if run is not None:
        click.echo(f"Run {run}; to undo it: target-crm-admin undo {run}")


def _require_known(session: Session, which: Filter, *, are_open: bool) -> None:
    """Refuse numbers and names that there are not, before anything is done."""
    known.require_column(session, which.table, which.column)
    if which.run is not None:
        history.find_run(session, which.run)
    if which.ids is not None:
        known.require_numbers(session, "sync_conflicts", which.ids, are_open=are_open)


def _value(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _list(session: Session, which: Filter, after: int, limit: int) -> Listing:
    show = shown_in_english(session)
    found, more = cut(find_conflicts(session, which, after=after, limit=limit + 1), limit)
    total, _ = count_conflicts(session, which, MOST_COUNTED)
    names = show.names(found)
    show.learn(found, "base_value", "crm_value", "amo_value")

    def value(side: str) -> Callable[[Row], str]:
        return lambda c: show.value(c["table_name"], c["column_name"], c[side]) or "(empty)"

    columns = (
        Col("id", lambda c: str(c["id"]), is_number=True),
        Col("record", lambda c: show.name(names, c["table_name"], c["row_id"])),
        Col("field", lambda c: show.cell(c["table_name"], c["column_name"])),
        Col("amoCRM before", value("base_value"), drop=4),
        Col("CRM (kept)", value("crm_value")),
        Col("amoCRM", value("amo_value")),
        Col("column", lambda c: f"{c['table_name']}.{c['column_name']}", drop=2),
        Col("row", lambda c: c["row_id"], drop=3),
        Col("run", lambda c: str(c["run_id"]), drop=5, is_number=True),
        Col("resolved", lambda c: c["resolution"] or "", drop=1),
    )
    return Listing(
        ("conflict", "conflicts"),
        columns,
        found,
        total,
        more,
        "No such conflicts." if which.resolved else "No conflict is open.",
        "Resolve: target-crm-admin conflicts ID ... --take amo|crm, or --all with filters.",
        [{**c, "record_name": show.name(names, c["table_name"], c["row_id"])} for c in found],
    )
