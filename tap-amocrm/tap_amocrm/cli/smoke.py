"""The command `tap-amocrm-smoke`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tap_amocrm import __version__
from tap_amocrm.cli.common import CONFIG, fail, open_tap
from tap_amocrm.config.settings import MAX_REQUESTS_PER_SECOND
from tap_amocrm.errors import TapError


@click.command()
@click.version_option(__version__)
@CONFIG
@click.option(
    "--responsible-user-id", type=int, multiple=True, help="Companies of this responsible user. May be repeated."
)
@click.option("--limit", type=int, default=20, show_default=True, help="Read only the first N companies.")
@click.option("--custom-field-id", type=int, help="Companies whose custom field of this ID ...")
@click.option("--custom-value", help="... holds this value.")
@click.option("--metrics-file", type=click.Path(dir_okay=False), help="File for the metrics, as JSON.")
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
        tap = open_tap(config, **overrides)
        counts = tap.count_records()
    except TapError as error:
        fail(error)
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
