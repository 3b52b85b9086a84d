"""The commands `tap-amocrm-check` and `tap-amocrm-smoke`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from tap_amocrm import __version__
from tap_amocrm.config.environment import from_variables
from tap_amocrm.config.json_file import read_json_object
from tap_amocrm.config.settings import CONFIG_JSONSCHEMA, MAX_REQUESTS_PER_SECOND
from tap_amocrm.errors import TapError
from tap_amocrm.planning import explain, probes
from tap_amocrm.run_context import Run
from tap_amocrm.singer_io.command_line import read_config_file, refuse_unknown_variables
from tap_amocrm.tap import TapAmoCRM

_CONFIG = click.option("--config", type=click.Path(path_type=Path), help="JSON file with the tap's settings.")
_STATE = click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="State of the last run: what it knows.",
)


def tap_of(config: Path | None, state: Path | None = None, **overrides: Any) -> TapAmoCRM:
    """The tap with settings from a file, the environment (TAP_AMOCRM_...) over it, and options over both.

    Raises:
        TapError: a setting is missing or wrong, or a file is broken.
    """
    refuse_unknown_variables(os.environ)
    given = read_config_file(config) if config else {}
    remembered = read_json_object("--state", state, '{"bookmarks": {...}}') if state else None
    return TapAmoCRM(config={**given, **from_variables(os.environ, CONFIG_JSONSCHEMA), **overrides}, state=remembered)


def _fail(error: TapError) -> None:
    click.echo(f"Error: {error.message}", err=True)
    sys.exit(1)


@click.command()
@click.version_option(__version__)
@_CONFIG
@_STATE
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON.")
def check(config: Path | None, state: Path | None, as_json: bool) -> None:
    """Try credentials, rights and filters, and say how a full sync would be read and how long it would take.

    Makes some dozens of small requests under the same throttle as a sync, and writes nothing. Exit code 1 when the
    account can't be read.
    """
    try:
        run = tap_of(config, state).run
        findings, steps = _look(run)
    except TapError as error:
        _fail(error)
        return
    rate = run.settings.requests_per_second
    total = sum(step.requests for step in steps)
    if as_json:
        document = {
            "account": run.account.annotation(run.settings.api_url),
            "filter_package": run.account.filter_package,
            "findings": [vars(f) for f in findings],
            "plan": [{**vars(s), "seconds": round(explain.seconds(s.requests, rate), 1)} for s in steps],
            "requests": total,
            "seconds": round(explain.seconds(total, rate), 1),
        }
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    _print_check(run, findings, steps, total)


def _look(run: Run) -> tuple[list[probes.Finding], list[explain.Step]]:
    try:
        package = "yes" if run.account.filter_package else "no"
        findings = [
            probes.Finding("credentials", "yes", f"account {run.account.id} ({run.account.subdomain})"),
            probes.Finding("filter package", package, "" if package == "yes" else "whole lists are read newest first"),
            *probes.rights(run.client),
            *probes.filters(run.client),
        ]
        steps = list(explain.scoped(run.scope) if run.settings.scoped else explain.unscoped(run.client))
    finally:
        run.client.close()
    return findings, steps


def _print_check(run: Run, findings: list[probes.Finding], steps: list[explain.Step], total: int) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table("", "", "", title="What this account allows", title_justify="left", show_header=False)
    for finding in findings:
        colour = {"yes": "green", "no": "red"}.get(finding.outcome, "yellow")
        table.add_row(escape(finding.what), f"[{colour}]{finding.outcome}[/{colour}]", escape(finding.detail))
    console.print(table)
    rate = run.settings.requests_per_second
    what = "the scope" if run.settings.scoped else "the whole account"
    plan = Table("list", "strategy", title=f"A full sync of {what}", title_justify="left")
    plan.add_column("requests", justify="right")
    plan.add_column("seconds", justify="right")
    plan.add_column("instead of")
    for step in steps:
        plan.add_row(
            step.listing,
            step.strategy,
            f"{step.requests:,}",
            f"{explain.seconds(step.requests, rate):,.1f}",
            step.instead,
        )
    console.print(plan)
    console.print(
        f"About {total:,} requests, {explain.seconds(total, rate) / 60:,.1f} minutes at {rate:g} requests a second. "
        f"This check made {run.metrics.requests} requests."
    )


@click.command()
@click.version_option(__version__)
@_CONFIG
@click.option("--responsible-user-id", type=int, multiple=True, help="Companies of this user; may be repeated.")
@click.option("--limit", type=int, default=20, show_default=True, help="The first N companies.")
@click.option("--custom-field-id", type=int, help="Companies whose custom field of this ID ...")
@click.option("--custom-value", help="... holds this value.")
@click.option("--metrics-file", type=click.Path(dir_okay=False), help="Where the metrics go as JSON.")
def smoke(config: Path | None, limit: int, **given: Any) -> None:
    """Read a few companies with all their children, write nothing, and say what it cost."""
    overrides: dict[str, Any] = {"company_limit": limit}
    names = {
        "responsible_user_id": "responsible_user_ids",
        "custom_field_id": "company_custom_field_id",
        "custom_value": "company_custom_field_value",
        "metrics_file": "metrics_file",
    }
    for option, setting in names.items():
        if given[option] not in (None, ()):
            value = given[option]
            overrides[setting] = list(value) if isinstance(value, tuple) else value
    try:
        tap = tap_of(config, **overrides)
        counts = tap.count_records()
    except TapError as error:
        _fail(error)
        return
    document = tap.session.metrics.document()
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("stream", title=f"The first {limit} companies in scope and their children", title_justify="left")
    for column in ("records", "requests", "batches"):
        table.add_column(column, justify="right")
    for stream, records in counts.items():
        requests = document["requests_by_stream"].get(stream, 0)
        table.add_row(stream, f"{records:,}", str(requests), str(document["batches_by_stream"].get(stream, "")))
    console.print(table)
    without = document["requests_without_batching"]
    said = (
        f"{document['requests']} requests in {document['duration_seconds']:.1f} s, {document['average_rps']} a second "
        f"average, {document['peak_rps']} at most."
    )
    if without is not None:
        times = without / max(1, document["requests"])
        said += f" One request for each parent would have been {without} ({times:.1f} times as many)."
    console.print(f"{said} Nothing was written.")
    if document["peak_rps"] > MAX_REQUESTS_PER_SECOND:
        console.print(f"[red]Warning: more than {MAX_REQUESTS_PER_SECOND} requests left within one second.[/red]")
