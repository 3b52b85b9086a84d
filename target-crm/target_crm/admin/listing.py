"""How lists are shown: tables that fit the terminal, plain columns in a pipe, JSON, CSV, and how much is left out."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from target_crm.admin.common import console, print_json
from target_crm.operations.accounts import read_accounts
from target_crm.operations.listed import MOST_COUNTED
from target_crm.operations.session import Row, Session
from target_crm.operations.shown import Shown
from target_crm.presentation.columns import Col, print_table
from target_crm.presentation.spreadsheet import as_text
from target_crm.presentation.terminal import cell
from target_crm.presentation.texts import Texts
from target_crm.presentation.texts.common import COMMON

__all__ = ["Col", "Listing", "cut", "list_options", "page_options", "print_list", "shown_in_english"]


@dataclass(frozen=True)
class Listing:
    """Rows with their columns.

    Args:
        what: What one row and several are called: conflict, conflicts.
        total: How many there are, counted up to 10,001; None where all are shown.
        next_option: What shows the next ones; empty where there are none.
        empty: What no rows mean.
        hint: What can be done with them.
    """

    what: tuple[str, str]
    columns: Sequence[Col]
    rows: Sequence[Row]
    total: int | None = None
    next_option: str = ""
    empty: str = ""
    hint: str = ""
    documents: Sequence[Any] | None = field(default=None)


def list_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--json and --csv."""
    command = click.option("--csv", "as_csv", is_flag=True, help="As CSV, for spreadsheets.")(command)
    return click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")(command)


def page_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--after, --limit, --json and --csv."""
    command = list_options(command)
    command = click.option("--limit", default=50, show_default=True, type=click.IntRange(1))(command)
    return click.option("--after", default=0, help="Continue after this number.")(command)


def shown_in_english(session: Session) -> Shown:
    """Names and values as the commands show them."""
    accounts = read_accounts(session)
    return Shown(session, Texts("en", COMMON, accounts.zone), accounts)


def cut(found: Sequence[Row], limit: int, option: str = "--after") -> tuple[list[Row], str]:
    """At most `limit` rows of `limit` + 1, and the option that shows the next ones."""
    shown = list(found[:limit])
    return shown, f"{option} {shown[-1]['id']}" if len(found) > limit else ""


def print_list(listing: Listing, *, as_json: bool = False, as_csv: bool = False) -> None:
    """Print the list; with JSON and CSV what is left out is said on standard error."""
    if as_json:
        print_json(list(listing.documents if listing.documents is not None else listing.rows))
    elif as_csv:
        _print_csv(listing)
    elif listing.rows:
        left = print_table(console, listing.columns, listing.rows)
        if left:
            click.echo(f"Too narrow for: {', '.join(left)} (--csv has all).")
    said = _summary(listing)
    if said:
        click.echo(said, err=as_json or as_csv)
    if listing.rows and listing.hint and not as_json and not as_csv:
        click.echo(listing.hint)


def _summary(listing: Listing) -> str:
    number = len(listing.rows)
    if not number:
        return listing.empty
    total = number if listing.total is None else listing.total
    if not listing.next_option and total <= number:
        return f"{number:,} {listing.what[number != 1]}."
    counted = f"{total:,}" if total <= MOST_COUNTED else f"more than {MOST_COUNTED:,}"
    rest = f"next: {listing.next_option}" if listing.next_option else "these are the last"
    return f"{number:,} of {counted} {listing.what[1]}; {rest}"


def _print_csv(listing: Listing) -> None:
    lines = csv.writer(sys.stdout, lineterminator="\n")
    lines.writerow([column.name for column in listing.columns])
    for row in listing.rows:
        cells = [cell(column.text(row)).plain for column in listing.columns]
        lines.writerow([as_text(text) for text in cells])
