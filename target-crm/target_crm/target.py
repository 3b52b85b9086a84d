"""The Singer target: reads messages, hands records to the load, lets STATE go once all before it is committed."""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO, Any, ClassVar

import click
import msgspec
import psycopg
from singer_sdk import Sink, Target
from singer_sdk.exceptions import ConfigValidationError, InvalidInputLine, RecordsWithoutSchemaException
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities
from singer_sdk.plugin_base import _ConfigInput
from singer_sdk.singerlib.encoding.base import GenericSingerReader

from target_crm import __version__
from target_crm.config.config_file import read_config
from target_crm.config.environment import TRUTHS, from_variables, refuse_unknown_variables
from target_crm.config.settings import CONFIG_JSONSCHEMA, Settings, setting_problem
from target_crm.database.connection import Database
from target_crm.database.errors import as_sentence
from target_crm.database.url import without_secrets
from target_crm.errors import (
    ConfigError,
    IncompleteInputError,
    MappingError,
    MessageError,
    OutcomeError,
    StreamRejectedError,
    TargetError,
)
from target_crm.load.load import Load
from target_crm.load.outcome import log_notices
from target_crm.plan.dry_run import OnPlan, finish_dry_run, show_plan
from target_crm.plan.journal import Plan
from target_crm.presentation.terminal import VisibleText
from target_crm.problems import Problem
from target_crm.singer_io.messages import Message, decode_message, read_lines

logger = logging.getLogger("target-crm")


class _Interrupted(BaseException):
    """SIGTERM or Ctrl-C."""


class Reader(GenericSingerReader[str]):
    """Takes the place of the SDK's reader, which decodes each record and validates it: here records stay bytes."""

    def __init__(self, process: Callable[[IO[Any]], Counter[str]]) -> None:
        super().__init__()
        self._process = process

    def process_lines(self, file_input: IO[str] | None, callbacks: Any) -> Counter[str]:
        """Hand the input to the load; the SDK's callbacks for each message are not used."""
        return self._process(file_input or self.default_input)

    @property
    def default_input(self) -> IO[str]:
        """Standard input."""
        return sys.stdin

    def deserialize_json(self, line: str) -> dict[str, Any]:
        """One line as JSON."""
        return dict(json.loads(line))


class TargetCRM(Target):
    """amoCRM's records into a CRM's PostgreSQL by a three-way soft update."""

    name = "target-crm"
    package_name = "target-crm"
    plugin_version = __version__
    config_jsonschema = CONFIG_JSONSCHEMA
    default_sink_class = Sink
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(self, on_plan: OnPlan = show_plan, plan_limit: int = 200, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._on_plan, self._plan_limit = on_plan, plan_limit
        self.message_reader = Reader(self._load_lines)
        self._schemas: set[str] = set()
        self._skipped: Counter[str] = Counter()
        self._planned: tuple[Plan, str] | None = None

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """No built-in settings of the SDK apply: records go past its per-record path (docs/decisions.md)."""

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:
        """Of the environment alone: the SDK would let the nearest `.env` win over it."""
        return from_variables(os.environ)

    @staticmethod
    def cb_config(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> _ConfigInput:
        """The files and ENV that --config names; a broken file ends as one message."""
        try:
            refuse_unknown_variables()
            config: dict[str, Any] = {}
            for name in given:
                config |= {} if name == "ENV" else read_config(Path(name))
            _refuse_ignored_dry_run(config, given)
        except ConfigError as error:
            logger.error("%s", error)
            context.exit(1)
        return _ConfigInput(config=config, parse_env="ENV" in given)

    def _show_planned(self) -> None:
        """The plan of a dry run is the last thing that is said."""
        if self._planned is not None:
            self._on_plan(*self._planned)
            self._planned = None

    def _load_lines(self, file_input: IO[Any]) -> Counter[str]:
        """Load all messages of a file.

        Raises:
            TargetError: with one sentence on what is wrong and what to do.
        """
        stats: Counter[str] = Counter()
        settings = Settings.from_config(self.config)
        _collect_seldom()
        with Database(settings) as database:
            load = _open_load(settings, database)
            status, error = "failed", None
            try:
                for number, line in enumerate(read_lines(file_input), 1):
                    self._take(load, line, number, stats)
                load.outcome.expects_input = True
                load.outcome.input.messages = sum(stats.values())
                load.drain()
                if settings.dry_run:
                    keep = self._on_plan is show_plan
                    self._planned = finish_dry_run(load, settings, self._plan_limit, keep=keep)
                self._tell(load)
                load.outcome.require_good()
                status = "succeeded"
            except (_Interrupted, KeyboardInterrupt):
                status, error = "interrupted", "stopped by a signal"
                raise
            except OutcomeError as fault:
                status = "incomplete" if isinstance(fault, IncompleteInputError) else "failed"
                self._show_planned()
                raise
            except psycopg.Error as fault:
                told = as_sentence(fault)
                error = str(told)
                raise told from None
            except Exception as fault:
                error = without_secrets(str(fault))
                raise
            finally:
                load.finish(status, error)
        return stats

    def _tell(self, load: Load) -> None:
        for stream, count in self._skipped.items():
            logger.warning("Stream %s is not mapped: %d records were skipped.", stream, count)
        log_notices(load.notices())
        if not load.settings.dry_run:
            logger.info("Run %d: %s", load.run_id, json.dumps(load.counts_document()))

    def process_endofpipe(self) -> None:
        """All is committed when the last line has been processed."""
        self._show_planned()

    def _take(self, load: Load, line: bytes, number: int, stats: Counter[str]) -> None:
        try:
            message = decode_message(line, number)
        except MessageError as error:
            load.reject(None, line, error.problem)
            return
        stats[message.type] += 1
        if message.type == "RECORD":
            self._record(load, message, number)
        elif message.type == "SCHEMA":
            self._schema(load, message, number)
        elif message.type == "STATE":
            load.state(bytes(message.value))
        elif message.type == "ACTIVATE_VERSION":
            logger.debug("ACTIVATE_VERSION is ignored: deletions come from the stream deleted_records.")
        else:
            msg = f"Line {number}: unknown message type {message.type!r}."
            raise InvalidInputLine(msg)

    def _record(self, load: Load, message: Message, number: int) -> None:
        stream, record = message.stream, bytes(message.record)
        if stream is None or not record:
            load.reject(stream, record, Problem("E_MESSAGE_INCOMPLETE", {"line": number}))
            return
        if stream not in self._schemas:
            msg = f"Line {number}: a record of stream {stream} came before its SCHEMA."
            raise RecordsWithoutSchemaException(msg)
        if load.knows(stream):
            load.add(stream, record)
        elif stream not in load.mapping.ignored:
            self._skipped[stream] += 1

    def _schema(self, load: Load, message: Message, number: int) -> None:
        stream = message.stream
        if stream is None or not bytes(message.schema):
            msg = f"Line {number}: a SCHEMA message needs stream and schema."
            raise InvalidInputLine(msg)
        schema = msgspec.json.decode(message.schema)
        if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
            msg = f"Line {number}: the SCHEMA of stream {stream} has no properties."
            raise InvalidInputLine(msg)
        self._schemas.add(stream)
        unmapped = not load.knows(stream) and stream not in load.mapping.ignored
        if unmapped and load.settings.unmapped_streams == "fail":
            msg = (
                f"Stream {stream} is not mapped. Map it in mapping_file, list it there under ignore, or set "
                "unmapped_streams to warn."
            )
            raise MappingError(msg)
        load.schema(stream, schema)

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End at once: what is committed stays, the batch under way is rolled back and comes again."""
        raise _Interrupted

    @classmethod
    def invoke(cls, **kwargs: Any) -> None:
        """Run the command; an error ends as one message and exit code 1, without a traceback."""
        logger.addFilter(VisibleText())
        try:
            super().invoke(**kwargs)
        except (TargetError, InvalidInputLine, RecordsWithoutSchemaException) as error:
            logger.error("%s", error)
            sys.exit(1)
        except ConfigValidationError as error:
            for problem in error.errors or [str(error)]:
                logger.error("%s", setting_problem(problem))
            sys.exit(1)
        except (_Interrupted, KeyboardInterrupt):
            logger.error("Stopped by a signal; what was committed stays, the rest comes with the next run.")
            sys.exit(143)


def _refuse_ignored_dry_run(config: dict[str, Any], given: tuple[str, ...]) -> None:
    """A dry run is meant where the variable says so, though only --config ENV reads it."""
    variable, config_says = os.environ.get("TARGET_CRM_DRY_RUN", ""), str(config.get("dry_run", False))
    if "ENV" not in given and variable.strip().lower() in TRUTHS and config_says.lower() not in TRUTHS:
        msg = (
            "TARGET_CRM_DRY_RUN is set, but the environment is only read with --config ENV, and the load would write. "
            "Add --config ENV, or take the variable away."
        )
        raise ConfigError(msg)


def _collect_seldom() -> None:
    """Records are made of many small objects and of no cycles: looking for these took a third of the time."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 1000)


def plan_of(settings: Settings, messages: IO[Any], limit: int = 200) -> Plan:
    """What a load of these messages would change: the load itself, rolled back. `limit` as in `read_plan`.

    Raises:
        TargetError: as the load.
    """
    found: list[Plan] = []
    config = {name: value for name, value in vars(settings).items() if value is not None}
    config |= {name: str(value) for name, value in config.items() if isinstance(value, Path)}
    target = TargetCRM(config={**config, "dry_run": True}, on_plan=lambda plan, _: found.append(plan), plan_limit=limit)
    try:
        target.listen(messages)
    except IncompleteInputError as error:
        logger.warning("%s The plan is of what came.", error)
    except StreamRejectedError as error:
        logger.warning("The load would fail after it wrote the rest: %s", error)
    return found[0]


def _write_state(state: bytes) -> None:
    """STATE goes to standard output, and nothing else does."""
    sys.stdout.write(state.decode() + "\n")
    sys.stdout.flush()


def _open_load(settings: Settings, database: Database) -> Load:
    try:
        return Load.open(settings, database, on_state=_write_state)
    except psycopg.Error as fault:
        raise as_sentence(fault) from None
