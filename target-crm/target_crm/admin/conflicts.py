"""conflicts: list and resolve."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import click

from target_crm.admin.common import console, plain_errors, print_json, session_of, short
from target_crm.operations import history, known
from target_crm.operations.conflicts import RULES, TAKE, Filter, find_conflicts, resolve
from target_crm.operations.session import Session
from target_crm.presentation.terminal import Table


@click.command()
@click.argument("ids", type=int, nargs=-1)
@click.option("--table", help="Only of this table.")
@click.option("--column", help="Only of this column.")
@click.option("--run", type=int, help="Only those that this run recorded.")
@click.option("--rule", type=click.Choice(list(RULES)), help="Only those whose two values have this relation.")
@click.option("--resolved", is_flag=True, help="Settled ones, too.")
@click.option("--after", default=0, help="Go on behind this conflict.")
@click.option("--limit", default=50, show_default=True)
@click.option("--take", type=click.Choice(TAKE), help="Settle them: amoCRM's value, the CRM's, or --value.")
@click.option("--value", help="With --take value: JSON, or plain text.")
@click.option("--all", "everything", is_flag=True, help="With --take: all open ones that the filters leave.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
@plain_errors
def conflicts(context: click.Context, ids: tuple[int, ...], **given: Any) -> None:
    """List conflicts, or settle them with --take."""
    which = Filter(list(ids) or None, given["table"], given["column"], given["run"], given["resolved"], given["rule"])
    take = given["take"]
    if take is None:
        with session_of(context) as session:
            _require_known(session, which, are_open=False)
            if ids:
                which = replace(which, resolved=True)
            found = find_conflicts(session, which, after=given["after"], limit=given["limit"])
        _show(found, given["as_json"])
        return
    if not ids and not given["everything"]:
        msg = "--take needs the numbers of conflicts, or --all."
        raise click.UsageError(msg)
    if take == "value" and given["value"] is None:
        msg = "--take value needs --value."
        raise click.UsageError(msg)
    with session_of(context) as session:
        _require_known(session, which, are_open=True)
        run, done = resolve(session, which, take, _value(given["value"]))
    if given["as_json"]:
        print_json({"run": run, **vars(done)})
        return
    click.echo(f"Settled {done.settled}, written {done.written}, left since they had changed {done.changed_since}.")
    if run is not None:
        click.echo(f"This is run {run}; target-crm-admin undo {run} takes it back.")


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


def _show(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    table = Table("id", "table", "row", "column", "base", "CRM (kept)", "amoCRM", "run", "settled")
    for c in found:
        values = (short(c[k], 30) for k in ("base_value", "crm_value", "amo_value"))
        table.add_row(
            str(c["id"]), c["table_name"], c["row_id"], c["column_name"], *values, str(c["run_id"]), c["resolution"]
        )
    console.print(table)
    if found:
        click.echo("Settle: target-crm-admin conflicts ID ... --take amo|crm, or --all with filters.")
