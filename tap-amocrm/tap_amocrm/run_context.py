"""What the streams of one run share: settings, client, account, reader, scope, metrics, and the tap's own memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import cached_property, partial
from typing import Any

from tap_amocrm.api.account import ACCOUNT, Account, account_of
from tap_amocrm.api.seen_lists import Lists
from tap_amocrm.auth import oauth
from tap_amocrm.config.settings import Settings
from tap_amocrm.http.client import Client, Page
from tap_amocrm.http.metrics import Metrics, check_metrics_file
from tap_amocrm.planning.definitions import Definitions
from tap_amocrm.planning.scope import Scope, packed, unpacked
from tap_amocrm.reading.reader import Reader
from tap_amocrm.singer_io.prefetch import Prefetch
from tap_amocrm.singer_io.progress import Progress


class Run:
    """What the streams of one run share; the account is asked when the first of them needs it.

    Args:
        config: The settings as they were given.
        memory: What earlier runs left in the state; what this run leaves goes there, too.
        reads_deletions: Whether this run reads the stream `deleted_records`; asked when the first big list is read.
    """

    def __init__(self, config: dict[str, Any], memory: dict[str, Any], reads_deletions: Callable[[], bool]) -> None:
        self.settings = Settings.from_config(config)
        if self.settings.metrics_file:
            check_metrics_file(self.settings.metrics_file)
        self.metrics = Metrics()
        self.progress = Progress(self.metrics, memory.get("requests"))
        self.client = Client(
            self.settings,
            self.metrics,
            partial(oauth.from_config, config, self.settings.api_url),
            config.get("shared_limit_url"),
        )
        self.memory = memory
        self.lists = Lists(memory.setdefault("lists", {}))
        self.definitions = Definitions(
            memory.setdefault("definitions", {}), self.settings.definitions_lifetime, self._times
        )
        self.prefetch: Prefetch[tuple[int, bytes]] | None = None
        self.scope_digest = hashlib.sha256(repr(self._scope_settings()).encode()).hexdigest()[:16]
        self._reads_deletions = reads_deletions
        self._lock = threading.RLock()

    def _scope_settings(self) -> tuple[Any, ...]:
        s = self.settings
        return (s.responsible_user_ids, s.company_custom_field_id, s.company_custom_field_value, s.company_limit)

    def _times(self) -> tuple[float, float] | None:
        """The earliest time that it can be at the service, and the smallest that it told; None where it told none."""
        _ = self.account
        clock = self.client.clock
        return None if clock.smallest is None else (clock.earliest(clock.moment()), clock.smallest)

    @cached_property
    def account_page(self) -> Future[Page]:
        """The account's own record, under way."""
        return self.client.submit(ACCOUNT)

    @property
    def account(self) -> Account:
        """Facts of the account, and what its filters were seen to do in earlier runs."""
        with self._lock:
            return self._account

    @cached_property
    def _account(self) -> Account:
        account = account_of(self.account_page.result())
        account.honours = self.memory.setdefault("honours", {})
        return account

    @property
    def reader(self) -> Reader:
        """Reads the big lists."""
        with self._lock:
            return self._reader

    @cached_property
    def _reader(self) -> Reader:
        refused = bool(self.memory.get("events_refused"))
        reader = Reader(self.client, self.account, self.lists, self.settings.start_date, events_refused=refused)
        # The stream deleted_records comes last and checks all walks by the events that it reads anyway.
        reader.deferred = not self.settings.scoped and self._reads_deletions()
        return reader

    @property
    def scope(self) -> Scope:
        """The companies in scope and their children."""
        with self._lock:
            return self._scope

    @cached_property
    def _scope(self) -> Scope:
        kept = self.memory.get("scope") or {}
        known = unpacked(str(kept["companies"])) if kept.get("digest") == self.scope_digest else None
        return Scope(self.reader, self.memory.setdefault("totals", {}), known)

    def remember_scope(self) -> None:
        """After a complete run: the companies in scope, so that the next run knows those that come into it."""
        if "_scope" in self.__dict__:
            companies = packed(self._scope.ids("companies"))
            self.memory["scope"] = {"digest": self.scope_digest, "companies": companies}

    def window_of_walk(self, listing: str) -> tuple[int, int] | None:
        """When a list was walked whose borders are not checked yet, Unix seconds."""
        walk = self.reader.walks.get(listing) if "_reader" in self.__dict__ else None
        return walk.window if walk is not None else None
