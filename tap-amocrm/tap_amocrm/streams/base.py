"""What all streams share: bookmarks, pages, the way to the output."""

from __future__ import annotations

import time
from abc import abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, cast

from singer_sdk.helpers.conform import TypeConformanceLevel

from tap_amocrm.bookmarks import Bookmark
from tap_amocrm.errors import ApiError
from tap_amocrm.moments import parse_moment
from tap_amocrm.positions import PageBoundary, Position
from tap_amocrm.run_context import EncodedPage
from tap_amocrm.shapes import Record
from tap_amocrm.singer_io.catalog_check import FULL_TABLE
from tap_amocrm.singer_io.writer import write_lines
from tap_amocrm.state import StreamBookmark
from tap_amocrm.streams.amo_tap import AmoTap
from tap_amocrm.streams.checkpoints import Checkpoints
from tap_amocrm.streams.writing import WritingStream

# An endpoint that the account's plan (402) or the user's rights (403) refuse gives an empty stream.
REFUSED = (402, 403)


class ReadPage(NamedTuple):
    """Records of a stream, and how far the list that they are of has been read behind them."""

    records: list[Record]
    listing: str = ""
    position: Position | None = None


class AmoStream(WritingStream):
    """Base of all streams: reads pages, writes records, moves one bookmark once all before it is through.

    The bookmark is the server's time at which the reading began, not the newest `updated_at`: API clients may set that
    to any value, and what changes while the list is read must come again. Beside it the state holds the digest of the
    scope it was read with, and `walked` while page boundaries of a full scan are not checked yet (docs/incremental.md).
    """

    primary_keys: ClassVar[list[str]] = ["account_id", "id"]
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    is_sorted = False
    bookmarked: ClassVar[bool]
    # Names of the lists that are read by what changed.
    listings: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        """Take over what the declaration says."""
        super().__init_subclass__()
        if "declared" in cls.__dict__:
            declared = cls.declared
            cls.name, cls.selected_by_default = declared.name, declared.selected
            if declared.replication_key is not None:
                cls.replication_key = declared.replication_key  # type: ignore[method-assign,assignment]
            cls.primary_keys = list(declared.keys)
            cls.bookmarked = declared.replication_key is not None and not declared.derived
            cls.listings = tuple(x.name for x in declared.listings) if declared.incremental else ()

    def __init__(self, tap: AmoTap) -> None:
        super().__init__(tap)
        self._read = False
        self._began_at: float | None = None
        self.checkpoints: Checkpoints
        # Takes out what has left already, in a following process.
        self.unsent: Callable[[list[Record]], list[Record]] = list

    @abstractmethod
    def read_pages(self, since: int | None) -> Iterator[ReadPage]:
        """Normalised records from a second on, None for all."""

    @cached_property
    def kept(self) -> StreamBookmark:
        """The stream's part of the state; what changes is kept by `save`."""
        return StreamBookmark.from_json(self.get_context_state(None))

    def save(self) -> None:
        """Keep the stream's part of the state, for the next STATE message."""
        self.kept.write(cast("dict[str, Any]", self.get_context_state(None)))

    @cached_property
    def mark(self) -> Bookmark:
        """The stream's bookmark in this run."""
        run = self.amo.run
        settings = run.settings
        return Bookmark(self.name, run.client.clock, settings.lookback_seconds, settings.start_date)

    def since(self) -> int | None:
        """Where reading begins: behind the bookmark by `lookback_seconds`, else at `start_date`."""
        if not self.bookmarked:
            return None
        kept = self.kept
        # What is made of this stream may have been selected later, or left out for a while.
        followed = [kept, *(follower.kept for follower in self.followers)]
        times = [k.replication_key_value for k in followed]
        good = self.incremental and all(times) and {k.scope for k in followed} == {self._digest}
        # A full scan whose page boundaries are not known, or can't be checked, is done again.
        good = good and not (kept.walked and (not kept.boundaries or self.amo.run.reader.events_refused))
        return self.mark.since(min(times, key=_moment) if good else kept.replication_key_value, good=good)

    @property
    def _digest(self) -> str:
        """Identifies what the stream is read with: the scope, and how custom fields leave."""
        digest = self.amo.run.scope_digest
        return digest if self.columns is None else f"{digest}-columns"

    @property
    def incremental(self) -> bool:
        """Whether the catalog lets the stream be read by what changed."""
        return bool(self.forced_replication_method != FULL_TABLE)

    @property
    def began(self) -> int | None:
        """When the reading of the stream began, also in an earlier run that was interrupted; Unix seconds of the
        service's clock, at the earliest."""
        return self.mark.began

    @property
    def earlier_scans(self) -> dict[str, tuple[PageBoundary, ...]]:
        """The page boundaries that an earlier run has left unchecked, by list."""
        return self.kept.earlier_scans() if self.kept.walked else {}

    def _checkpoints(self, since: int | None) -> Checkpoints:
        """The positions of this reading; those of an interrupted one of the same kind to begin with."""
        run, mark = self.amo.run, self.mark
        enabled = self.bookmarked and self.incremental and not run.settings.scoped
        known = run.client.clock
        found = Checkpoints(
            self.kept, lambda: mark.began if known.known else None, since, self._digest, enabled=enabled
        )
        if found.interrupted is not None and not mark.resume(found.interrupted.began):
            found.forget()
        if found.interrupted is not None:
            self.logger.info("Stream %s: continuing where an earlier run was interrupted.", self.name)
        return found

    def shape(self, record: Record, listing: str) -> Record:
        """A record of one of the incremental lists as the stream gives it."""
        raise NotImplementedError

    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[Record]:
        """All records, one by one; the bookmark moves behind the last of them."""
        del context
        for page in self.unrefused_pages():
            records = self.unsent(page.records)
            ready = self._ready_to_write(records)
            yield from records
            for derived in ready.derived:
                derived.write()
            self._passed(page.listing, page.position)
        self._move_bookmark()

    def encoded_pages(self) -> Iterator[EncodedPage]:
        """Pages as messages, which take less memory than the records while they wait."""
        for found, listing, position in self.unrefused_pages():
            records = self.unsent(found)
            ready = self._prepare(records)
            if records or position is not None:
                lines = b"".join((self._lines(records, ready), *(d.encoded() for d in ready.derived)))
                yield EncodedPage(len(records), lines, listing, position, tuple(d.written for d in ready.derived))

    def _move_bookmark(self) -> None:
        """All of the stream has been written."""
        self.amo.run.definitions.written(self.name)
        for follower in self.followers:
            follower.keep_position()
        if not self.bookmarked or self.mark.moment is None:
            return
        self._read = True
        self.checkpoints.end()
        if self.settle_bookmark():
            unchecked = {name: found for name in self.listings if (found := self.amo.run.reader.unchecked(name))}
            self.kept.keep_scans(unchecked)
        self.save()
        settle_bookmarks(self.amo)

    def _passed(self, listing: str, position: Position | None) -> None:
        """A page has been written."""
        if self.checkpoints.passed(listing, position):
            self.keep_position()
            self.amo.write_state()

    def keep_position(self) -> None:
        """Put into the state how far the stream has been written."""
        for follower in self.followers:
            follower.keep_position()
        if self._began_at is not None and self.checkpoints.keep():
            self.save()

    def settle_bookmark(self) -> bool:
        """Set the bookmark by all evidence so far, once the stream is read; whether it moved.

        Later answers can show that it is not so late as earlier ones said.
        """
        if not self._read:
            return False
        run, kept = self.amo.run, self.kept
        if run.lists.doubted.intersection(self.listings or (self.name,)):
            return False
        # Children were asked for by the companies as they were then; what changed since is the next run's.
        value = self.mark.moved(run.scope.membership.began if run.settings.scoped and self.listings else None)
        if value is None and not self.mark.unmovable:
            return False
        kept.replication_key, kept.replication_key_value, kept.scope = self.replication_key, value, self._digest
        self.save()
        for follower in self.followers:
            follower.follow(kept)
        return True

    def unrefused_pages(self) -> Iterator[ReadPage]:
        """Pages; none, with a warning, where the account's plan or the user's rights refuse the endpoint."""
        since = self.since()
        self.mark.moment, self._began_at = self.amo.run.client.clock.moment(), time.time()
        self.checkpoints = self._checkpoints(since)
        if self.listings and since == self.amo.run.settings.start_date and self.checkpoints.interrupted is None:
            self.sent = array("q")
        try:
            yield from self.read_pages(since)
        except ApiError as error:
            if error.status not in REFUSED:
                raise
            self.mark.moment = None
            self.logger.warning("Stream %s stays empty: %s", self.name, error)

    def write_pages(self) -> Iterator[int]:
        """Write all pages, those that were read ahead first; the bookmark moves behind the last of them."""
        prefetch = self.amo.run.prefetch
        ahead = prefetch.pages(self.name) if prefetch is not None else None
        for follower in self.followers:
            follower.announce()
        for page in ahead if ahead is not None else self.encoded_pages():
            write_lines(page.lines)
            for written in page.written:
                written()
            yield page.records
            self._passed(page.listing, page.position)
        self._move_bookmark()

    def begin_again(self) -> None:
        """The next reading begins: like that of a new run, from the bookmark that the last one has set."""
        for name in ("kept", "mark"):
            self.__dict__.pop(name, None)
        self._read, self._began_at, self.sent = False, None, None
        for follower in self.followers:
            follower.begin_owners()

    def read_again(self) -> int:
        """Read what changed since the last reading and write it; how many records. `begin_again` comes before.

        Raises:
            TapError: a request failed; the bookmark stays.
        """
        if self.plain:
            return sum(self.write_pages())
        written = 0
        for record in self.get_records(None):
            self.write_record(record)
            written += 1
        return written

    @property
    def refused(self) -> bool:
        """Whether the last reading was refused by the account's plan or the user's rights."""
        return self._began_at is not None and self.mark.moment is None

    def began_at(self) -> float | None:
        """When reading began, Unix seconds by this machine's clock."""
        return self._began_at


def _moment(value: str | None) -> Any:
    return parse_moment(str(value))


AmoStream.page_writer = AmoStream


def big_streams(tap: AmoTap) -> list[AmoStream]:
    """The selected streams of entities, notes and tasks."""
    return [s for s in tap.streams.values() if isinstance(s, AmoStream) and s.listings and s.selected]


def settle_bookmarks(tap: AmoTap) -> None:
    """Set all bookmarks of streams that are read by what is known of the service's time now."""
    for stream in tap.streams.values():
        if isinstance(stream, AmoStream):
            stream.settle_bookmark()
