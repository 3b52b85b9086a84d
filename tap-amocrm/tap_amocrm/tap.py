"""The Singer tap: its streams in the order in which a target can link them, and how a run goes through them."""

from __future__ import annotations

import json
import logging
import os
import threading
from functools import cached_property
from importlib.util import find_spec
from types import FrameType
from typing import Any, ClassVar, cast

import click
from singer_sdk import Stream
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities, TapCapabilities
from singer_sdk.plugin_base import JSONSchemaValidator, _ConfigInput

from tap_amocrm import __version__
from tap_amocrm.config.environment import from_variables
from tap_amocrm.config.setting_names import unknown_settings
from tap_amocrm.config.settings import CONFIG_JSONSCHEMA, MAX_REQUESTS_PER_SECOND, SETTING_NAMES, validation_problems
from tap_amocrm.declarations import DECLARATIONS, DELETED_RECORDS
from tap_amocrm.errors import ConfigError, UnknownSettingError
from tap_amocrm.planning.reconcile import Reconcile
from tap_amocrm.run_context import Run, Session
from tap_amocrm.singer_io.catalog_check import check_catalog
from tap_amocrm.singer_io.command_line import TapCommand, checked_catalog, checked_state, read_config
from tap_amocrm.singer_io.prefetch import Prefetch
from tap_amocrm.singer_io.run_marker import STATE_KEY, RunMarker
from tap_amocrm.singer_io.writer import Interrupted, SnapshotStateWriter, Writer, interrupt
from tap_amocrm.state import TapMemory, check_state
from tap_amocrm.streams import STREAMS
from tap_amocrm.streams.base import AmoStream, AmoTap
from tap_amocrm.streams.events import DeletionStream
from tap_amocrm.streams.whole import WholeStream

logger = logging.getLogger("tap-amocrm")
# A target that takes nothing any more can't hold up the end of an interrupted run.
_SECONDS_TO_END = 4.0


class TapAmoCRM(AmoTap):
    """amoCRM (Kommo) API v4."""

    name = "tap-amocrm"
    package_name = "tap-amocrm"
    plugin_version = __version__
    config_jsonschema = CONFIG_JSONSCHEMA
    message_writer_class = Writer
    # Records are written page by page: no BATCH files, no version messages. Schemas have nothing to flatten.
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        PluginCapabilities.ABOUT,
        TapCapabilities.CATALOG,
        TapCapabilities.DISCOVER,
        TapCapabilities.STATE,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._state_writer = SnapshotStateWriter(self.message_writer, self.memory.write)

    def discover_streams(self) -> list[Stream]:
        """All streams; needs no connection."""
        return [stream(self) for stream in STREAMS]

    @property
    def streams(self) -> dict[str, Stream]:
        """The streams, parents before their children: what comes can be linked as it comes."""
        found = super().streams
        order = {declared.name: place for place, declared in enumerate(DECLARATIONS)}
        return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over bookmarks (the SDK does) and the tap's own memory; the marker of an earlier run ends here."""
        check_state(state)
        self.marker = RunMarker(state)
        self.memory = TapMemory.from_state(state)
        super().load_state(state)

    @cached_property
    def session(self) -> Session:
        """What a run needs to send requests."""
        return Session.of(dict(self.config), self.memory)

    @cached_property
    def run(self) -> Run:
        """What the streams share; the account is asked for it."""
        return Run.start(self.session, defer_checks=self._deletions is not None)

    @property
    def _deletions(self) -> DeletionStream | None:
        """The stream `deleted_records`, where it is selected: it is read last."""
        found = self.streams.get(DELETED_RECORDS.name)
        return found if isinstance(found, DeletionStream) and found.selected else None

    def sync_all(self) -> None:  # type: ignore[misc]
        """Sync all streams; whatever happens, the metrics are written and no request is left in flight."""
        catalog = self.input_catalog
        check_catalog(self.streams.values(), () if catalog is None else catalog.keys())
        metrics = self.session.metrics
        metrics.run_id, metrics.requests_per_second = self.marker.id, self.session.settings.requests_per_second
        try:
            self._mark(complete=False)
            self._read_ahead()
            super().sync_all()
            self._reconcile()
            self._read_unknown_definitions()
            if self.run.settings.scoped:
                self.run.remember_scope()
            self.settle_bookmarks()
            self._mark(complete=True)
            self._state_writer.write_state(self.state)
        except Interrupted:
            self._state_writer.write_state(self.state)
            logger.error("Stopped by a signal; the state is out, the next run goes on from there.")
            raise
        finally:
            self._close_run()

    def _mark(self, *, complete: bool) -> None:
        """Set the marker that every STATE carries from here on."""
        cast("dict[str, Any]", self.state)[STATE_KEY] = self.marker.in_state(complete=complete)

    def _reconcile(self) -> None:
        """Bring back what the events show to be missing from other streams; then their own bookmark moves."""
        stream = self._deletions
        if stream is not None and stream.found is not None:
            membership = self.run.scope.membership if self.run.settings.scoped else None
            Reconcile(self.run.reader, membership, self.big_streams()).run(stream.found)
            stream.finish()

    def count_records(self) -> dict[str, int]:
        """Read the streams of entities, notes and tasks and write nothing: records by stream."""
        try:
            chosen = self.big_streams()
            self.run.prefetch = Prefetch([(s.name, s.encoded_pages) for s in chosen], room=32)
            lanes = [(s.name, self.run.prefetch.pages(s.name) or ()) for s in chosen]
            return {name: sum(count for count, _ in lane) for name, lane in lanes}
        finally:
            self._close_run()

    def _read_ahead(self) -> None:
        """Streams that do not wait for one another are read at once; deleted_records looks at what the others did."""
        run = self.run
        chosen = [s for s in self.streams.values() if s.selected and isinstance(s, AmoStream)]
        if run.settings.scoped and any(s.since() != run.settings.start_date for s in chosen if s.listings):
            return
        ahead = [s for s in chosen if s.plain and not isinstance(s, DeletionStream)]
        # At amoCRM's pace there must be something to ask for whenever a list ends; without a throttle memory counts.
        room = 32 if run.settings.requests_per_second <= MAX_REQUESTS_PER_SECOND else 8
        run.prefetch = Prefetch([(s.name, s.encoded_pages) for s in ahead], room)

    def _read_unknown_definitions(self) -> None:
        """Users and custom fields that records name and the remembered lists lack."""
        streams = {s.name: s for s in self.streams.values() if s.selected and isinstance(s, WholeStream)}
        for name in self.run.definitions.unknown:
            if name in streams:
                stream = streams[name]
                for records in self.run.definitions.again(name, stream.whole):
                    stream.write(records)
                self._state_writer.write_state(self.state)

    def _close_run(self) -> None:
        if "session" not in self.__dict__:
            return
        session = self.session
        session.client.close()
        if "run" in self.__dict__ and self.run.prefetch is not None:
            self.run.prefetch.stop()
        session.progress.close()
        document = session.metrics.document()
        summary = {k: v for k, v in document.items() if not k.endswith("_series")}
        logger.info("Metrics: %s", json.dumps(summary))
        file = session.settings.metrics_file
        if file:
            try:
                session.metrics.write(file)
            except OSError as error:  # the records are out, and the run is as good as it was
                logger.error("Setting metrics_file: %s can't be written: %s.", file, error.strerror)

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End behind the message under way with the state out; in any case within a few seconds."""
        code = 128 + signum
        alarm = threading.Timer(_SECONDS_TO_END, os._exit, (code,))
        alarm.daemon = True
        alarm.start()
        interrupt(code)

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """Nothing: the SDK's settings that have an effect here are among ours."""

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """What is wrong with the settings, names and values, all at once.

        Raises:
            ConfigError: something is, and `raise_errors` is set.
        """
        unknown = unknown_settings(self._config, SETTING_NAMES)
        refused = JSONSchemaValidator(self.config_jsonschema).iter_errors(self._config)
        problems = [*unknown, *validation_problems(refused)]
        if self._config.get("faker_config") and find_spec("faker") is None:
            problems.append("Setting faker_config has no effect: Faker is not installed. Install singer-sdk[faker].")
        if problems and raise_errors:
            raise (UnknownSettingError if unknown else ConfigError)(" ".join(problems))
        return problems

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:
        """Of the environment alone: the SDK would let the nearest `.env` win over it."""
        return from_variables(os.environ, cls.config_jsonschema)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> _ConfigInput:
        """The settings that --config names."""
        del ctx, param
        return read_config(value)

    @classmethod
    def invoke(cls, *, catalog: Any = None, state: Any = None, **kwargs: Any) -> None:
        """Run the command."""
        if state is not None:
            state = checked_state(state)
        super().invoke(catalog=None if catalog is None else checked_catalog(catalog), state=state, **kwargs)

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The command, which ends without a traceback."""
        return TapCommand.of(super().get_singer_command())
