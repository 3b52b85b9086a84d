"""What the subcommands share: settings, sessions, errors as one message, values as text."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
import psycopg
from rich.console import Console

from target_crm.config import CONFIG_JSONSCHEMA, Settings
from target_crm.database_errors import as_sentence
from target_crm.errors import TargetError
from target_crm.operations.session import Session, open_session

console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def read_settings(config: Path | None, given: Mapping[str, Any]) -> Settings:
    """Settings from options, then the config file, then the environment (TARGET_CRM_...).

    Raises:
        ConfigError: a value is wrong; names the setting.
        click.UsageError: the file is no JSON.
    """
    values: dict[str, Any] = {}
    for name in CONFIG_JSONSCHEMA["properties"]:
        found = os.environ.get(f"TARGET_CRM_{name.upper()}")
        if found:
            values[name] = found
    if config is not None:
        try:
            values |= json.loads(config.read_text("utf-8"))
        except ValueError as error:
            msg = f"{config} is no JSON: {error}"
            raise click.UsageError(msg) from None
    return Settings.from_config(values | {k: v for k, v in given.items() if v is not None})


@contextmanager
def session_of(context: click.Context) -> Iterator[Session]:
    """The CRM that the command's settings name."""
    with open_session(context.obj()) as session:
        yield session


def plain_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """An error ends as one message and exit code 1, without a traceback and without secrets."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except TargetError as error:
            click.echo(f"Error: {error}", err=True)
        except psycopg.Error as error:
            click.echo(f"Error: {as_sentence(error)}", err=True)
        sys.exit(1)

    return wrapped


def short(value: Any, width: int = 40) -> str:
    """A value on one line."""
    if value is None:
        return "(empty)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def print_json(document: Any) -> None:
    """JSON for programs; times as text."""
    click.echo(json.dumps(document, ensure_ascii=False, default=str, indent=2))
