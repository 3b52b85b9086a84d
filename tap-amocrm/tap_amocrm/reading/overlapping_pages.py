"""Reads a part of a list by pages that overlap: immune to records deleted or restored between two requests.

A page is one moment of the list. A list in order of ID, read so that each page begins at or before the last ID that is
known already, has no gap: a deletion or a restore moves the page's place, which is detected and searched for again.
Page numbers alone give no overlap; another `limit` does: page 3 of 249 begins at 498, two records before page 3 of 250.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count

from tap_amocrm.api.listing import Pages, request_for
from tap_amocrm.declarations import Listing
from tap_amocrm.errors import TapError
from tap_amocrm.http.client import Client, Page, Params
from tap_amocrm.positions import ListPosition, Position, Way
from tap_amocrm.shapes import Record, record_id

# Pages of fewer records would hardly overlap; this many are asked for even where `page_size` is smaller.
_SMALLEST = 8
# Halving finds any place of a list that is still in a few dozen requests.
_MOST_SEARCHES = 64


class OverlappingPages:
    """Records of a list between two ids.

    Args:
        client: Sends the requests.
        listing: The list, which can be ordered by id.
        params: Filters of its own; the order is added.
    """

    def __init__(self, client: Client, listing: Listing, params: Params) -> None:
        self.client, self.listing = client, listing
        self._left = self._place = 0
        self.params: Params = [("order[id]", "asc"), *(p for p in params if p[0] != "order[id]")]

    @property
    def filters(self) -> Params:
        """What narrows the list, without its order."""
        return self.params[1:]

    def between(
        self, left: int, right: int | None = None, place: int = 0, margin: int | None = None
    ) -> Iterator[list[Record]]:
        """Records with ids above `left` and below `right` (None: to the end), in order.

        Args:
            left: An id; 0 for the list's beginning.
            right: An id, None for the list's end.
            place: How many records there probably are up to `left`.
            margin: How many of these the first page should show, so that it is found although the place has moved.

        Raises:
            TapError: the list changes so fast that the place can't be found.
        """
        seen, passed = True, Pages(self.listing.path)
        while right is None or left < right - 1:
            page, place = self._page_over(left, place, margin) if seen else self._page_at(place)
            records = page.records(self.listing.key)
            ids = [i for i in map(record_id, records) if i]
            self._left, self._place = max(left, ids[-1]) if ids else left, place
            # A record whose id can't be read has no place in the order: it comes wherever it is seen.
            found = [r for r in records if (i := record_id(r)) == 0 or (left < i and (right is None or i < right))]
            if found:
                yield found
            if page.next_params is None:
                return
            passed.passed(records, more=True)
            # A page may be empty, with others behind it: records that the token's user may not see.
            seen = bool(ids)
            left, margin = max(left, ids[-1]) if ids else left, None

    @property
    def position(self) -> Position:
        """The position behind the records that were given last."""
        return partial(ListPosition, Way.OVERLAP, self._place, self._left)

    def _page_over(self, left: int, place: int, margin: int | None) -> tuple[Page, int]:
        """A page that begins at or before `left` and reaches behind it, or to the list's end; and where it ends."""
        low, high, step, nearest, closed = 0, None, 1, None, 0
        for _ in range(_MOST_SEARCHES):
            number, limit = self.page_at(place, margin)
            begin, end = (number - 1) * limit, number * limit
            page = self._ask(number, limit)
            ids = [i for i in map(record_id, page.records(self.listing.key)) if i]
            if begin > 0 and (not ids or ids[0] > left):  # too far behind
                high, nearest = begin, (page, end)
                place = (low + high) // 2 if low else max(0, high - step * limit)
            elif ids and ids[-1] <= left and page.next_params is not None:  # too far in front
                low = end
                place = (low + high) // 2 if high is not None else low + (step - 1) * limit
            else:
                return page, end
            step *= 2
            if high is not None and low >= high:  # the list moved meanwhile
                closed += 1
                if closed > 1 and nearest is not None:  # or the records in front of it can't be seen by this user
                    return nearest
                low, high, step = 0, None, 1
        msg = (
            f"{self.listing.path} changes faster than it can be read: the record behind id {left} was not found in "
            f"{_MOST_SEARCHES} requests. What was loaded stays; run again when the account is quieter."
        )
        raise TapError(msg)

    def _page_at(self, place: int) -> tuple[Page, int]:
        number, limit = self.page_at(place)
        return self._ask(number, limit), number * limit

    def page_at(self, place: int, margin: int | None = None) -> tuple[int, int]:
        """Number and limit of the page that shows the records around a place: at least one in front of it, or `margin`,
        and as many behind it as can be."""
        largest = max(self.client.settings.page_size, _SMALLEST)
        if place <= 0:
            return 1, largest
        # A limit that divides the place gives a page that ends there and shows nothing behind it. Where all of them do,
        # as all up to 8 divide 840, a page a little larger has to be asked for.
        limits = [limit for limit in range(largest, largest // 2, -1) if place % limit]
        limits = limits or [next(limit for limit in count(largest + 1) if place % limit)]

        def worth(limit: int) -> int:
            in_front, behind = place % limit, limit - place % limit
            return behind if margin is None else min(in_front, margin) * largest + behind

        chosen = max(limits, key=worth)
        return place // chosen + 1, chosen

    def _ask(self, number: int, limit: int) -> Page:
        params = [("limit", str(limit)), ("page", str(number)), *self.params]
        return self.client.get(request_for(self.listing, params, promised=True))
