"""proposals, tie, untie: records that are like rows, decided on by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from target_crm.admin.common import plain_errors, print_json, session_of, short
from target_crm.admin.listing import Col, Listing, cut, page_options, print_list
from target_crm.operations import known
from target_crm.operations.listed import count_up_to, fits
from target_crm.operations.proposals import decide, find_proposals, ignore, live_of, tie, untie
from target_crm.operations.records import names_of
from target_crm.operations.rejects import record_name
from target_crm.operations.session import Row, Session

_MOST_SHOWN = 3


@click.command()
@click.argument("ids", type=int, nargs=-1)
@click.option("--take", "row", help="The record is the row with this key (one proposal only).")
@click.option("--insert", is_flag=True, help="Insert a new row for each record.")
@click.option("--ignore", "ignored", is_flag=True, help="Leave the records out, in all later versions as well.")
@click.option("--stream", help="Only proposals of this stream.")
@click.option("--resolved", is_flag=True, help="Also list decided proposals.")
@page_options
@click.pass_context
@plain_errors
def proposals(context: click.Context, ids: tuple[int, ...], **given: Any) -> None:
    """List records that resemble existing rows, or decide on them."""
    row, insert, ignored = given["row"], given["insert"], given["ignored"]
    if sum((row is not None, insert, ignored)) > 1:
        msg = "--take, --insert and --ignore exclude one another."
        raise click.UsageError(msg)
    if row is None and not insert and not ignored:
        _list(context, ids, given)
        return
    if not ids or (row is not None and len(ids) > 1):
        msg = (
            ("--take requires the number of exactly one proposal.")
            if row is not None
            else "Name the numbers of proposals."
        )
        raise click.UsageError(msg)
    with session_of(context) as session:
        known.require_numbers(session, "sync_proposals", ids, are_open=ignored)
        if ignored:
            run, done = ignore(session, list(ids))
            runs = [run]
        else:
            runs, done = decide(session, dict.fromkeys(ids, row)), len(ids)
    if given["as_json"]:
        print_json({"run": runs[-1], "decided": done, "untied": runs[:-1]})
        return
    click.echo(f"Decided {done}. {_how_to_undo(runs)}")


def _how_to_undo(runs: Sequence[int]) -> str:
    """The commands that take runs back, the last first."""
    undo = " and ".join(f"target-crm-admin undo {run}" for run in reversed(runs))
    before = f", before it the record's old row was untied (run {', '.join(map(str, runs[:-1]))})" if runs[:-1] else ""
    return f"This is run {runs[-1]}{before}; {undo} takes it back."


def _list(context: click.Context, ids: tuple[int, ...], given: dict[str, Any]) -> None:
    with session_of(context) as session:
        if ids:
            known.require_numbers(session, "sync_proposals", ids, are_open=False)
        which = {"resolved": given["resolved"] or bool(ids), "stream": given["stream"]}
        limit, wanted = given["limit"], list(ids) or None
        found, more = cut(find_proposals(session, ids=wanted, after=given["after"], limit=limit + 1, **which), limit)
        rows = {one["id"]: _rows(session, one) for one in found}
        columns = (
            Col("id", lambda one: str(one["id"]), is_number=True),
            Col("record", lambda one: f"{one['stream']} amo:{one['amo_id']} {short(record_name(one['record']), 24)}"),
            Col("like by", lambda one: one["rule"] or "", drop=2),
            Col("rows", lambda one: rows[one["id"]]),
            Col("run", lambda one: str(one["run_id"]), drop=3, is_number=True),
            Col("decided", lambda one: one["resolution"] or "", drop=1),
        )
        listing = Listing(
            ("proposal", "proposals"),
            columns,
            found,
            count_up_to(session, "sync_proposals", fits(**which, id=wanted)),
            more,
            "No such proposals." if which["resolved"] else "No proposal is open.",
            "Decide: target-crm-admin proposals ID --take ROW, --insert or --ignore.",
        )
        print_list(listing, as_json=given["as_json"], as_csv=given["as_csv"])


def _rows(session: Session, one: Row) -> str:
    table = live_of(session, one["stream"]).mapping.table
    shown = one["candidates"][:_MOST_SHOWN]
    names = names_of(session, ((table, key) for key in shown))
    more = f", {len(one['candidates']) - len(shown)} more" if len(one["candidates"]) > len(shown) else ""
    return ", ".join(f"{short(key, 36)} {short(names.get((table, key), ''), 24)}".strip() for key in shown) + more


@click.command("tie")
@click.argument("table")
@click.argument("row")
@click.argument("record")
@click.pass_context
@plain_errors
def tie_command(context: click.Context, table: str, row: str, record: str) -> None:
    """Let RECORD (amo:ID, or ACCOUNT/amo:ID) be that of ROW, a key of TABLE; a row that it has is untied before."""
    with session_of(context) as session:
        runs = tie(session, table, row, record)
    click.echo(f"{record} is row {row} of {table}. {_how_to_undo(runs)}")


@click.command("untie")
@click.argument("table")
@click.argument("record")
@click.pass_context
@plain_errors
def untie_command(context: click.Context, table: str, record: str) -> None:
    """Take RECORD (amo:ID, or ACCOUNT/amo:ID) off its row of TABLE, which stays as it is."""
    with session_of(context) as session:
        run = untie(session, table, record)
    click.echo(
        f"{record} is untied; the next load gives it a new row, unless target-crm-admin proposals decides "
        f"otherwise. This is run {run}; target-crm-admin undo {run} takes it back."
    )
