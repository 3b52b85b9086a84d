"""The Singer tap: its settings, its streams in the order in which a target can link them, and the run around them."""

from __future__ import annotations

import hashlib
import logging
import sys
from functools import cached_property
from typing import Any, cast

from singer_sdk import Stream, Tap
from singer_sdk.exceptions import ConfigValidationError

from tap_amocrm import __version__
from tap_amocrm.account import Account, read_account
from tap_amocrm.client import Client
from tap_amocrm.config import CONFIG_JSONSCHEMA, Settings
from tap_amocrm.errors import TapError
from tap_amocrm.metrics import Metrics
from tap_amocrm.prefetch import Prefetch
from tap_amocrm.progress import Progress
from tap_amocrm.reader import Reader
from tap_amocrm.scope import Scope
from tap_amocrm.streams import STREAMS, AmoStream
from tap_amocrm.writer import Writer

logger = logging.getLogger("tap-amocrm")
# The tap's own memory between runs, beside the streams' bookmarks in the state.
MEMORY = "tap_amocrm"


class Run:
    """What the streams of one run share; the account is asked when the first of them needs it."""

    def __init__(self, config: dict[str, Any], memory: dict[str, Any]) -> None:
        self.settings = Settings.from_config(config)
        self.metrics = Metrics()
        self.progress = Progress(self.metrics)
        self.client = Client(self.settings, config, self.metrics)
        self.memory = memory
        self.prefetch: Prefetch | None = None
        digest = hashlib.sha256(repr(self._scope_settings()).encode()).hexdigest()[:16]
        # With another scope than the last time everything in it is new.
        self.scope_changed = memory.get("scope", digest) != digest
        memory["scope"] = digest

    def _scope_settings(self) -> tuple[Any, ...]:
        s = self.settings
        return (s.responsible_user_ids, s.company_custom_field_id, s.company_custom_field_value, s.company_limit)

    @cached_property
    def account(self) -> Account:
        """Facts of the account, and what its filters were seen to do in earlier runs."""
        account = read_account(self.client)
        account.honours = self.memory.setdefault("honours", {})
        return account

    @cached_property
    def reader(self) -> Reader:
        """Reads the big lists."""
        return Reader(self.client, self.account)

    @cached_property
    def scope(self) -> Scope:
        """The companies in scope and their children."""
        return Scope(self.reader, self.memory.setdefault("totals", {}))


class TapAmoCRM(Tap):
    """amoCRM (Kommo) API v4."""

    name = "tap-amocrm"
    package_name = "tap-amocrm"
    plugin_version = __version__
    config_jsonschema = CONFIG_JSONSCHEMA
    message_writer_class = Writer

    def discover_streams(self) -> list[Stream]:
        """All streams; needs no connection."""
        return [stream(self) for stream in STREAMS]

    @property
    def streams(self) -> dict[str, Stream]:
        """The streams, parents before their children: what comes can be linked as it comes."""
        found = super().streams
        order: dict[type[Stream], int] = {stream: place for place, stream in enumerate(STREAMS)}
        return dict(sorted(found.items(), key=lambda item: order.get(type(item[1]), len(order))))

    @cached_property
    def run(self) -> Run:
        """What the streams share."""
        state = cast("dict[str, Any]", self.state)
        return Run(dict(self.config), state.setdefault(MEMORY, {}))

    def sync_all(self) -> None:  # type: ignore[misc]
        """Sync all streams; whatever happens, the metrics are written and no request is left in flight."""
        try:
            self._read_ahead()
            super().sync_all()
        finally:
            self._close_run()

    def _read_ahead(self) -> None:
        """Without a scope the streams do not need one another: the next ones are read ahead."""
        run = self.run
        run.account  # noqa: B018 - asked once, before several threads need it
        if not run.settings.scoped:
            chosen = [s for s in self.streams.values() if s.selected and isinstance(s, AmoStream)]
            run.prefetch = Prefetch([(s.name, s.unrefused_pages) for s in chosen])

    def _close_run(self) -> None:
        if "run" not in self.__dict__:
            return
        self.run.client.close()
        if self.run.prefetch is not None:
            self.run.prefetch.stop()
        document = self.run.metrics.document()
        logger.info("Metrics: %s", {k: v for k, v in document.items() if not k.endswith("_series")})
        if self.run.settings.metrics_file:
            self.run.metrics.write(self.run.settings.metrics_file)

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
                logger.error("Settings: %s", problem)
            sys.exit(1)
