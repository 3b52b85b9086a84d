"""What the subcommands share: settings, sessions, errors as one message, values as text."""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

import click
import psycopg
from psycopg.conninfo import conninfo_to_dict

from target_crm.config.config_file import read_config
from target_crm.config.environment import from_project, from_variables, refuse_unknown_variables
from target_crm.config.settings import Settings
from target_crm.database.errors import as_sentence
from target_crm.errors import TargetError
from target_crm.operations.session import Session, open_session
from target_crm.presentation.terminal import make_console, visible

console = make_console()


def read_settings(config: Path | None, given: Mapping[str, Any]) -> Settings:
    """Settings from options, then the config file, then the environment (TARGET_CRM_...).

    Without a config file, then from `.env` and meltano.yml as well, as `meltano run` takes them.

    Raises:
        ConfigError: a value is wrong or a name unknown, or a file can't be read; names it.
    """
    refuse_unknown_variables()
    values = {} if config is not None else from_project()
    values |= from_variables(os.environ)
    if config is not None:
        values |= read_config(config)
    return Settings.from_config(values | {k: v for k, v in given.items() if v is not None})


def database_name(settings: Settings) -> str:
    """Database and schema as a person knows them, without secrets."""
    if settings.database_url is None:
        place = f"embedded PostgreSQL in {settings.data_dir.expanduser().resolve()}"
    else:
        try:
            parts = conninfo_to_dict(settings.database_url)
        except psycopg.ProgrammingError:
            parts = {}
        port = f":{parts['port']}" if parts.get("port") else ""
        place = f"{parts.get('dbname') or parts.get('user') or '?'} on {parts.get('host') or 'localhost'}{port}"
    return f"{place}, schema {settings.crm_schema}"


def name_database(settings: Settings) -> None:
    """Say on standard error which database the command talks to."""
    click.echo(visible(f"Database: {database_name(settings)}"), err=True)


@contextmanager
def session_of(context: click.Context) -> Iterator[Session]:
    """The CRM that the command's settings name; says which it was, unless an error does. Nothing is made in it."""
    settings = context.obj()
    with open_session(settings) as session:
        session.made_by = _person()
        yield session
    name_database(settings)


def _person() -> str | None:
    """Who works at this terminal; kept with what they decide."""
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return None


def plain_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """An error ends as one message and exit code 1, without a traceback and without secrets."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except TargetError as error:
            say_error(str(error))
        except psycopg.Error as error:
            say_error(str(as_sentence(error)))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            say_error(f"{where}{error.strerror or error}.")
        sys.exit(1)

    return wrapped


def say_error(text: str) -> None:
    """An error on standard error; control characters in it are shown as their escapes."""
    click.echo(visible(f"Error: {text}"), err=True)


def short(value: Any, width: int = 40) -> str:
    """A value on one line."""
    if value is None:
        return "(empty)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = visible(" ".join(text.split()))
    return text if len(text) <= width else text[: width - 1] + "…"


def print_json(document: Any) -> None:
    """JSON for programs; times as text. Characters that a terminal obeys are written as escapes."""
    text = json.dumps(document, ensure_ascii=False, default=str, indent=2)
    click.echo(re.sub("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", _json_escape, text))


def _json_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"
