"""status, plan, explain, undo."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import IO, Any

import click
from psycopg.sql import SQL
from rich.text import Text

from target_crm.admin.common import console, database_name, name_database, plain_errors, print_json, session_of, short
from target_crm.admin.listing import Col, Listing, list_options, print_list
from target_crm.admin.lists import run_columns
from target_crm.admin.plans import plan_of_messages
from target_crm.admin.undone import print_undo
from target_crm.config.settings import Settings
from target_crm.errors import ConfigError
from target_crm.operations import explain as explaining
from target_crm.operations import history
from target_crm.operations import undo as undoing
from target_crm.operations.accounts import read_accounts
from target_crm.operations.cells import grouped_warnings
from target_crm.operations.health import Health, age_text, read_health
from target_crm.operations.labels import in_natural_order
from target_crm.operations.listed import count_up_to
from target_crm.operations.openmetrics import openmetrics
from target_crm.operations.plan_words import NamedPlan
from target_crm.operations.session import NothingYetError, open_session
from target_crm.plan.file import last_plan_file, read_plan_file
from target_crm.plan.journal import Plan
from target_crm.plan.text import print_plan
from target_crm.presentation.terminal import Table, visible
from target_crm.presentation.terminal import cell as as_cell
from target_crm.presentation.texts.rendering import problem_text, remedy_text


@click.command()
@click.option("--limit", default=10, show_default=True, help="How many runs.")
@list_options
@click.option("--openmetrics", "as_metrics", is_flag=True, help="For Prometheus: the state in the OpenMetrics format.")
@click.pass_context
@plain_errors
def status(context: click.Context, limit: int, as_json: bool, as_csv: bool, as_metrics: bool) -> None:
    """Whether all is well: the last complete sync, what is open; then the last runs and what each did by table."""
    settings = context.obj()
    if as_metrics:
        _print_metrics(context, settings)
        return
    try:
        with session_of(context) as session:
            found, health = history.find_runs(session, limit=limit), read_health(session)
            columns = run_columns(read_accounts(session).zone)
            found = [{**run, "counts": in_natural_order(session, run["counts"])} for run in found]
            warnings, total = grouped_warnings(session), count_up_to(session, "sync_runs", SQL("true"))
            if as_json:
                found = [{**run, "warnings": grouped_warnings(session, run["id"])} for run in found]
    except NothingYetError as nothing:
        name_database(settings)
        if as_json:
            print_json({"database": database_name(settings), "message": str(nothing), "runs": []})
        else:
            click.echo(visible(str(nothing)))
        return
    if as_csv:
        print_list(Listing(("run", "runs"), columns, found, total), as_csv=True)
        return
    if as_json:
        runs = [{**run, "notices": _with_texts(run["notices"])} for run in found]
        print_json({"database": database_name(settings), **health.as_dict(), "runs": runs})
        return
    _show_health(health)
    more = f"target-crm-admin runs --before {found[-1]['id']}" if total > len(found) and found else ""
    print_list(Listing(("run", "runs"), columns, found, total, more, "No run has been recorded yet."))
    if warnings:
        console.print(_warnings_table(warnings))


def _print_metrics(context: click.Context, settings: Settings) -> None:
    try:
        with session_of(context) as session:
            health = read_health(session)
    except NothingYetError:
        health = None
    click.echo(openmetrics(health, settings.crm_schema), nl=False)


def _warnings_table(groups: Sequence[dict[str, Any]]) -> Table:
    table = Table("table", "column", "values", "code", "for example", title="Open warnings: values left out")
    for g in groups:
        text = short(problem_text(g["code"], g["args"]), 80)
        table.add_row(g["table_name"], g["column_name"], f"{g['cells']:,}", g["code"], text)
    return table


def _with_texts(notices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**n, "text": problem_text(n["code"], n["args"]), "remedy": remedy_text(n["code"], n["args"])} for n in notices
    ]


def _show_health(health: Health) -> None:
    if not health.accounts:
        console.print(Text("There has been no complete sync yet.", style="bold red"))
    for account in health.accounts:
        whose = f" of account {account.account_id}" if len(health.accounts) > 1 else ""
        said = f"Last complete sync{whose}: {age_text(account.age_seconds)} ago (run {account.run})."
        if account.usual_interval is not None:
            said += f" Usually one every {age_text(account.usual_interval)}."
        style = "bold red" if account.is_stale else ""
        console.print(Text(f"{said} It is overdue." if account.is_stale else said, style=style))
    if health.last_run is not None and health.last_run not in {account.run for account in health.accounts}:
        console.print(Text(f"The last run, {health.last_run}, is {health.last_status}.", style="bold red"))
    console.print(
        f"Open: {health.conflicts:,} conflicts, {health.rejects:,} rejects, {health.warnings:,} warnings, "
        f"{health.proposals:,} proposals (target-crm-admin conflicts, rejects, warnings, proposals).",
        soft_wrap=True,
    )
    for gap in health.gaps:
        console.print(
            as_cell(f"Run {gap.run}: {gap.text} To close the gap: {gap.command}"), style="bold red", soft_wrap=True
        )


@click.command()
@click.argument("messages", type=click.File("r", encoding="utf-8"), required=False)
@click.option("--limit", default=200, show_default=True, help="How many entries of each kind; 0 for all.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
@plain_errors
def plan(context: click.Context, messages: IO[str] | None, limit: int, as_json: bool) -> None:
    """What the next load would change, from a file of Singer messages (- reads standard input).

    It is the load itself, rolled back. Without a file: the plan of the last dry run.
    """
    settings = replace(context.obj(), dry_run=True, plan_file=None)
    if messages is not None:
        found = plan_of_messages(settings, messages, limit)
    else:
        found = _last_plan(context.obj(), limit)
        with suppress(NothingYetError), open_session(settings) as session:
            found.words = NamedPlan(session, found)
    name_database(settings)
    if as_json:
        print_json(found.as_dict())
    else:
        print_plan(found, console, "--limit 0 shows all.")


def _last_plan(settings: Settings, limit: int) -> Plan:
    file = last_plan_file(settings)
    if file is None:
        raise ConfigError.of("E_PLAN_UNNAMED")
    return read_plan_file(file, limit)


@click.command()
@click.argument("table")
@click.argument("row")
@list_options
@click.pass_context
@plain_errors
def explain(context: click.Context, table: str, row: str, as_json: bool, as_csv: bool) -> None:
    """Where each value of a row comes from. ROW is the row's key, amo:ID or ACCOUNT/amo:ID."""
    with session_of(context) as session:
        found = explaining.explain(session, table, row)
    if as_json:
        print_json(asdict(found))
        return
    columns = (
        Col("column", lambda c: c["column"]),
        Col("value", lambda c: short(c["value"], 200)),
        Col("comes from", lambda c: c["origin"]),
        Col("amoCRM sent last", lambda c: short(c["amo_value"], 200), drop=1),
        Col("run", lambda c: str(c["run_id"] or ""), drop=2, is_number=True),
        Col("replaced", lambda c: short(c["replaced"], 200), drop=3),
        Col("policy", lambda c: c["policy"], drop=4),
    )
    if not as_csv:
        console.print(f"{found.table} {found.row_id}, in amoCRM {found.amo_id} (account {found.amo_account_id})")
        if found.amo_deleted_at:
            console.print(f"deleted in amoCRM at {found.amo_deleted_at}")
    cells = [asdict(cell) for cell in found.cells]
    print_list(Listing(("column", "columns"), columns, cells), as_csv=as_csv)


@click.command()
@click.argument("run", type=int)
@click.option("--preview", is_flag=True, help="Show what would be undone, without changing anything.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
@plain_errors
def undo(context: click.Context, run: int, preview: bool, as_json: bool) -> None:
    """Restore what RUN wrote, wherever nobody has changed it since."""
    with session_of(context) as session:
        done = undoing.preview_undo(session, run) if preview else undoing.take_back(session, run)[1]
        if not as_json:
            print_undo(session, run, done, is_preview=preview)
    if as_json:
        print_json({name: asdict(counts) for name, counts in done.counts.items()})
    sys.stdout.flush()
