"""The options of target-crm-admin behind the subcommand, where people type them as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from target_crm.config.settings import Settings


@dataclass
class Given:
    """What the options say of the settings; called, it reads the settings."""

    config: Path | None
    values: dict[str, Any] = field(default_factory=dict)

    def __call__(self) -> Settings:
        """The settings from these options, the config file and the environment.

        Raises:
            ConfigError: as `read_settings`.
        """
        from target_crm.admin.common import read_settings

        return read_settings(self.config, self.values)


def _take(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is None or parameter.name is None:
        return
    given: Given = context.find_root().obj
    if parameter.name == "config":
        given.config = value
    else:
        given.values[parameter.name] = value


def accept_late(command: click.Command, options: Sequence[click.Parameter]) -> click.Command:
    """Let a subcommand, and its own subcommands, take these options, too; its own of the same name go first."""
    for inner in getattr(command, "commands", {}).values():
        accept_late(inner, options)
    own = {name for parameter in command.params for name in parameter.opts}
    late = {name: option for option in options for name in option.opts if name not in own}
    command.params += [_copied(option) for option in dict.fromkeys(late.values())]
    return command


def _copied(option: click.Parameter) -> click.Option:
    kind: Mapping[str, Any] = {"type": option.type}
    return click.Option(option.opts, expose_value=False, hidden=True, callback=_take, **kind)
