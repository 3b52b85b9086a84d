"""rejects: list, retry, drop."""

from __future__ import annotations

import click

from target_crm.admin.common import plain_errors, session_of, short
from target_crm.admin.listing import Col, Listing, cut, page_options, print_list, shown_in_english
from target_crm.operations import known
from target_crm.operations.listed import count_up_to, fits
from target_crm.operations.rejects import drop, find_rejects, read_record, record_name, retry
from target_crm.operations.session import Session
from target_crm.presentation.values import readable_json


@click.command()
@click.argument("ids", type=int, nargs=-1)
@click.option("--retry", "again", is_flag=True, help="Load them again; without numbers, all open ones.")
@click.option("--drop", "reason", help="Discard them and record this reason.")
@click.option("--resolved", is_flag=True, help="Closed ones, too.")
@page_options
@click.pass_context
@plain_errors
def rejects(
    context: click.Context,
    ids: tuple[int, ...],
    again: bool,
    reason: str | None,
    resolved: bool,
    after: int,
    limit: int,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List records that were rejected, load them again, or discard them."""
    with session_of(context) as session:
        if ids:
            known.require_numbers(session, "sync_rejects", ids, are_open=again or reason is not None)
        if again:
            if not find_rejects(session, limit=1):
                click.echo("No reject is open.")
                return
            run, tried, bad = retry(session, list(ids) or None)
            click.echo(f"Run {run}: tried again {tried:,}, still not loaded {bad:,}.")
            return
        if reason is not None:
            if not ids:
                msg = "--drop requires the numbers of rejects."
                raise click.UsageError(msg)
            click.echo(f"Discarded: {drop(session, list(ids), reason):,}.")
            return
        listing = _list(session, list(ids) or None, resolved or bool(ids), after, limit)
        print_list(listing, as_json=as_json, as_csv=as_csv)


def _list(session: Session, ids: list[int] | None, resolved: bool, after: int, limit: int) -> Listing:
    show = shown_in_english(session)
    found, more = cut(find_rejects(session, ids=ids, resolved=resolved, after=after, limit=limit + 1), limit)
    columns = (
        Col("id", lambda r: str(r["id"]), is_number=True),
        Col("stream", lambda r: r["stream"] or ""),
        Col("amoCRM id", lambda r: str(r["amo_id"] or ""), is_number=True),
        Col("record", lambda r: record_name(read_record(r["record"]))),
        Col("what is wrong", lambda r: show.problem(r)),
        Col("code", lambda r: r["code"] or "", drop=2),
        Col("run", lambda r: str(r["run_id"]), drop=3, is_number=True),
        Col("as received", lambda r: short(readable_json(r["record"]), 60), drop=4),
        Col("closed", lambda r: r["resolution"] or "", drop=1),
        Col("by", lambda r: r["resolved_by"] or "", drop=1),
    )
    return Listing(
        ("reject", "rejects"),
        columns,
        found,
        count_up_to(session, "sync_rejects", fits(resolved=resolved, id=ids)),
        more,
        "No such rejects." if resolved else "No reject is open.",
        "Load again: target-crm-admin rejects [ID ...] --retry; discard: rejects ID ... --drop REASON.",
    )
