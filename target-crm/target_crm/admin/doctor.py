"""doctor: whether a load can work, each line with its remedy."""

from __future__ import annotations

import sys

import click
from rich.text import Text

from target_crm.admin.common import database_name, plain_errors, print_json
from target_crm.operations.doctor import ERROR, Check, examine, is_configured, worst
from target_crm.presentation.terminal import cell, make_console

_COLOURS = {"ok": "green", "warning": "yellow", "error": "bold red"}


@click.command()
@click.option("--json", "as_json", is_flag=True)
@click.option(
    "--if-configured", is_flag=True, help="Print nothing if neither a database nor an embedded one is configured."
)
@click.pass_context
@plain_errors
def doctor(context: click.Context, as_json: bool, if_configured: bool) -> None:
    """Look at database, tables, mapping, rights, space, clock and the last syncs; nothing is written.

    Each line is ok, warning or error, with what to do. Exit code 1 where one is an error. tap-amocrm-check looks at
    amoCRM's side, and at this one as well.
    """
    settings = context.obj()
    if if_configured and not is_configured(settings):
        if as_json:
            print_json({"configured": False, "checks": []})
        return
    checks = []
    for check in examine(settings):
        checks.append(check)
        if not as_json:
            print_check(check)
    level = worst(checks)
    if as_json:
        document = {"configured": is_configured(settings), "database": database_name(settings), "level": level}
        print_json({**document, "checks": [vars(check) for check in checks]})
    if level == ERROR:
        sys.exit(1)


def print_check(check: Check) -> None:
    """One line: the level, what was looked at, what was found; the remedy below."""
    console = make_console()
    line = Text.assemble((f"{check.level:<8}", _COLOURS[check.level]), f" {check.what:<9} ", cell(check.text))
    console.print(line, soft_wrap=True)
    if check.remedy:
        console.print(Text(" " * 19 + "-> ").append_text(cell(check.remedy)), soft_wrap=True)
