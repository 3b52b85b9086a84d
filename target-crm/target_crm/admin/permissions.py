"""allow: let the next load do what a guard stopped a run from."""

from __future__ import annotations

import click

from target_crm.admin.common import console, plain_errors, print_json, session_of
from target_crm.operations.permissions import allow_once, find_permissions, revoke
from target_crm.presentation.terminal import Table


@click.command()
@click.argument("run", type=int, required=False)
@click.option("--revoke", "number", type=int, help="Revoke a permission that no run has used.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
@plain_errors
def allow(context: click.Context, run: int | None, number: int | None, as_json: bool) -> None:
    """Let the next load do what a limit stopped RUN from, once.

    The limits are max_deletes_percent, max_changes_percent and max_bad_records.

    Without a run: the permissions, who gave them, and which run used them.
    """
    with session_of(context) as session:
        if run is not None:
            given = allow_once(session, run)
            click.echo(
                f"Allowed once (permission {given}): the next load goes through. allow --revoke {given} ends it."
            )
        elif number is not None:
            done = revoke(session, number)
            click.echo(f"Permission {number} is revoked." if done else f"No run waits for permission {number}.")
        elif as_json:
            print_json(find_permissions(session))
        else:
            table = Table("permission", "guard", "table", "column", "rows", "after run", "made by", "state")
            for p in find_permissions(session):
                state = "revoked" if p["revoked_at"] else f"used by run {p['used_by']}" if p["used_by"] else "waits"
                rows = "any" if p["most"] is None else f"{p['most']:,}"
                cells = (p["id"], p["code"], p["table_name"], p["column_name"] or "", rows, p["failed_run"])
                table.add_row(*map(str, cells), p["made_by"] or "", state)
            console.print(table)
