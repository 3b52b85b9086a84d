"""Which way a list is read on this kind of account: by ids, by keyset, newest first, or with a filter of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from tap_amocrm.api.account import Account
from tap_amocrm.api.deletions import read_events
from tap_amocrm.api.listing import request_for
from tap_amocrm.api.seen_lists import Lists, time_of
from tap_amocrm.declarations import LISTINGS, events_that_shrink
from tap_amocrm.errors import ApiError
from tap_amocrm.http.client import Client, Params
from tap_amocrm.reading.full_scan import CLOCK_SLACK, FullScan
from tap_amocrm.reading.keyset_scan import FilterIgnoredError, KeysetScan, OrderIgnoredError, descending_until, settled
from tap_amocrm.reading.overlapping_pages import OverlappingPages
from tap_amocrm.shapes import Record

logger = logging.getLogger("tap-amocrm")
# Later than any updated_at (year 2242); the service accepts it.
FAR_FUTURE = 1 << 33


class Reader:
    """Reads the big lists of one account.

    A full scan goes by ID; its page boundaries must be checked against the deletions of its time. `scans` keeps those
    that wait for it while `deferred` is set (the stream deleted_records reads these events anyway); otherwise each scan
    is checked as it ends.

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
        self.scans: dict[str, FullScan] = {}

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

    def _from(self, name: str, low: int | None, *, anchored: bool) -> Iterator[list[Record]]:
        """Records from a second on, None for all, by the best way that this account allows."""
        listing = LISTINGS[name]
        promised = anchored or (low is None and not self.lists.known_empty(name))
        if not listing.orders_by_time:
            # A filter on updated_at and no order by it, as of tasks; by id, an update can only show a record again.
            params: Params = [] if low is None else [("filter[updated_at][from]", str(low))]
            promised = promised or not self.lists.known_empty(name)
            yield from self._since(self.full_scan(name, params, nonempty=promised), low)
            return
        filters = self.account.filter_package or not listing.needs_filter_package
        what = f"filter[updated_at] of {name}"
        if (low is not None or self.events_refused) and filters and self.account.honours.get(what) is not False:
            try:
                yield from KeysetScan(self.client, listing, low or 0, FAR_FUTURE, promised=promised)
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

    def full_scan(self, name: str, params: Params | None = None, *, nonempty: bool = True) -> Iterator[list[Record]]:
        """A list by ID, whole or with filters of its own that records do not leave."""
        if self.events_refused:  # deletions would go unnoticed
            yield from OverlappingPages(self.client, LISTINGS[name], params or []).between(0)
            return
        scan = FullScan(self.client, LISTINGS[name], params, nonempty=nonempty, rank=1 + list(LISTINGS).index(name))
        yield from scan
        if scan.window is None:
            return
        if self.deferred and not params:
            self.scans[name] = scan
        else:
            yield from scan.repair(self.removal_times(LISTINGS[name].stream, scan.window[0] - CLOCK_SLACK))

    def unchecked(self, name: str) -> tuple[int, int] | None:
        """The time window of a full scan whose page boundaries are not checked yet, Unix seconds."""
        scan = self.scans.get(name)
        return None if scan is None else scan.window

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
            logger.warning("Events can't be read (%s): deletions during a scan go unnoticed.", error)
            self.events_refused = True
            return []
        return [float(time_of(e, "created_at") or 0) for e in events]
