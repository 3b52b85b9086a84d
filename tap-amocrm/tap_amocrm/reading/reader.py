"""Which way a list is read on this kind of account: by ids, by keyset, newest first, or with its own filter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from tap_amocrm.api.account import Account
from tap_amocrm.api.deletions import read_events
from tap_amocrm.api.listing import request_for
from tap_amocrm.api.seen_lists import Lists, time_of
from tap_amocrm.declarations import LISTINGS, events_that_shrink
from tap_amocrm.errors import ApiError
from tap_amocrm.http.client import Client, Params
from tap_amocrm.positions import ListPosition, PageBoundary, Position, Way
from tap_amocrm.reading.full_scan import CLOCK_SLACK, FullScan
from tap_amocrm.reading.keyset_scan import FilterIgnoredError, KeysetScan, OrderIgnoredError, descending_until, settled
from tap_amocrm.reading.overlapping_pages import OverlappingPages
from tap_amocrm.reading.scan_share import ScanShare
from tap_amocrm.shapes import Record

logger = logging.getLogger("tap-amocrm")
# Later than any updated_at (year 2242); the service accepts it.
FAR_FUTURE = 1 << 33
_STREAMS = list(dict.fromkeys(listing.stream for listing in LISTINGS.values()))


class Reader:
    """Reads the big lists of one account.

    A full scan goes by ID; its page boundaries must be checked against the deletions of its time. `scans` keeps those
    that wait for it while `deferred` is set (the stream deleted_records reads these events anyway); otherwise each scan
    is checked as it ends. `positions` holds how far each list has been read, where a later run can continue from there.

    Args:
        client: Sends the requests.
        account: Whose lists these are.
        lists: What earlier runs saw in them.
        start: Where reading begins without a bookmark, Unix seconds; None for the beginning.
        events_refused: Whether this user may not read events.
    """

    def __init__(
        self, client: Client, account: Account, lists: Lists, start: int | None = None, *, events_refused: bool = False
    ) -> None:
        self.client, self.account, self.lists, self.start = client, account, lists, start
        self.events_refused = events_refused
        self.deferred = False
        self.scans: dict[str, list[FullScan]] = {}
        self.positions: dict[str, Position] = {}
        # Gets a list, its stream, how many records came, and which share of the list is read then, if that is known.
        self.on_share: Callable[[str, str, int, float | None], None] | None = None

    def changed(self, name: str, since: int | None) -> Iterator[list[Record]]:
        """All records of a list, or those updated at or after a second; some may come twice, none is missed.

        Args:
            name: The list, a key of LISTINGS.
            since: Unix seconds, None for all.
        """
        if since is not None and self.lists.known_empty(name):
            since = self.start
        # Reading from a second that holds a record: nothing as an answer is then a fault.
        anchor = self.lists.anchor(name) if since is not None else None
        low = since if since is None or anchor is None else min(since, anchor)
        now = self.client.clock.latest(self.client.clock.moment())
        came = False
        for records in self.lists.seen(name, self._from(name, low, anchored=anchor is not None), now):
            came = came or bool(records)
            yield records if since is None else [r for r in records if (t := time_of(r)) is None or t >= since]
        if not came:
            yield from self._nothing(name, since)
        self._end(name)

    def rest(self, name: str, since: int | None, start: ListPosition) -> Iterator[list[Record]]:
        """What an interrupted reading of a list has not given yet; some records may come twice, none is missed.

        Args:
            name: The list, a key of LISTINGS.
            since: As in `changed` when the list was begun.
            start: How far it was read.
        """
        now = self.client.clock.latest(self.client.clock.moment())
        yield from self._since(self.lists.seen(name, self._from_position(name, since, start), now), since)
        self._end(name)

    def _from_position(self, name: str, since: int | None, start: ListPosition) -> Iterator[list[Record]]:
        self.positions[name] = lambda: start
        try:
            if start.way is Way.KEYSET:
                scan = KeysetScan(self.client, LISTINGS[name], start.ranges)
                yield from self._positioned(name, scan, scan)
            elif start.way is Way.OVERLAP or (start.way is Way.PAGES and not self.events_refused):
                pages = self.full_scan(name, low=start.low, nonempty=False, start=start)
                yield from self._since(pages, start.low)
            elif start.way is not Way.DONE:
                yield from self.changed(name, since)
            else:
                yield from self.check_earlier(name, start.boundaries)
        except FilterIgnoredError:
            yield from self.changed(name, since)

    def _end(self, name: str) -> None:
        """All of a list has been given."""
        unchecked = self.unchecked(name)
        self.positions[name] = lambda: ListPosition(Way.DONE, boundaries=unchecked)

    def _positioned(
        self,
        name: str,
        source: FullScan | KeysetScan | OverlappingPages,
        pages: Iterable[list[Record]],
        low: int | None = None,
    ) -> Iterator[list[Record]]:
        """The pages of a source; the position behind each is noted."""
        listing = LISTINGS[name]
        share = ScanShare(self.client, listing, source)
        for records in pages:
            position = source.position
            self.positions[name] = position if low is None else partial(_narrowed, position, low)
            if self.on_share is not None:
                self.on_share(name, listing.stream, len(records), share.after(records))
            yield records
        if self.on_share is not None:
            self.on_share(name, listing.stream, 0, 1.0)

    def _from(self, name: str, low: int | None, *, anchored: bool) -> Iterator[list[Record]]:
        """Records from a second on, None for all, by the best way that this account allows."""
        listing = LISTINGS[name]
        promised = anchored or (low is None and not self.lists.known_empty(name))
        if not listing.orders_by_time:
            # A filter on updated_at and no order by it, as of tasks; by id, an update can only show a record again.
            promised = promised or not self.lists.known_empty(name)
            yield from self._since(self.full_scan(name, low=low, nonempty=promised), low)
            return
        filters = self.account.filter_package or not listing.needs_filter_package
        what = f"filter[updated_at] of {name}"
        if (low is not None or self.events_refused) and filters and self.account.honours.get(what) is not False:
            try:
                scan = KeysetScan(self.client, listing, [(low or 0, FAR_FUTURE)], promised=promised)
                yield from self._positioned(name, scan, scan)
            except FilterIgnoredError:
                self.account.ignores(what, "its records are read newest first")
            else:
                return
        if low is None:
            yield from self.full_scan(name, nonempty=promised)
        else:
            yield from self._newest_first(name, low)

    def _newest_first(self, name: str, since: int) -> Iterator[list[Record]]:
        listing, moment = LISTINGS[name], int(self.client.now())
        self.positions.pop(name, None)
        promised = not self.lists.known_empty(name)
        try:
            yield from settled(
                lambda: descending_until(self.client, listing, since, promised=promised),
                lambda: bool(self.removal_times(listing.stream, moment - CLOCK_SLACK)),
                lambda: self._since(self.full_scan(name), since),
                listing.stream,
            )
        except OrderIgnoredError:
            logger.info("%s: this account does not list the newest records first; the whole list is read.", name)
            yield from self._since(self.full_scan(name), since)

    def _nothing(self, name: str, since: int | None) -> Iterator[list[Record]]:
        """A list answered nothing at all: see whether that can be."""
        listing, held = LISTINGS[name], self.lists.holds_records(name)
        if since is not None:
            if not listing.orders_by_time:
                if not held:
                    return
                order = ("order[id]", "desc")
            else:
                order = ("order[updated_at]", "desc")
            found = self.client.get(request_for(listing, [("limit", "1"), ("page", "1"), order], promised=True))
            newest = found.records(listing.key)
            if newest:
                at = time_of(newest[0])
                if not listing.orders_by_time:
                    self.lists.forget(name)
                elif at is None or at >= since:
                    yield from self._newest_first(name, since)
                else:
                    self.lists.note(name, at)
                return
        if held:
            self.lists.doubt(name)
        self.lists.empty(name)

    def full_scan(
        self,
        name: str,
        params: Params | None = None,
        *,
        low: int | None = None,
        nonempty: bool = True,
        start: ListPosition | None = None,
    ) -> Iterator[list[Record]]:
        """A list by ID: whole, from a position on, or narrowed by filters that records do not leave.

        Args:
            name: The list, a key of LISTINGS.
            params: Filters of its own.
            low: The second from which on it was updated, Unix time.
            nonempty: Whether an empty first page is requested again.
            start: How far it was read.
        """
        listing, by_overlap = LISTINGS[name], self.events_refused if start is None else start.way is Way.OVERLAP
        params = [*(params or ()), *([] if low is None else [("filter[updated_at][from]", str(low))])]
        if by_overlap:  # deletions would go unnoticed
            overlapping = OverlappingPages(self.client, listing, params)
            left, place = (start.last, start.place) if start else (0, 0)
            yield from self._positioned(name, overlapping, overlapping.between(left, place=place), low)
            return
        # Lists of one stream share what there is; streams that leave first are read first.
        rank = 1 + _STREAMS.index(listing.stream)
        scan = FullScan(self.client, listing, params, nonempty=nonempty, rank=rank, start=start)
        yield from self._positioned(name, scan, scan, low)
        yield from self._check(name, scan, defer=not params)

    def check_earlier(self, name: str, boundaries: Iterable[PageBoundary]) -> Iterator[list[Record]]:
        """Check the page boundaries that an earlier run has left, now or at the end of the run."""
        position = ListPosition(Way.PAGES, boundaries=tuple(boundaries))
        yield from self._check(name, FullScan(self.client, LISTINGS[name], start=position), defer=True)

    def _check(self, name: str, scan: FullScan, *, defer: bool) -> Iterator[list[Record]]:
        if scan.window is None:
            return
        if self.deferred and defer:
            self.scans.setdefault(name, []).append(scan)
        else:
            yield from scan.repair(self.removal_times(LISTINGS[name].stream, scan.window[0] - CLOCK_SLACK))

    def unchecked(self, name: str) -> tuple[PageBoundary, ...]:
        """The page boundaries of a list that are not checked yet."""
        return tuple(boundary for scan in self.scans.get(name, ()) for boundary in scan.boundaries)

    @staticmethod
    def _since(pages: Iterator[list[Record]], since: int | None) -> Iterator[list[Record]]:
        for records in pages:
            yield records if since is None else [r for r in records if (t := time_of(r)) is None or t >= since]

    def removal_times(self, stream: str, since: int, also: Sequence[str] = ()) -> list[float]:
        """When records left a stream's lists since a second, according to the events.

        Args:
            stream: Of the big streams.
            since: Unix seconds.
            also: Further types of events that count.
        """
        if self.events_refused:
            return []
        try:
            pages = read_events(self.client, stream, since, (*events_that_shrink(stream), *also))
            events = [event for page in pages for event in page]
        except ApiError as error:
            logger.warning("Events can't be read (%s): deletions during a scan are not detected.", error)
            self.events_refused = True
            return []
        return [float(time_of(e, "created_at") or 0) for e in events]


def _narrowed(position: Position, low: int) -> ListPosition:
    """A position in a list that is narrowed to what changed since a second."""
    return replace(position(), low=low)
