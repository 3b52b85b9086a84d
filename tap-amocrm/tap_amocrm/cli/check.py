"""The command `tap-amocrm-check`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tap_amocrm import __version__
from tap_amocrm.cli import other_side
from tap_amocrm.cli.common import CONFIG, fail, open_tap
from tap_amocrm.errors import TapError
from tap_amocrm.planning import explain, probes
from tap_amocrm.planning.probes import Finding
from tap_amocrm.run_context import Run

_LEVELS = ("ok", "warning", "error")
_COLOURS = {"ok": "green", "warning": "yellow", "error": "bold red"}
_CLOCK_SECONDS = 120


@click.command()
@click.version_option(__version__)
@CONFIG
@click.option("--state", type=click.Path(path_type=Path), help="State of the last run; the plan uses what it knows.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option(
    "--target/--no-target",
    "target",
    default=None,
    help="Check target-crm's side as well. Default: if it is configured.",
)
@click.option("--target-config", type=click.Path(path_type=Path), help="JSON file with target-crm's settings.")
def check(
    config: Path | None, state: Path | None, as_json: bool, target: bool | None, target_config: Path | None
) -> None:
    """Try credentials, rights and filters, and say how a full sync would be read and how long it would take.

    Makes some dozens of small requests under the same throttle as a sync, and writes nothing. Where target-crm is
    installed and configured, its side is looked at as well (target-crm-admin doctor). Each line is ok, warning or
    error, with what to do. Exit code 1 where one is an error, or the account can't be read.
    """
    try:
        run = open_tap(config, state).run
        findings, steps = _look(run)
    except TapError as error:
        fail(error)
        return
    theirs = [] if target is False else other_side.look(target_config, is_asked=bool(target or target_config))
    level = max((f.level for f in (*findings, *theirs)), key=_LEVELS.index)
    if as_json:
        _print_json(run, findings, theirs, steps, level)
    else:
        _print_text(run, findings, theirs, steps)
    if level == "error":
        sys.exit(1)


def _look(run: Run) -> tuple[list[Finding], list[explain.Step]]:
    try:
        has_package = run.account.filter_package
        package = Finding("filter package", "yes") if has_package else Finding(
            "filter package", "no", "whole lists are read newest first", "warning",
            "No action is needed. With the package in the account's plan, a sync needs fewer requests.",
        )  # fmt: skip
        findings = [
            Finding("credentials", "yes", f"account {run.account.id} ({run.account.subdomain})"),
            package,
            _clock(run),
            *probes.rights(run.client),
            *probes.filters(run.client),
        ]
        steps = list(explain.scoped(run.scope) if run.settings.scoped else explain.unscoped(run.client))
    finally:
        run.client.close()
    return findings, steps


def _clock(run: Run) -> Finding:
    clock = run.client.clock
    if not clock.known:
        return Finding("clock", "unknown", "amoCRM's answers carry no time")
    # The header has whole seconds: what is earliest is up to one second behind.
    off = abs(time.time() - clock.by_answers(clock.moment()) - 0.5)
    if off <= _CLOCK_SECONDS:
        return Finding("clock", "yes", "this machine's clock and amoCRM's agree")
    text = f"this machine's clock and amoCRM's differ by {off:,.0f} seconds"
    return Finding(
        "clock", "no", text, "warning", "Set this machine's clock by NTP; until then records are read twice."
    )


def _totals(run: Run, steps: Sequence[explain.Step]) -> tuple[int, float]:
    total = sum(step.requests for step in steps)
    return total, explain.seconds(total, run.settings.requests_per_second)


def _print_json(
    run: Run, findings: list[Finding], theirs: list[Finding], steps: Sequence[explain.Step], level: str
) -> None:
    rate = run.settings.requests_per_second
    total, seconds = _totals(run, steps)
    document: dict[str, Any] = {
        "level": level,
        "address": run.settings.api_url,
        "account": run.account.annotation(run.settings.api_url),
        "filter_package": run.account.filter_package,
        "findings": [asdict(f) for f in findings],
        "target": [asdict(f) for f in theirs],
        "plan": [{**vars(s), "seconds": round(explain.seconds(s.requests, rate), 1)} for s in steps],
        "requests": total,
        "seconds": round(seconds, 1),
    }
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def _print_text(run: Run, findings: list[Finding], theirs: list[Finding], steps: Sequence[explain.Step]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    for title, lines in (("amoCRM", findings), ("The CRM's side", theirs)):
        if lines:
            console.print(title, style="bold")
            for finding in lines:
                _print_line(console, finding)
            console.print()
    rate = run.settings.requests_per_second
    what = "the scope" if run.settings.scoped else "the whole account"
    plan = Table("list", "strategy", title=f"A full sync of {what}", title_justify="left")
    for heading in ("records up to", "requests", "seconds"):
        plan.add_column(heading, justify="right")
    if any(step.instead for step in steps):
        plan.add_column("instead of")
    for step in steps:
        records = "" if step.records is None else f"{step.records:,}"
        seconds = f"{explain.seconds(step.requests, rate):,.1f}"
        cells = [step.listing, step.strategy, records, f"{step.requests:,}", seconds]
        plan.add_row(*cells, *([step.instead] if len(plan.columns) > len(cells) else []))
    console.print(plan)
    total, seconds_of_all = _totals(run, steps)
    console.print(
        f"About {total:,} requests, {seconds_of_all / 60:,.1f} minutes at {rate:g} requests a second. "
        f"This check made {run.metrics.requests} requests.",
        soft_wrap=True,
    )


def _print_line(console: Any, finding: Finding) -> None:
    from rich.text import Text

    line = Text.assemble((f"{finding.level:<8}", _COLOURS[finding.level]), f" {finding.what}")
    if finding.detail:
        line.append(f": {finding.detail}")
    console.print(line, soft_wrap=True)
    if finding.remedy:
        console.print(f"         -> {finding.remedy}", soft_wrap=True)
