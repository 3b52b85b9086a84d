"""The group of subcommands and their settings."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from target_crm import __version__
from target_crm.admin.late_options import Given, accept_late

# Each subcommand with its module and its name there: a command imports what it needs itself, not what the others need.
_SUBCOMMANDS = {
    "status": "runs:status",
    "runs": "lists:runs",
    "changes": "lists:changes",
    "warnings": "lists:warnings",
    "plan": "runs:plan",
    "explain": "runs:explain",
    "undo": "runs:undo",
    "conflicts": "conflicts:conflicts",
    "rejects": "rejects:rejects",
    "proposals": "proposals:proposals",
    "tie": "proposals:tie_command",
    "untie": "proposals:untie_command",
    "written": "written:written",
    "rules": "rules:rules",
    "state": "state:state",
    "map": "mapping:map_tables",
    "users": "users:users",
    "allow": "permissions:allow",
    "psql": "database:psql",
    "report": "database:report",
    "verify": "verify:verify",
    "serve": "serve:serve",
    "digest": "digest:digest",
    "doctor": "doctor:doctor",
    "setup": "setup:setup",
}
_SETTINGS = ("config", "database_url", "data_dir", "crm_schema", "mapping_file")


class _Subcommands(click.Group):
    """A group whose subcommands are imported when they are asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Their names."""
        return sorted(_SUBCOMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """One of them, None where there is no such."""
        if name not in _SUBCOMMANDS:
            return None
        module, _, attribute = _SUBCOMMANDS[name].partition(":")
        found: click.Command = getattr(import_module(f"target_crm.admin.{module}"), attribute)
        return accept_late(found, [option for option in self.params if option.name in _SETTINGS])


@click.group(cls=_Subcommands)
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON, as target-crm's.")
@click.option("--database-url", help="postgresql://... Default: the embedded PostgreSQL.")
@click.option("--data-dir", help="Folder with the data of the embedded PostgreSQL.  [default: .crm]")
@click.option("--crm-schema", help="Schema of the CRM's tables.  [default: crm]")
@click.option("--mapping-file", help="Mapping file. Default: the built-in mapping.")
@click.version_option(__version__)
@click.pass_context
def main(context: click.Context, /, config: Path | None, **given: Any) -> None:
    """Look at what the loads did, resolve what is open, and undo what was wrong.

    Settings are those of target-crm: from these options, a config file, or the environment
    (TARGET_CRM_DATABASE_URL ...). These options may follow the subcommand, too.
    """
    context.obj = Given(config, given)
