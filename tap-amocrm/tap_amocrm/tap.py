"""The Singer tap: its streams in the order in which a target can link them, and how a run goes through them."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import click
from singer_sdk import Stream
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities, TapCapabilities

from tap_amocrm import __version__
from tap_amocrm.config.environment import from_variables
from tap_amocrm.config.setting_names import unknown_settings
from tap_amocrm.config.settings import CONFIG_JSONSCHEMA, MAX_REQUESTS_PER_SECOND, SETTING_NAMES, validation_problems
from tap_amocrm.declarations import CUSTOM_FIELDS, DECLARATIONS, DELETED_RECORDS
from tap_amocrm.errors import ConfigError, TapError, UnknownSettingError
from tap_amocrm.run_context import Run, Session
from tap_amocrm.singer_io import progress
from tap_amocrm.singer_io.catalog_check import check_catalog
from tap_amocrm.singer_io.command_line import TapCommand, checked_catalog, checked_state, read_config
from tap_amocrm.singer_io.prefetch import Prefetch
from tap_amocrm.singer_io.run_marker import STATE_KEY, RunMarker
from tap_amocrm.singer_io.writer import Interrupted, MarkerWriter, SnapshotStateWriter, Writer, interrupt
from tap_amocrm.state import TapMemory, check_state, with_plain_numbers
from tap_amocrm.streams import STREAMS
from tap_amocrm.streams.base import AmoStream, big_streams, settle_bookmarks
from tap_amocrm.streams.derived import DerivedStream
from tap_amocrm.streams.events import DeletionStream
from tap_amocrm.streams.joined import JoinedTap
from tap_amocrm.streams.whole import WholeStream

if TYPE_CHECKING:
    from tap_amocrm.following.follow import Clock

logger = logging.getLogger("tap-amocrm")
# A target that takes nothing any more can't hold up the end of an interrupted run.
_SECONDS_TO_END = 4.0


class TapAmoCRM(JoinedTap):
    """amoCRM (Kommo) API v4."""

    name = "tap-amocrm"
    package_name = "tap-amocrm"
    plugin_version = __version__
    config_jsonschema = CONFIG_JSONSCHEMA
    message_writer_class = Writer
    # By which the turns of following are planned.
    turn_clock: Clock | None = None
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
        self.use_state_writer(SnapshotStateWriter(self.message_writer, lambda state: self.memory.write(state)))

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
        check_state(state := with_plain_numbers(state))
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

    def sync_with(self, streams_in_turn: Callable[[], None]) -> None:
        """Sync all streams. In any case the metrics are written and no request is left in flight."""
        catalog = self.input_catalog
        check_catalog(self.streams.values(), () if catalog is None else catalog.keys())
        metrics = self.session.metrics
        metrics.run_id, metrics.requests_per_second = self.marker.id, self.session.settings.requests_per_second
        begun = False
        try:
            self._mark(complete=False)
            self.use_columns()
            self._read_ahead()
            begun = True
            streams_in_turn()
            if self._deletions is not None:
                self._deletions.reconcile()
            self._end_reading()
            if self.run.settings.follow and not self.marker.verifies:
                self._follow()
            self._mark(complete=True)
            self.write_state()
        except (Interrupted, TapError) as end:
            if not begun:
                # Without a SCHEMA before it nobody knows whose STATE it is; the one of the last run still holds.
                if isinstance(end, Interrupted):
                    logger.error(
                        "Stopped by a signal before anything was written; the state of the last run is still valid."
                    )
                raise
            for stream in self.streams.values():
                if isinstance(stream, AmoStream):
                    stream.keep_position()
            self.write_state()
            if isinstance(end, Interrupted):
                logger.error("Stopped by a signal; the state has been written, and the next run continues from there.")
            raise
        finally:
            self._close_run()

    def _mark(self, *, complete: bool) -> None:
        """Set the marker that every STATE carries from here on."""
        self.state_document[STATE_KEY] = self.marker.in_state(complete=complete)

    def _end_reading(self) -> None:
        """All streams, or those of a turn, have been read."""
        for derived in self.derived():
            derived.keep_position()
        self._read_unknown_definitions()
        if self.run.settings.scoped:
            self.run.remember_scope()
        settle_bookmarks(self)

    def _follow(self) -> None:
        """Read changes as they come, until a signal ends that."""
        # What only this needs is imported by it: a run starts without.
        from tap_amocrm.following.follow import follow

        self.marker.following = True
        self._end_turn(changed=True)
        chosen = [s for s in self.streams.values() if s.selected and isinstance(s, AmoStream)]
        follow(chosen, self.run, partial(setattr, self, "run"), self._end_turn, self.turn_clock)

    def _end_turn(self, *, changed: bool) -> None:
        """A turn of following ends; with `changed` a STATE leaves."""
        self._end_reading()
        if changed:
            self._mark(complete=False)
            self.write_state()

    def run_discovery(self) -> str:
        """Write the catalog; columns of custom fields are those that the account has now."""
        try:
            if self.config.get("custom_fields") == "columns":
                self.use_columns()
            return super().run_discovery()
        finally:
            self._close_run()

    def count_records(self) -> dict[str, int]:
        """Read the streams of entities, notes and tasks and write nothing: records by stream."""
        try:
            chosen = big_streams(self)
            self.run.prefetch = Prefetch([(s.name, s.encoded_pages) for s in chosen], room=32)
            lanes = [(s.name, self.run.prefetch.pages(s.name) or ()) for s in chosen]
            return {name: sum(page.records for page in lane) for name, lane in lanes}
        finally:
            self._close_run()

    def _read_ahead(self) -> None:
        """Streams that do not wait for one another are read at once; deleted_records looks at what the others did."""
        run = self.run
        chosen = [s for s in self.streams.values() if s.selected and isinstance(s, AmoStream)]
        for stream in self.derived():
            _ = stream.links  # from the state, which threads do not read
        if run.settings.scoped and any(s.since() != run.settings.start_date for s in chosen if s.listings):
            return
        ahead = [s for s in chosen if s.plain and not isinstance(s, (DeletionStream, DerivedStream))]
        # At amoCRM's pace there must be something to ask for whenever a list ends; without a throttle memory counts.
        room = 32 if run.settings.requests_per_second <= MAX_REQUESTS_PER_SECOND else 8
        run.prefetch = Prefetch([(s.name, s.encoded_pages) for s in ahead], room, sparing=True)

    def _read_unknown_definitions(self) -> None:
        """Users and custom fields that records name and the remembered lists lack."""
        streams = {s.name: s for s in self.streams.values() if s.selected and isinstance(s, WholeStream)}
        for name in self.run.definitions.unknown:
            if name in streams:
                stream = streams[name]
                for records in self.run.definitions.again(name, stream.whole):
                    if self.run.columns is not None and name == CUSTOM_FIELDS.name:
                        self.run.columns.define(records)
                    stream.write(records)
                self.run.definitions.written(name)
                self.write_state()

    def _close_run(self) -> None:
        if "session" not in self.__dict__:
            return
        session = self.session
        session.client.close()
        if "run" in self.__dict__:
            if self.run.prefetch is not None:
                self.run.prefetch.stop()
            if self.run.columns is not None:
                self.run.columns.warn()
        session.progress.close()
        session.singer_metrics.close()
        logger.info("%s", progress.summary(session.metrics))
        document = session.metrics.document()
        figures = {k: v for k, v in document.items() if not k.endswith("_series")}
        logger.info("Metrics: %s", json.dumps(figures), extra={"metrics": figures})
        session.write_metrics()

    def end_on_signal(self, signum: int) -> None:
        """End behind the message under way with the state out; in any case within a few seconds."""
        code = 128 + signum
        alarm = threading.Timer(_SECONDS_TO_END, os._exit, (code,))
        alarm.daemon = True
        alarm.start()
        interrupt(code)

    def check_settings(self, given: Mapping[str, Any], refused: Iterable[Any], *, raise_errors: bool) -> list[str]:
        """What is wrong with the settings, names and values, all at once.

        Raises:
            ConfigError: something is, and `raise_errors` is set.
        """
        unknown = unknown_settings(given, SETTING_NAMES)
        wrong = list(refused)
        problems = [*unknown.values(), *validation_problems(wrong)]
        if given.get("faker_config") and find_spec("faker") is None:
            problems.append("Setting faker_config has no effect: Faker is not installed. Install singer-sdk[faker].")
        if unknown and raise_errors:
            raise UnknownSettingError(" ".join(problems), settings=list(unknown))
        if problems and raise_errors:
            names = sorted({str(error.path[0]) for error in wrong if error.path})
            kind = "format" if wrong else "packages"
            raise ConfigError(" ".join(problems), setting=names or ["faker_config"], problem=kind)
        return problems

    @classmethod
    def settings_from_environment(cls) -> dict[str, Any]:
        """The settings in TAP_AMOCRM_... variables."""
        return from_variables(os.environ, cls.config_jsonschema)

    @classmethod
    def settings_from_files(cls, names: tuple[str, ...]) -> tuple[dict[str, Any], bool]:
        """The settings of the files that --config names; ENV stands for the environment."""
        return read_config(names), "ENV" in names

    @classmethod
    def invoke(cls, *, catalog: Any = None, state: Any = None, verify: bool = False, **kwargs: Any) -> None:
        """Run the command; with `verify` as `VerifyingTap`."""
        if verify:
            if state is not None:
                logger.info("--verify reads everything: --state is not used.")
            VerifyingTap.invoke(catalog=catalog, **kwargs)
            return
        if state is not None:
            state = checked_state(state)
        super().invoke(catalog=None if catalog is None else checked_catalog(catalog), state=state, **kwargs)

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The command, which ends without a traceback."""
        command = TapCommand.of(super().get_singer_command())
        command.params.append(
            click.Option(
                ["--verify"],
                is_flag=True,
                help="Read everything, for target-crm-admin verify to compare; no state is used and none is written.",
            )
        )
        return command


class VerifyingTap(TapAmoCRM):
    """Reads everything for a comparison: without bookmarks, and without a STATE that a run could start from."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use_state_writer(MarkerWriter(self.message_writer, STATE_KEY))

    def load_state(self, state: dict[str, Any]) -> None:
        """Begin without what earlier runs know."""
        del state
        super().load_state({})
        self.marker = RunMarker(None, verifies=True)
