"""The Singer target: reads messages, hands records to the load, lets STATE go once all before it is committed."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Any, ClassVar

import click
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
from target_crm.errors import ConfigError, IncompleteInputError, Interrupted, StreamRejectedError, TargetError
from target_crm.presentation.visible import VisibleText

if TYPE_CHECKING:
    from target_crm.input_load import InputLoad
    from target_crm.plan.journal import Plan

logger = logging.getLogger("target-crm")


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

    def __init__(
        self, on_plan: Callable[[Plan, str], None] | None = None, plan_limit: int = 200, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._on_plan, self._plan_limit = on_plan, plan_limit
        self.message_reader = Reader(self._load_lines)
        self._load: InputLoad | None = None

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

    def _load_lines(self, file_input: IO[Any]) -> Counter[str]:
        # What only a load uses is imported by a load: --version and --about start without it.
        from target_crm.input_load import InputLoad

        self._load = InputLoad(Settings.from_config(self.config), self._on_plan, self._plan_limit)
        return self._load.load_lines(file_input)

    def process_endofpipe(self) -> None:
        """All is committed when the last line has been processed."""
        if self._load is not None:
            self._load.show_plan()

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End at once: what is committed stays, the batch under way is rolled back and comes again."""
        raise Interrupted

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
        except (Interrupted, KeyboardInterrupt):
            logger.error("Stopped by a signal. What was committed stays; the next run continues from there.")
            sys.exit(143)


def _refuse_ignored_dry_run(config: dict[str, Any], given: tuple[str, ...]) -> None:
    """A dry run is meant where the variable says so, though only --config ENV reads it."""
    variable, config_says = os.environ.get("TARGET_CRM_DRY_RUN", ""), str(config.get("dry_run", False))
    if "ENV" not in given and variable.strip().lower() in TRUTHS and config_says.lower() not in TRUTHS:
        msg = (
            "TARGET_CRM_DRY_RUN is set, but the environment is read only with --config ENV, so the load would write. "
            "Add --config ENV, or unset the variable."
        )
        raise ConfigError(msg)


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
        logger.warning("%s The plan covers what was received.", error)
    except StreamRejectedError as error:
        logger.warning("The load would fail after writing the rest: %s", error)
    return found[0]
