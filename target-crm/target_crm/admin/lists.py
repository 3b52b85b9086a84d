"""runs, changes and warnings: lists of what happened."""

from __future__ import annotations

from datetime import timezone, tzinfo
from typing import Any

import click
from psycopg import sql

from target_crm.admin.common import plain_errors, session_of, short
from target_crm.admin.listing import Col, Listing, cut, list_options, page_options, print_list, shown_in_english
from target_crm.operations import history, known
from target_crm.operations.accounts import read_accounts
from target_crm.operations.labels import in_natural_order
from target_crm.operations.listed import count_up_to, find_listed, fits
from target_crm.operations.session import Row, Session
from target_crm.presentation.texts import Texts
from target_crm.presentation.texts.common import COMMON
from target_crm.presentation.texts.rendering import problem_text

_ENGLISH = Texts("en", COMMON)
_KINDS = ("load", "retry", "resolve", "decide", "undo", "untie")
_STATUSES = ("running", "succeeded", "incomplete", "failed", "interrupted")


def what_happened(run: Row) -> str:
    """What a run did by table, or why it failed, with its notices."""
    did = "; ".join(_counted(name, counts) for name, counts in run["counts"].items() if any(counts.values()))
    error = _ENGLISH.failure(run) if run["error"] else did
    return " ".join(filter(None, [error, *(problem_text(n["code"], n["args"]) for n in run["notices"])]))


def _counted(name: str, counts: dict[str, Any]) -> str:
    return f"{name}: " + ", ".join(f"{value:,} {what}" for what, value in counts.items() if value and what != "read")


def run_columns(zone: tzinfo | None) -> tuple[Col, ...]:
    """The columns of a list of runs; times are those of a zone, or of UTC."""
    return (
        Col("run", lambda r: str(r["id"]), is_number=True),
        Col("kind", lambda r: r["kind"]),
        Col(
            f"started ({zone or 'UTC'})",
            lambda r: f"{r['started_at'].astimezone(zone or timezone.utc):%Y-%m-%d %H:%M:%S}",
            drop=2,
        ),
        Col("seconds", lambda r: "" if r["seconds"] is None else f"{r['seconds']:.1f}", drop=3, is_number=True),
        Col("status", lambda r: r["status"]),
        Col("by", lambda r: r["made_by"] or "", drop=4),
        Col("what", what_happened),
    )


@click.command()
@click.option("--kind", type=click.Choice(_KINDS), help="Only of this kind.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only runs that ended with this status.")
@click.option("--before", type=int, help="Continue before this run.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1))
@list_options
@click.pass_context
@plain_errors
def runs(
    context: click.Context, kind: str | None, status: str | None, before: int | None, limit: int, **form: bool
) -> None:
    """List all runs, the last first: loads, retries, decisions, undos."""
    with session_of(context) as session:
        which = history.RunFilter(kind=kind, status=status)
        found, more = cut(history.find_runs(session, before=before, limit=limit + 1, which=which), limit, "--before")
        # The filter is over `run`.
        condition = sql.SQL("EXISTS (SELECT FROM {} AS run WHERE run.id = listed.id AND {})").format(
            session.control("sync_runs"), which.condition(session.connection, session.settings.crm_schema)
        )
        total = count_up_to(session, "sync_runs", condition)
        columns = run_columns(read_accounts(session).zone)
        found = [{**run, "counts": in_natural_order(session, run["counts"])} for run in found]
        print_list(Listing(("run", "runs"), columns, found, total, more, "No run matches."), **form)


@click.command()
@click.argument("run", type=int)
@click.option("--table", help="Only of this table.")
@click.option("--column", help="Only of this column; * for whole rows.")
@page_options
@click.pass_context
@plain_errors
def changes(
    context: click.Context, run: int, table: str | None, column: str | None, after: int, limit: int, **form: bool
) -> None:
    """List the values that RUN replaced, and the rows that it added or removed."""
    with session_of(context) as session:
        history.find_run(session, run)
        if column not in (None, "*"):
            known.require_column(session, table, column)
        found = history.find_changes(session, run, table=table, column=column, after=after, limit=limit + 1)
        condition = fits(resolved=True, run_id=run, table_name=table, column_name=column)
        listing = _changes(session, found, limit, count_up_to(session, "sync_changes", condition))
        print_list(listing, **form)


def _changes(session: Session, rows: list[Row], limit: int, total: int) -> Listing:
    show = shown_in_english(session)
    found, more = cut(rows, limit)
    names = show.names(found)
    show.learn(found, "old_value", "new_value")

    def value(change: Row, side: str) -> str:
        table, column = change["table_name"], change["column_name"]
        if column == "*":
            return short(show.whole(table, change[side]), 200) if change[side] is not None else ""
        return show.value(table, column, change[side])

    columns = (
        Col("id", lambda c: str(c["id"]), is_number=True),
        Col("record", lambda c: show.name(names, c["table_name"], c["row_id"])),
        Col("field", lambda c: show.table(c["table_name"]) + ("" if c["column_name"] == "*" else " · " + show.column(
            c["table_name"], c["column_name"]))),
        Col("was", lambda c: value(c, "old_value")),
        Col("became", lambda c: value(c, "new_value")),
        Col("column", lambda c: f"{c['table_name']}.{c['column_name']}", drop=1),
        Col("row", lambda c: c["row_id"], drop=2),
    )  # fmt: skip
    return Listing(("change", "changes"), columns, found, total, more, "No change matches.")


@click.command()
@click.option("--run", type=int, help="Only warnings that this run wrote.")
@click.option("--code", help="Only with this code: W_NOT_A_NUMBER ...")
@click.option("--table", help="Only of this table.")
@click.option("--resolved", is_flag=True, help="Closed ones, too.")
@page_options
@click.pass_context
@plain_errors
def warnings(
    context: click.Context,
    run: int | None,
    code: str | None,
    table: str | None,
    resolved: bool,
    after: int,
    limit: int,
    **form: bool,
) -> None:
    """List values that their columns could not take, and records that wait."""
    with session_of(context) as session:
        if run is not None:
            history.find_run(session, run)
        condition = fits(resolved=resolved, run_id=run, code=code, table_name=table)
        found, more = cut(find_listed(session, "sync_warnings", condition, after=after, limit=limit + 1), limit)
        total = count_up_to(session, "sync_warnings", condition)
        show = shown_in_english(session)
        names = show.names([row for row in found if row["row_id"]])
        columns = (
            Col("id", lambda w: str(w["id"]), is_number=True),
            Col(
                "record", lambda w: names.get((w["table_name"], w["row_id"] or ""), f"{w['stream']} amo:{w['amo_id']}")
            ),
            Col("field", lambda w: show.cell(w["table_name"], w["column_name"])),
            Col("amoCRM's value", lambda w: short(w["value"], 60)),
            Col("what is wrong", lambda w: show.problem(w)),
            Col("code", lambda w: w["code"], drop=1),
            Col("amoCRM id", lambda w: str(w["amo_id"]), drop=2, is_number=True),
            Col("run", lambda w: str(w["run_id"]), drop=3, is_number=True),
        )
        empty = "No such warnings." if resolved else "No warning is open."
        print_list(Listing(("warning", "warnings"), columns, found, total, more, empty), **form)
