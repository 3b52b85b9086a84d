"""Reads whole lists, or what changed in them, while they change; docs/incremental.md gives the reasons.

Two ways: by keyset over `updated_at` where the service can filter and order by it (nothing is missed, whatever is
updated or deleted meanwhile), by page numbers elsewhere (deletions shift pages; they are detected by the events, and
the list is read again).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial

from tap_amocrm.api.listing import pages, request_for
from tap_amocrm.api.seen_lists import time_of
from tap_amocrm.declarations import Listing
from tap_amocrm.http.client import Client, Page, Params
from tap_amocrm.positions import ListPosition, Position, Way
from tap_amocrm.reading.overlapping_pages import OverlappingPages
from tap_amocrm.shapes import Record, record_id

logger = logging.getLogger("tap-amocrm")
# Splitting a range costs up to a page; below this many pages on one side it does not pay.
_PAGES_BEFORE_SPLIT = 4
# So many records of a page may be out of order before the order counts as ignored.
_STRAYS = 3


class FilterIgnoredError(Exception):
    """What came back is not what was asked for: this account ignores the filter."""


@dataclass
class _Cursor:
    """One end of a range of seconds that is being read; `going` is +1 upwards, -1 downwards."""

    unread: _Range
    going: int
    pages: int = 0
    asked: tuple[int, int] = (0, 0)


@dataclass
class _Range:
    """Seconds from `low` to `high` (both included) that are not read yet; both ends move towards each other."""

    low: int
    high: int

    @property
    def left(self) -> int:
        return self.high - self.low + 1


class KeysetScan:
    """All records of a list whose `updated_at` is in a range, read from several places at once.

    Each request asks for the first page of what is left of a range, so that no update or delete can shift a page. A
    record that is updated meanwhile leaves for a later second: the caller's next scan starts before this one began.
    """

    def __init__(
        self, client: Client, listing: Listing, ranges: Iterable[tuple[int, int]], *, promised: bool = False
    ) -> None:
        self.client, self.listing, self.promised = client, listing, promised
        self.ranges = [_Range(low, high) for low, high in ranges]
        self.workers = client.settings.max_concurrent_requests
        self.running: dict[Future[Page], _Cursor] = {}
        # What was given out of the seconds at which pages begin and end: only these are read twice.
        self.edges: dict[int, set[int]] = {}

    def __iter__(self) -> Iterator[list[Record]]:
        """Lists of records; some may come twice. Raises FilterIgnoredError when the filter shows no effect."""
        for unread in self.ranges:
            self._start(_Cursor(unread, +1), promised=self.promised)
        try:
            while self.running:
                done, _ = wait(self.running, return_when=FIRST_COMPLETED)
                for future in done:
                    cursor = self.running.pop(future)
                    yield from self._arrived(cursor, future.result())
                self._employ()
        finally:
            for future in self.running:
                future.cancel()

    @property
    def position(self) -> Position:
        """The position behind the records that were given last."""
        return partial(ListPosition, Way.KEYSET, ranges=tuple((r.low, r.high) for r in self.ranges))

    def _params(self, low: int, high: int, going: int) -> Params:
        return [
            ("limit", str(self.client.settings.page_size)),
            ("filter[updated_at][from]", str(low)),
            ("filter[updated_at][to]", str(high)),
            ("order[updated_at]", "asc" if going > 0 else "desc"),
        ]

    def _start(self, cursor: _Cursor, *, promised: bool = True) -> None:
        """Ask for what is left of a range. But for the first request it is known, or likely, to hold something."""
        unread = cursor.unread
        cursor.asked = (unread.low, unread.high)
        params = [*self._params(unread.low, unread.high, cursor.going), ("page", "1")]
        ask = request_for(self.listing, params, promised=promised)
        self.running[self.client.submit(ask)] = cursor

    def _arrived(self, cursor: _Cursor, page: Page) -> Iterator[list[Record]]:
        unread = cursor.unread
        records = page.records(self.listing.key)
        # Records without a time come, too; they tell nothing about the range.
        times = [t for r in records if (t := time_of(r)) is not None]
        more = page.next_params is not None
        self._check(cursor, times)
        if more and not times:
            raise FilterIgnoredError
        cursor.pages += 1
        if times:
            self.edges.setdefault(times[0], set())
            self.edges.setdefault(times[-1], set())
        if records and more:
            edge = times[-1]
            if min(times) == max(times):
                for more_records in self._second(edge):
                    yield self._unseen(more_records)
                edge += cursor.going
            if cursor.going > 0:
                unread.low = max(unread.low, edge)
            else:
                unread.high = min(unread.high, edge)
        else:
            unread.low, unread.high = 1, 0  # the page held all that was left
        if unread.left > 0:
            self._start(cursor)
        else:
            self.ranges = [r for r in self.ranges if r.left > 0]
        yield self._unseen(records)

    def _check(self, cursor: _Cursor, times: list[int]) -> None:
        """Check that an answer respects the range and the order."""
        low, high = cursor.asked
        if times and (min(times) < low or max(times) > high or times != sorted(times, reverse=cursor.going < 0)):
            raise FilterIgnoredError

    def _unseen(self, records: list[Record]) -> list[Record]:
        """The records without those of an edge that have been given out."""
        fresh: list[Record] = []
        for record in records:
            at = time_of(record)
            given, identity = None if at is None else self.edges.get(at), record_id(record)
            if given is None or not identity:
                fresh.append(record)
            elif identity not in given:
                given.add(identity)
                fresh.append(record)
        return fresh

    def _second(self, second: int) -> Iterator[list[Record]]:
        """A second that holds more than a page: by id, in pages that overlap, whatever leaves it or comes back."""
        params: Params = [("filter[updated_at][from]", str(second)), ("filter[updated_at][to]", str(second))]
        yield from OverlappingPages(self.client, self.listing, params).between(0)

    def _employ(self) -> None:
        """Give idle workers something to do: the other end of a range, or half of a large one."""
        cursors = list(self.running.values())
        while len(self.running) < self.workers:
            cursor = max((c for c in cursors if c.unread.left > 1), key=lambda c: c.pages, default=None)
            if cursor is None or cursor.pages < _PAGES_BEFORE_SPLIT // 2:
                return
            other_end = all(c.unread is not cursor.unread or c is cursor for c in self.running.values())
            if other_end:
                self._start(_Cursor(cursor.unread, -cursor.going))
                cursors = [c for c in cursors if c is not cursor]
                continue
            if cursor.pages < _PAGES_BEFORE_SPLIT:
                return
            self._split(cursor)
            cursors = [c for c in cursors if c is not cursor]

    def _split(self, cursor: _Cursor) -> None:
        """Half of a range that two cursors read becomes a separate range, with a reader between them."""
        unread = cursor.unread
        middle = (unread.low + unread.high) // 2
        upper = _Range(middle + 1, unread.high)
        unread.high = middle
        for running in self.running.values():
            if running.unread is unread and running.going < 0:
                running.unread = upper
                running.pages = 0
        cursor.pages = 0
        self.ranges.append(upper)
        if upper.left > 0:
            self._start(_Cursor(upper, +1))


class OrderIgnoredError(Exception):
    """A list does not come newest first, although that was asked for."""


def descending_until(client: Client, listing: Listing, since: int, *, promised: bool = False) -> Iterator[list[Record]]:
    """What changed since a second, newest first: for accounts whose filters are ignored and whose order is not.

    Records without a time, and single ones out of order, neither end the reading nor are left out.

    Raises:
        OrderIgnoredError: the account ignores the order.
    """
    for records in pages(client, listing, [("order[updated_at]", "desc")], promised=promised):
        yield [r for r in records if (t := time_of(r)) is None or t >= since]
        times = [t for r in records if (t := time_of(r)) is not None]
        rises = sum(later > earlier for earlier, later in itertools.pairwise(times))
        if rises > max(_STRAYS, len(times) // 4):
            raise OrderIgnoredError
        if times and times[-1] < since:
            return


def settled(
    read: Callable[[], Iterator[list[Record]]],
    disturbed: Callable[[], bool],
    at_last: Callable[[], Iterator[list[Record]]],
    name: str,
) -> Iterator[list[Record]]:
    """Read a list by pages, and again if records were deleted meanwhile: a deletion moves an unread record back over a
    page boundary. On a second disturbance, fall back to `at_last`, which is immune to deletions."""
    for attempt in range(2):
        count = 0
        for records in read():
            count += 1
            yield records
        if count <= 1 or not disturbed():
            return
        logger.info("%s: records left the list while it was read; reading it again%s.", name, ", whole" * attempt)
    yield from at_last()
