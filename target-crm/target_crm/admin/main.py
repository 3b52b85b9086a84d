"""The group of subcommands and their settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from target_crm import __version__
from target_crm.admin import conflicts, database, mapping, rejects, runs, serve
from target_crm.admin.common import read_settings


@click.group()
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON, as target-crm's.")
@click.option("--database-url", help="postgresql://...; left out: the embedded PostgreSQL.")
@click.option("--data-dir", help="Where the embedded PostgreSQL keeps its data.  [default: .crm]")
@click.option("--crm-schema", help="Schema of the CRM's tables.  [default: crm]")
@click.option("--mapping-file", help="The mapping; left out: the built-in one.")
@click.version_option(__version__)
@click.pass_context
def main(context: click.Context, /, config: Path | None, **given: Any) -> None:
    """Look at what the loads did, settle what is open, and undo what was wrong.

    Settings are those of target-crm: from these options, a config file, or the environment
    (TARGET_CRM_DATABASE_URL ...).
    """
    context.obj = lambda: read_settings(config, given)


for command in (
    runs.status,
    runs.plan,
    runs.explain,
    runs.undo,
    conflicts.conflicts,
    rejects.rejects,
    mapping.map_tables,
    database.psql,
    database.report,
    serve.serve,
):
    main.add_command(command)
