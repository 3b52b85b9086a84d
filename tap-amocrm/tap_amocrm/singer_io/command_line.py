"""The tap's command line: what is wrong with it or ends a run on purpose is one message and an exit code."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from singer_sdk.exceptions import ConfigurationError, MappingError
from singer_sdk.singerlib import Catalog

from tap_amocrm.config.json_file import parse_json_object, read_json_object
from tap_amocrm.config.setting_names import unknown_variables
from tap_amocrm.config.settings import SETTING_NAMES
from tap_amocrm.errors import CatalogError, StreamMapError, TapError, UnknownSettingError
from tap_amocrm.sdk_seam import SingerCommand
from tap_amocrm.singer_io.state_file import parsed_state

logger = logging.getLogger("tap-amocrm")


class TapCommand(SingerCommand):
    """The SDK's command, with errors as one message; those that nobody foresaw keep their traceback."""

    @classmethod
    def of(cls, command: click.Command) -> TapCommand:
        """The same command with our way of ending."""
        return cls(
            name=command.name,
            callback=command.callback,
            params=command.params,
            help=command.help,
            context_settings=command.context_settings,
            logger=logger,
        )

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; the exit code is that of the error."""
        try:
            return super().main(*args, **kwargs)
        except TapError as error:
            _log(error)
        except (MappingError, ConfigurationError) as error:
            _log(StreamMapError(f"Setting stream_maps: {' '.join(str(error).split())}"))
        sys.exit(1)


def _log(error: TapError) -> None:
    logger.error("%s", error.message, extra=error.extra)


def read_config(given: tuple[str, ...]) -> dict[str, Any]:
    """The settings of the files that --config names, later ones over earlier ones; ENV is the environment.

    Raises:
        FileError: a file is broken.
        UnknownSettingError: ENV is given and a variable TAP_AMOCRM_... names no setting.
    """
    if "ENV" in given:
        refuse_unknown_variables(os.environ)
    config: dict[str, Any] = {}
    for name in given:
        config |= {} if name == "ENV" else read_config_file(Path(name))
    return config


def read_config_file(file: Path) -> dict[str, Any]:
    """The settings of a file. Raises FileError when it is broken."""
    return read_json_object("--config", file, '{"subdomain": "mycompany", "access_token": "..."}')


def refuse_unknown_variables(variables: Mapping[str, str]) -> None:
    """Look for misspelt TAP_AMOCRM_... variables.

    Raises:
        UnknownSettingError: there is one; names the nearest setting.
    """
    problems = unknown_variables(variables, SETTING_NAMES)
    if problems:
        raise UnknownSettingError(" ".join(problems.values()), settings=list(problems))


def checked_catalog(file: io.TextIOBase) -> io.StringIO:
    """The catalogue as it was given, when it is one.

    Raises:
        CatalogError: it is not.
    """
    name = f"--catalog {getattr(file, 'name', '')}".strip()
    document = parse_json_object(name, file.read(), '{"streams": [...]}')
    streams = document.get("streams")
    good = isinstance(streams, list) and all(map(_is_stream, streams))
    if good:
        try:
            Catalog.from_dict(document)
        except (AttributeError, KeyError, TypeError, ValueError):
            good = False
    if not good:
        msg = (
            f"{name} is not a Singer catalog: streams must be a list of objects with tap_stream_id, schema and "
            "metadata. tap-amocrm --discover writes one."
        )
        raise CatalogError(msg, problem="not_a_catalog")
    for entry in document["streams"]:
        _take_replication_method(entry)
    return io.StringIO(json.dumps(document))


def checked_state(file: io.TextIOBase) -> io.StringIO:
    """The state as it was given, when it is one.

    Raises:
        StateError: it is not.
    """
    name = f"--state {getattr(file, 'name', '')}".strip()
    try:
        text = file.read().removeprefix("\ufeff")
    except UnicodeDecodeError:
        text = "?"
    return io.StringIO(json.dumps(parsed_state(name, text)))


def _take_replication_method(entry: dict[str, Any]) -> None:
    """The key `replication-method` of the metadata is what Meltano sets; the SDK does not read it."""
    for metadata in entry["metadata"]:
        if not metadata["breadcrumb"] and metadata["metadata"].get("replication-method"):
            entry["replication_method"] = metadata["metadata"]["replication-method"]


def _is_stream(entry: Any) -> bool:
    if not (isinstance(entry, dict) and isinstance(entry.get("schema"), dict) and entry.get("tap_stream_id")):
        return False
    parts = entry.setdefault("metadata", [])
    return isinstance(parts, list) and all(
        isinstance(part, dict) and isinstance(part.get("breadcrumb"), list) and isinstance(part.get("metadata"), dict)
        for part in parts
    )
