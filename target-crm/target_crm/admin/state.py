"""state: the bookmark that the CRM's database holds."""

from __future__ import annotations

import json
from typing import IO

import click

from target_crm.admin.common import plain_errors, say_error, session_of
from target_crm.operations.session import NothingYetError
from target_crm.operations.states import last_state, put_state

_TAP = "tap-amocrm"


@click.command()
@click.option("--account", type=int, help="The account, if several accounts load into the schema.")
@click.option("--tap", help=f"The tap, if several taps read the account.  [--put: {_TAP}]")
@click.option(
    "--put", "given", type=click.File("r", encoding="utf-8"), help="Store this state instead; - reads standard input."
)
@click.pass_context
@plain_errors
def state(context: click.Context, account: int | None, tap: str | None, given: IO[str] | None) -> None:
    """Print the state from which the next sync continues, for `tap-amocrm --state`.

    target-crm writes it into the CRM's database in the transaction that ends a batch: rows and state can't part, and a
    pair runs on any machine. {} before the first sync.
    """
    if given is not None:
        if account is None:
            raise click.UsageError("--put needs --account.")
        try:
            value = json.load(given)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            say_error(f"{given.name} holds no state: a JSON object is expected.")
            context.exit(1)
        with session_of(context) as session:
            put_state(session, account, tap or _TAP, value)
        return
    try:
        with session_of(context) as session:
            found = last_state(session, account, tap)
    except NothingYetError:
        found = None
    click.echo(json.dumps(found or {}, ensure_ascii=False))
