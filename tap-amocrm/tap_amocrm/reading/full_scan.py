"""Reads a whole list by pages in order of id, several pages in flight; docs/incremental.md gives the reasons.

In order of ID an update moves nothing and a new record comes last. Only a deletion moves the records behind it one
place towards the front, and the first of the next page over a page boundary that has been passed. Such boundaries are
found by the times of the deletion events, and the records around them are read again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

from tap_amocrm.api.listing import Pages, request_for
from tap_amocrm.declarations import Listing
from tap_amocrm.http.client import Client, Page, Params
from tap_amocrm.positions import ListPosition, PageBoundary, Position, Way
from tap_amocrm.reading.overlapping_pages import OverlappingPages
from tap_amocrm.shapes import Record, record_id

# Pages that must be known before one more is requested on trust: at most one request in eight is in vain.
_PAGES_FOR_TRUST = 8
# Event times are whole seconds, and the clock is known from Date headers, whole seconds as well.
CLOCK_SLACK = 2
_NO_ID_IS_SO_LARGE = 1 << 62


@dataclass(frozen=True)
class _Passed:
    """The page that was passed last: records up to its end, its last ID, and between which times it was read."""

    place: int
    last: int
    sent: float
    received: float


class FullScan:
    """All records of a list; iterate once, then call `repair` for the records that deletions have hidden.

    Requests use `rank`, so that the list that leaves first is read first; the others get the slots that it leaves free.
    What was read ahead of its turn is lost when the run is killed.

    Args:
        client: Sends the requests.
        listing: The list, which can be ordered by ID.
        params: Filters of its own.
        nonempty: Whether an empty first page is requested again.
        rank: The priority of its pages.
        first: The first page, where it has been read by `order[id]` and these params.
        start: Where an earlier run was interrupted. The page boundaries that it left unchecked are checked as well.
    """

    def __init__(
        self,
        client: Client,
        listing: Listing,
        params: Params | None = None,
        *,
        nonempty: bool = True,
        rank: int = 1,
        first: Page | None = None,
        start: ListPosition | None = None,
    ) -> None:
        self.client, self.listing, self.nonempty = client, listing, nonempty
        self.rank, self._first = rank, first
        self._size = client.settings.page_size
        self._params: Params = [("order[id]", "asc"), *(params or [])]
        self.boundaries: list[PageBoundary] = list(start.boundaries) if start else []
        self._passed = _Passed(start.place, start.last, start.sent, start.received) if start and start.place else None
        # Page numbers count from the list's beginning, whatever the page size was when it was interrupted.
        self._begin = 1 + (start.place // self._size if start else 0)

    @property
    def filters(self) -> Params:
        """What narrows the list, without its order."""
        return self._params[1:]

    @property
    def window(self) -> tuple[int, int] | None:
        """Unix seconds of the server's clock between which a deletion could hide a record; None for one page."""
        if not self.boundaries:
            return None
        return int(min(b.since for b in self.boundaries)), int(max(b.until for b in self.boundaries))

    @property
    def position(self) -> Position:
        """The position behind the page that was given last."""
        return partial(self._position, self._passed, len(self.boundaries))

    def _position(self, passed: _Passed | None, boundaries: int) -> ListPosition:
        if passed is None:
            return ListPosition(Way.PAGES)
        checked = tuple(self.boundaries[:boundaries])
        return ListPosition(Way.PAGES, passed.place, passed.last, passed.sent, passed.received, boundaries=checked)

    def _ask(self, number: int, *, promised: bool = False) -> Future[Page]:
        params = [("limit", str(self._size)), ("page", str(number)), *self._params]
        return self.client.submit(replace(request_for(self.listing, params, promised=promised), rank=self.rank))

    def _first_page(self) -> Future[Page]:
        if self._first is None:
            return self._ask(self._begin, promised=self.nonempty)
        there: Future[Page] = Future()
        there.set_result(self._first)
        return there

    def __iter__(self) -> Iterator[list[Record]]:
        """Pages in order; a record may come twice."""
        waiting: deque[Future[Page]] = deque([self._first_page()])
        asked = number = self._begin
        passed = Pages(self.listing.path)
        try:
            while True:
                page = waiting.popleft().result()
                records = page.records(self.listing.key)
                if not records and number > 1:
                    page = self._ask(number, promised=True).result()
                    records = page.records(self.listing.key)
                self._pass(number, page, records)
                if page.next_params is not None:
                    ahead = min(self.client.settings.max_concurrent_requests - 1, number // _PAGES_FOR_TRUST)
                    while asked < number + 1 + ahead:
                        asked += 1
                        waiting.append(self._ask(asked))
                yield records
                if page.next_params is None:
                    return
                passed.passed(records, more=True)
                number += 1
        finally:
            for future in waiting:
                future.cancel()

    def _pass(self, number: int, page: Page, records: list[Record]) -> None:
        """Note the boundary in front of a page, and that the page has been read."""
        ids = [i for i in map(record_id, records) if i]
        last = self._passed
        if last is not None:
            # A page that was announced and is empty: all its records may have moved in front of the boundary.
            behind = ids[0] if ids else _NO_ID_IS_SO_LARGE
            times = (last.sent, last.received, page.sent, page.received)
            self.boundaries.append(PageBoundary(last.place, last.last, behind, min(times), max(times)))
        if records:
            self._passed = _Passed(number * self._size, ids[-1] if ids else 0, page.sent, page.received)

    def repair(self, removed_at: Iterable[float]) -> Iterator[list[Record]]:
        """Records that may have been missed because others were deleted at these times.

        Around each boundary that was being passed at such a time, a page is read that holds both its sides.
        """
        times = sorted(removed_at)
        for boundary in self.boundaries:
            if any(boundary.since - CLOCK_SLACK <= t <= boundary.until + CLOCK_SLACK for t in times):
                again = OverlappingPages(self.client, self.listing, self._params)
                yield from again.between(boundary.before, boundary.behind, boundary.place, self._size // 4)
