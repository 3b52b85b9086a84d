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

from tap_amocrm.api.listing import Pages, request_for
from tap_amocrm.declarations import Listing
from tap_amocrm.http.client import Client, Page, Params
from tap_amocrm.reading.overlapping_pages import OverlappingPages
from tap_amocrm.shapes import Record, record_id

# Pages that must be known before one more is requested on trust: at most one request in eight is in vain.
_PAGES_FOR_TRUST = 8
# Event times are whole seconds, and the clock is known from Date headers, whole seconds as well.
CLOCK_SLACK = 2
_NO_ID_IS_SO_LARGE = 1 << 62


@dataclass(frozen=True)
class PageBoundary:
    """Between page `number` and the next: the ids on both sides, and the time in which both were read."""

    number: int
    before: int
    behind: int
    since: float
    until: float


class FullScan:
    """All records of a list; iterate once, then call `repair` for the records that deletions have hidden.

    A `first` page that has been read by `order[id]` and these params need not be read again. If `nonempty`, an
    empty first page is requested again. First pages have the highest priority; later ones use `rank`, so that the list
    that leaves first is read first, and the others only far enough to have several pages in flight in their turn.
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
    ) -> None:
        self.client, self.listing, self.nonempty = client, listing, nonempty
        self.rank, self._first = rank, first
        self.boundaries: list[PageBoundary] = []
        self._params: Params = [("order[id]", "asc"), *(params or [])]

    @property
    def window(self) -> tuple[int, int] | None:
        """Unix seconds of the server's clock between which a deletion could hide a record; None for one page."""
        if not self.boundaries:
            return None
        return int(min(b.since for b in self.boundaries)), int(max(b.until for b in self.boundaries))

    def _ask(self, number: int, *, promised: bool = False) -> Future[Page]:
        params = [("limit", str(self.client.settings.page_size)), ("page", str(number)), *self._params]
        rank = 0 if number <= _PAGES_FOR_TRUST else self.rank
        return self.client.submit(replace(request_for(self.listing, params, promised=promised), rank=rank))

    def _first_page(self) -> Future[Page]:
        if self._first is None:
            return self._ask(1, promised=self.nonempty)
        there: Future[Page] = Future()
        there.set_result(self._first)
        return there

    def __iter__(self) -> Iterator[list[Record]]:
        """Pages in order; a record may come twice."""
        waiting: deque[Future[Page]] = deque([self._first_page()])
        asked, number, last = 1, 1, None
        passed = Pages(self.listing.path)
        try:
            while True:
                page = waiting.popleft().result()
                records = page.records(self.listing.key)
                if not records and number > 1:
                    page = self._ask(number, promised=True).result()
                    records = page.records(self.listing.key)
                self._note(number, last, page, records)
                last = (page, records) if records else last
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

    def _note(self, number: int, last: tuple[Page, list[Record]] | None, page: Page, records: list[Record]) -> None:
        if last is not None:
            # A page that was announced and is empty: all its records may have moved in front of the boundary.
            before = next((i for i in map(record_id, reversed(last[1])) if i), 0)
            behind = next((i for i in map(record_id, records) if i), _NO_ID_IS_SO_LARGE)
            times = (last[0].sent, last[0].received, page.sent, page.received)
            self.boundaries.append(PageBoundary(number - 1, before, behind, min(times), max(times)))

    def repair(self, removed_at: Iterable[float]) -> Iterator[list[Record]]:
        """Records that may have been missed because others were deleted at these times.

        Around each boundary that was being passed at such a time, a page is read that holds both its sides.
        """
        times = sorted(removed_at)
        size = self.client.settings.page_size
        for boundary in self.boundaries:
            if any(boundary.since - CLOCK_SLACK <= t <= boundary.until + CLOCK_SLACK for t in times):
                again = OverlappingPages(self.client, self.listing, self._params)
                yield from again.between(boundary.before, boundary.behind, boundary.number * size, size // 4)
