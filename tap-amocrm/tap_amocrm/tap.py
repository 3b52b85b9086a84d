"""The Singer tap: its streams in the order in which a target can link them, and how a run goes through them."""

from __future__ import annotations

import logging
import os
import sys
import threading
from functools import cached_property, partial
from types import FrameType
from typing import Any, ClassVar, cast

from singer_sdk import Stream, Tap
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities

from tap_amocrm import __version__
from tap_amocrm.config import CONFIG_JSONSCHEMA, MAX_REQUESTS_PER_SECOND, setting_problem
from tap_amocrm.errors import TapError
from tap_amocrm.prefetch import Prefetch
from tap_amocrm.run import Run
from tap_amocrm.run_marker import STATE_KEY, RunMarker
from tap_amocrm.streams import STREAMS
from tap_amocrm.streams.base import AmoStream, AmoTap
from tap_amocrm.streams.events import DeletedRecords
from tap_amocrm.streams.small import SmallStream
from tap_amocrm.writer import Interrupted, SnapshotStateWriter, Writer, interrupt

logger = logging.getLogger("tap-amocrm")
# The tap's own memory between runs, beside the streams' bookmarks in the state.
MEMORY = "tap_amocrm"
# A target that takes nothing any more can't hold up the end of an interrupted run.
_SECONDS_TO_END = 4.0


class TapAmoCRM(AmoTap):
    """amoCRM (Kommo) API v4."""

    name = "tap-amocrm"
    package_name = "tap-amocrm"
    plugin_version = __version__
    config_jsonschema = CONFIG_JSONSCHEMA
    message_writer_class = Writer
    # Records are written page by page; BATCH files and version messages would only come between.
    capabilities: ClassVar = [
        c for c in Tap.capabilities if c not in (PluginCapabilities.BATCH, TapCapabilities.ACTIVATE_VERSION)
    ]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._state_writer = SnapshotStateWriter(self.message_writer)

    def discover_streams(self) -> list[Stream]:
        """All streams; needs no connection."""
        return [stream(self) for stream in STREAMS]

    @property
    def streams(self) -> dict[str, Stream]:
        """The streams, parents before their children: what comes can be linked as it comes."""
        found = super().streams
        order: dict[type[Stream], int] = {stream: place for place, stream in enumerate(STREAMS)}
        return dict(sorted(found.items(), key=lambda item: order.get(type(item[1]), len(order))))

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over bookmarks (the SDK does) and the tap's own memory; the marker of an earlier run ends here."""
        self.marker = RunMarker(state)
        super().load_state(state)
        if isinstance(state.get(MEMORY), dict):
            cast("dict[str, Any]", self.state)[MEMORY] = state[MEMORY]

    @cached_property
    def run(self) -> Run:
        """What the streams share."""
        state = cast("dict[str, Any]", self.state)
        return Run(dict(self.config), state.setdefault(MEMORY, {}), self._reads_deletions)

    def _reads_deletions(self) -> bool:
        found = self.streams.get(DeletedRecords.name)
        return found is not None and found.selected

    def sync_all(self) -> None:  # type: ignore[misc]
        """Sync all streams; whatever happens, the metrics are written and no request is left in flight."""
        try:
            self._mark(complete=False)
            self._read_ahead()
            super().sync_all()
            self._read_unknown_definitions()
            if self.run.settings.scoped:
                self.run.remember_scope()
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
        _ = run.account_page
        chosen = [s for s in self.streams.values() if s.selected and isinstance(s, AmoStream)]
        if run.settings.scoped and any(s.since() != run.settings.start_date for s in chosen if s.listings):
            return
        ahead = [s for s in chosen if s.plain and not isinstance(s, DeletedRecords)]
        # At amoCRM's pace there must be something to ask for whenever a list ends; without a throttle memory counts.
        room = 32 if run.settings.requests_per_second <= MAX_REQUESTS_PER_SECOND else 8
        run.prefetch = Prefetch([(s.name, s.encoded_pages) for s in ahead], room)

    def _read_unknown_definitions(self) -> None:
        """Users and custom fields that records name and the remembered lists lack."""
        streams = {s.name: s for s in self.streams.values() if s.selected and isinstance(s, SmallStream)}
        for name in self.run.definitions.unknown:
            if name in streams:
                stream = streams[name]
                for records in self.run.definitions.again(name, partial(SmallStream.pages, stream, None)):
                    stream.write(records)
                self._state_writer.write_state(self.state)

    def _close_run(self) -> None:
        if "run" not in self.__dict__:
            return
        self.run.client.close()
        if self.run.prefetch is not None:
            self.run.prefetch.stop()
        self.run.progress.close()
        document = self.run.metrics.document()
        logger.info("Metrics: %s", {k: v for k, v in document.items() if not k.endswith("_series")})
        if self.run.settings.metrics_file:
            self.run.metrics.write(self.run.settings.metrics_file)

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End behind the message under way with the state out; in any case within a few seconds."""
        code = 128 + signum
        alarm = threading.Timer(_SECONDS_TO_END, os._exit, (code,))
        alarm.daemon = True
        alarm.start()
        interrupt(code)

    @classmethod
    def invoke(cls, **kwargs: Any) -> None:
        """Run the command; an error ends as one message and exit code 1, without a traceback."""
        try:
            super().invoke(**kwargs)
        except TapError as error:
            logger.error("%s", error)
            sys.exit(1)
        except ConfigValidationError as error:
            for problem in error.errors or [str(error)]:
                logger.error("%s", setting_problem(problem))
            sys.exit(1)
