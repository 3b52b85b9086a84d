"""Settings and error output of the commands beside the tap."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from tap_amocrm.config.environment import from_variables
from tap_amocrm.config.json_file import read_json_object
from tap_amocrm.config.settings import CONFIG_JSONSCHEMA
from tap_amocrm.errors import TapError
from tap_amocrm.singer_io.command_line import read_config_file, refuse_unknown_variables
from tap_amocrm.tap import TapAmoCRM

CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="JSON file with the tap's settings; ENV for the environment alone, which is read in any case.",
)


def open_tap(config: Path | None, state: Path | None = None, **overrides: Any) -> TapAmoCRM:
    """The tap with settings from a file, the environment (TAP_AMOCRM_...) over it, and options over both.

    As in `tap-amocrm --config ENV`, the name ENV stands for no file.

    Raises:
        TapError: a setting is missing or wrong, or a file is broken.
    """
    refuse_unknown_variables(os.environ)
    given = read_config_file(config) if config and str(config) != "ENV" else {}
    remembered = read_json_object("--state", state, '{"bookmarks": {...}}') if state else None
    return TapAmoCRM(config={**given, **from_variables(os.environ, CONFIG_JSONSCHEMA), **overrides}, state=remembered)


def fail(error: TapError) -> None:
    """End with the error as one message."""
    click.echo(f"Error: {error.message}", err=True)
    sys.exit(1)
