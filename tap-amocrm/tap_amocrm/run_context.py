"""What the streams of one run share, built in two steps: before the account has answered, and after."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_amocrm.api.account import ACCOUNT, Account, account_of
from tap_amocrm.api.seen_lists import Lists
from tap_amocrm.auth import oauth
from tap_amocrm.config.settings import Settings
from tap_amocrm.http.client import Client
from tap_amocrm.http.metrics import Metrics, check_metrics_file
from tap_amocrm.http.server_clock import ServerClock
from tap_amocrm.planning.column_book import ColumnBook
from tap_amocrm.planning.definitions import Definitions
from tap_amocrm.planning.scope import Scope
from tap_amocrm.planning.scope_membership import packed, unpacked
from tap_amocrm.positions import Position
from tap_amocrm.reading.reader import Reader
from tap_amocrm.singer_io.prefetch import Prefetch
from tap_amocrm.singer_io.progress import Progress
from tap_amocrm.singer_io.request_metrics import RequestMetrics
from tap_amocrm.state import RememberedScope, TapMemory

if TYPE_CHECKING:
    from tap_amocrm.hooks.queue import Queue

logger = logging.getLogger("tap-amocrm")


class EncodedPage(NamedTuple):
    """The messages of a page: how many records of its stream, how far the list that they are of has been read behind
    them, and what to call once they are out."""

    records: int
    lines: bytes
    listing: str
    position: Position | None
    written: tuple[Callable[[], None], ...] = ()


@dataclass
class Session:
    """What a run needs to send requests; building one sends none.

    Args:
        settings: The checked settings.
        memory: What earlier runs left in the state; what this run leaves goes there, too.
        metrics: Counts of the run.
        singer_metrics: The same requests as the SDK's METRIC lines.
        progress: Shows them while the run continues.
        client: Sends the requests.
        queue: Where webhooks leave hints for a tap that follows; None without.
    """

    settings: Settings
    memory: TapMemory
    metrics: Metrics
    singer_metrics: RequestMetrics
    progress: Progress
    client: Client
    queue: Queue | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any], memory: TapMemory) -> Session:
        """The session for settings as they were given.

        Raises:
            ConfigError: a setting is missing or wrong.
        """
        settings = Settings.from_config(config)
        if settings.metrics_file:
            check_metrics_file(settings.metrics_file)
        singer_metrics = RequestMetrics()
        metrics = Metrics(singer_metrics.answered)
        authorise = partial(oauth.from_config, config, settings.api_url)
        client = Client(settings, metrics, authorise, config.get("shared_limit_url"))
        progress = Progress(metrics, memory.requests, settings.page_size)
        queue = _queue(config, settings) if settings.follow and config.get("hooks_queue") else None
        return cls(settings, memory, metrics, singer_metrics, progress, client, queue)

    def write_metrics(self) -> None:
        """Write the metrics to `metrics_file`, if there is one; a run is as good without them."""
        file = self.settings.metrics_file
        if file:
            try:
                self.metrics.write(file)
            except OSError as error:
                logger.error("Setting metrics_file: %s can't be written: %s.", file, error.strerror)


@dataclass
class Run:
    """What the streams of one run share, once the account has answered.

    Args:
        session: Settings, client, metrics and the tap's memory.
        account: Facts of the account, and what its filters were seen to do.
        lists: What was seen in each list.
        definitions: Users, custom fields and tags of earlier runs that are still good.
        reader: Reads the incremental lists.
        scope: The companies in scope and their children; reads nothing while the settings name no scope.
        scope_digest: Identifies the scope in bookmarks.
        columns: The columns of custom fields; None where those leave as an array.
        prefetch: Streams that are read ahead of their turn.
    """

    session: Session
    account: Account
    lists: Lists
    definitions: Definitions
    reader: Reader
    scope: Scope
    scope_digest: str
    columns: ColumnBook | None = None
    prefetch: Prefetch[EncodedPage] | None = None

    @classmethod
    def start(cls, session: Session, *, defer_checks: bool) -> Run:
        """Ask the account and build the rest.

        Args:
            session: Sends the requests.
            defer_checks: Whether the page boundaries of full scans are checked at the end of the run, by events that
                are read then anyway.

        Raises:
            TapError: the account can't be read.
        """
        account = account_of(session.client.get(ACCOUNT))
        account.honours = session.memory.honours
        columns = session.settings.custom_fields == "columns"
        book = ColumnBook(session.memory.columns, account.timezone) if columns else None
        return cls._of(session, account, _definitions(session), book, defer_checks=defer_checks)

    def again(self, *, ask_account: bool) -> Run:
        """For the next turn of a run that continues: what a separate run would have, without asking for what is known.

        Args:
            ask_account: Whether the account, and how old the definitions are, are looked at once more.

        Raises:
            TapError: the account can't be read.
        """
        account, definitions = self.account, self.definitions
        if ask_account:
            account = account_of(self.client.get(ACCOUNT))
            account.honours = self.memory.honours
            definitions = _definitions(self.session)
        return self._of(self.session, account, definitions, self.columns, defer_checks=self.reader.deferred)

    @classmethod
    def _of(
        cls,
        session: Session,
        account: Account,
        definitions: Definitions,
        columns: ColumnBook | None,
        *,
        defer_checks: bool,
    ) -> Run:
        settings, memory, client = session.settings, session.memory, session.client
        lists = Lists(memory.lists)
        reader = Reader(client, account, lists, settings.start_date, events_refused=memory.events_refused)
        reader.on_share = session.progress.reached
        reader.deferred = defer_checks and not settings.scoped
        digest = _scope_digest(settings)
        kept = memory.scope
        known = unpacked(kept.companies) if kept is not None and kept.digest == digest else None
        return cls(session, account, lists, definitions, reader, Scope(reader, memory.totals, known), digest, columns)

    @property
    def settings(self) -> Settings:
        """The checked settings."""
        return self.session.settings

    @property
    def client(self) -> Client:
        """Sends the requests."""
        return self.session.client

    @property
    def metrics(self) -> Metrics:
        """Counts of the run."""
        return self.session.metrics

    @property
    def memory(self) -> TapMemory:
        """What this run leaves for the next one."""
        return self.session.memory

    def write_metrics(self) -> None:
        """Write the metrics to `metrics_file`, if there is one."""
        self.session.write_metrics()

    def remember_scope(self) -> None:
        """After a complete run: the companies in scope, so that the next run knows those that come into it."""
        membership = self.scope.membership
        if membership.began is not None:
            self.memory.scope = RememberedScope(self.scope_digest, packed(membership.ids("companies")))


def _queue(config: Mapping[str, Any], settings: Settings) -> Queue:
    """The queue of webhooks. A wrong setting is found before the first reading, which may take hours."""
    from tap_amocrm.hooks.queue import open_queue

    return open_queue(str(config["hooks_queue"]), settings.api_url)


def _definitions(session: Session) -> Definitions:
    lifetime = session.settings.definitions_lifetime
    return Definitions(session.memory.definitions, lifetime, partial(_times, session.client.clock))


def _scope_digest(settings: Settings) -> str:
    s = settings
    chosen = (s.responsible_user_ids, s.company_custom_field_id, s.company_custom_field_value, s.company_limit)
    return hashlib.sha256(repr(chosen).encode()).hexdigest()[:16]


def _times(clock: ServerClock) -> tuple[float, float] | None:
    """The earliest time that it can be at the service, and the smallest that it sent; None where it sent none."""
    return None if clock.smallest is None else (clock.earliest(clock.moment()), clock.smallest)
