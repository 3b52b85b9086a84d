"""written: the keys that a run wrote."""

from __future__ import annotations

import click

from target_crm.admin.common import plain_errors, print_json, session_of
from target_crm.admin.listing import Col, Listing, list_options, print_list
from target_crm.operations.written import written as find_written


@click.command()
@click.argument("run", type=int)
@click.option("--table", help="Only rows of this table.")
@list_options
@click.pass_context
@plain_errors
def written(context: click.Context, run: int, table: str | None, as_json: bool, as_csv: bool) -> None:
    """List the keys of the rows that a run wrote, for what the application works out from them itself.

    One row a line: table, key, and inserted, updated or removed, with tabs between.
    """
    with session_of(context) as session:
        found = find_written(session, run, table)
    if as_json:
        print_json({"run": run, "tables": found})
        return
    if as_csv:
        rows = [
            {"table": t, "row": key, "what": kind}
            for t, kinds in found.items()
            for kind, keys in kinds.items()
            for key in keys
        ]
        columns = (Col("table", lambda r: r["table"]), Col("row", lambda r: r["row"]), Col("what", lambda r: r["what"]))
        print_list(Listing(("row", "rows"), columns, rows), as_csv=True)
        return
    for name, kinds in found.items():
        for kind, keys in kinds.items():
            for key in keys:
                click.echo(f"{name}\t{key}\t{kind}")
