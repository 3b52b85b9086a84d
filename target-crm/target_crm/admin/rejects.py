"""rejects: list, retry, drop."""

from __future__ import annotations

import click

from target_crm.admin.common import console, plain_errors, print_json, session_of, short
from target_crm.operations import known
from target_crm.operations.rejects import drop, find_rejects, retry
from target_crm.presentation.terminal import Table
from target_crm.presentation.values import readable_json


@click.command()
@click.argument("ids", type=int, nargs=-1)
@click.option("--retry", "again", is_flag=True, help="Load them again; without numbers all open ones.")
@click.option("--drop", "reason", help="Close them for this reason.")
@click.option("--resolved", is_flag=True, help="Closed ones, too.")
@click.option("--after", default=0, help="Go on behind this reject.")
@click.option("--limit", default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True)
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
) -> None:
    """List records that were rejected, load them again, or drop them."""
    with session_of(context) as session:
        if ids:
            known.require_numbers(session, "sync_rejects", ids, are_open=again or reason is not None)
        if again:
            if not find_rejects(session, limit=1):
                click.echo("No reject is open.")
                return
            run, tried, bad = retry(session, list(ids) or None)
            click.echo(f"Run {run}: tried {tried}, still bad {bad}.")
            return
        if reason is not None:
            if not ids:
                msg = "--drop needs the numbers of rejects."
                raise click.UsageError(msg)
            click.echo(f"Dropped {drop(session, list(ids), reason)}.")
            return
        found = find_rejects(session, ids=list(ids) or None, resolved=resolved or bool(ids), after=after, limit=limit)
    if as_json:
        print_json(found)
        return
    table = Table("id", "run", "stream", "what is wrong", "record", "closed")
    for r in found:
        record = short(readable_json(r["record"]), 60)
        table.add_row(str(r["id"]), str(r["run_id"]), r["stream"] or "", r["error"], record, r["resolution"] or "")
    console.print(table)
