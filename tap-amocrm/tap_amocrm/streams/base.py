"""What all streams share: bookmarks, pages, the way to the output."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, cast

import pendulum
from singer_sdk import Stream, Tap
from singer_sdk.exceptions import MappingError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform

from tap_amocrm.api.conform import Conformer
from tap_amocrm.bookmarks import Bookmark
from tap_amocrm.declarations import Declaration
from tap_amocrm.errors import ApiError, StreamMapError
from tap_amocrm.run_context import Run
from tap_amocrm.shapes import Record
from tap_amocrm.singer_io.catalog_check import FULL_TABLE
from tap_amocrm.singer_io.run_marker import SCHEMA_KEY, RunMarker
from tap_amocrm.singer_io.writer import encode_records, write_lines
from tap_amocrm.state import StreamBookmark

# An endpoint that the account's plan (402) or the user's rights (403) refuse gives an empty stream.
REFUSED = (402, 403)


class AmoTap(Tap):
    """What the streams know of the tap they belong to."""

    marker: RunMarker

    @cached_property
    @abstractmethod
    def run(self) -> Run:
        """What the streams share."""

    def settle_bookmarks(self) -> None:
        """Set all bookmarks of streams that are read by what is known of the service's time now."""
        for stream in self.streams.values():
            if isinstance(stream, AmoStream):
                stream.settle_bookmark()

    def big_streams(self) -> list[AmoStream]:
        """The selected streams of entities, notes and tasks."""
        return [s for s in self.streams.values() if isinstance(s, AmoStream) and s.listings and s.selected]


class AmoStream(Stream):
    """Base of all streams: reads pages, writes records, moves one bookmark once all before it is through.

    The bookmark is the server's time at which the reading began, not the newest `updated_at`: API clients may set that
    to any value, and what changes while the list is read must come again. Beside it the state holds the digest of the
    scope it was read with, and `walked` while a whole list's borders are not checked yet (docs/incremental.md).
    """

    primary_keys: ClassVar[list[str]] = ["account_id", "id"]
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    is_sorted = False
    declared: ClassVar[Declaration]
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
            cls.bookmarked = declared.replication_key is not None
            cls.listings = tuple(x.name for x in declared.listings) if declared.incremental else ()

    def __init__(self, tap: AmoTap) -> None:
        super().__init__(tap, schema=self.declared.schema, name=self.name)
        self.amo = tap
        self._conform = Conformer(self.schema)
        self._read = False

    @abstractmethod
    def pages(self, since: int | None) -> Iterator[list[Record]]:
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
        good = self.forced_replication_method != FULL_TABLE
        good = good and kept.scope == self.amo.run.scope_digest and not kept.walked
        return self.mark.since(kept.replication_key_value, good=good)

    @property
    def began(self) -> int | None:
        """When this run began to read the stream, by the server's clock at the earliest; Unix seconds."""
        moment = self.mark.moment
        return None if moment is None else int(self.amo.run.client.clock.earliest(moment))

    def shape(self, record: Record, listing: str) -> Record:
        """A record of one of the incremental lists as the stream gives it."""
        raise NotImplementedError

    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[Record]:
        """All records, one by one; the bookmark moves behind the last of them."""
        del context
        for records in self.unrefused_pages():
            self._prepare(records)
            yield from records
        self._move_bookmark()

    def encoded_pages(self) -> Iterator[tuple[int, bytes]]:
        """Pages as numbers of records and their messages, which take less memory than the records while they wait."""
        for records in self.unrefused_pages():
            self._prepare(records)
            if records:
                yield len(records), encode_records(self.name, records, pendulum.now("UTC").to_iso8601_string())

    def _prepare(self, records: list[Record]) -> None:
        """What happens to all records before they leave: their types, counts, unknown users and fields."""
        self._conform(records)
        run = self.amo.run
        run.metrics.read(self.name, len(records))
        run.definitions.watch(self.name, records)
        run.session.progress.advance(self.name, len(records))

    def _move_bookmark(self) -> None:
        """All of the stream has been written."""
        if not self.bookmarked or self.mark.moment is None:
            return
        self._read = True
        if self.settle_bookmark():
            windows = [w for name in self.listings if (w := self.amo.run.reader.unchecked(name)) is not None]
            self.kept.walked = [min(w[0] for w in windows), max(w[1] for w in windows)] if windows else None
            self.save()
        self.amo.settle_bookmarks()

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
        kept.replication_key, kept.replication_key_value, kept.scope = self.replication_key, value, run.scope_digest
        self.save()
        return True

    def unrefused_pages(self) -> Iterator[list[Record]]:
        """Pages; none, with a warning, where the account's plan or the user's rights refuse the endpoint."""
        since = self.since()
        self.mark.moment = self.amo.run.client.clock.moment()
        try:
            yield from self.pages(since)
        except ApiError as error:
            if error.status not in REFUSED:
                raise
            self.mark.moment = None
            self.logger.warning("Stream %s stays empty: %s", self.name, error)

    @property
    def plain(self) -> bool:
        """Whether records leave as they are: no stream map, no property deselected."""
        return all(isinstance(m, SameRecordTransform) for m in self.stream_maps) and all(self.mask.values())

    def write(self, records: list[Record]) -> None:
        """Write records of this stream at once, outside its own turn."""
        self._prepare(records)
        if self.plain:
            write_lines(encode_records(self.name, records, pendulum.now("UTC").to_iso8601_string()))
        else:
            for record in records:
                self._write_record_message(record)

    def _sync_records(
        self, context: Mapping[str, Any] | None = None, *, write_messages: bool = True
    ) -> Generator[Record, Any, Any]:
        """The SDK's loop, but for pages of records: no copy, no per-record bookkeeping.

        With stream maps or deselected properties, and in dry runs, the SDK's own loop does it.
        """
        if context or not self.plain or not write_messages or not self.selected or self.ABORT_AT_RECORD_COUNT:
            yield from super()._sync_records(context, write_messages=write_messages)
            return
        with self.get_record_counter() as counter, self.get_sync_timer():
            prefetch = self.amo.run.prefetch
            ahead = prefetch.pages(self.name) if prefetch is not None else None
            for count, lines in ahead if ahead is not None else self.encoded_pages():
                write_lines(lines)
                counter.increment(count)
            self._move_bookmark()
        self._write_state_message()

    def _generate_record_messages(self, record: Record) -> Generator[Any, None, None]:
        """The SDK's; an expression of a stream map that fails on a record is named with it."""
        identity = record.get("id")
        try:
            yield from super()._generate_record_messages(record)
        except (ArithmeticError, AttributeError, LookupError, MappingError, TypeError, ValueError) as error:
            # The error's own text may hold a value of the record.
            msg = (
                f"Setting stream_maps: stream {self.name}, record {identity}: an expression fails "
                f"({type(error).__name__}). A null value is the usual cause; str(name) takes one."
            )
            raise StreamMapError(msg) from None

    def log(self, message: str, *args: Any, level: int = 20, **kwargs: Any) -> None:
        """The SDK's log but for its line on an unhandled error: the error itself says all, once."""
        if "unhandled error" not in message:
            super().log(message, *args, level=level, **kwargs)

    def _increment_stream_state(self, latest_record: Record, *, context: Mapping[str, Any] | None = None) -> None:
        """The bookmark moves once, at the end of the stream."""

    def _write_starting_replication_value(self, context: Mapping[str, Any] | None) -> None:
        """The bookmark in the state is the starting value; nothing else is kept there."""

    def _generate_schema_messages(self) -> Generator[Any, None, None]:
        for message in super()._generate_schema_messages():
            message.schema = {
                **message.schema,
                "x-amocrm-account": self.amo.run.account.annotation(self.amo.run.settings.api_url),
                SCHEMA_KEY: self.amo.marker.in_schema(),
            }
            yield message
