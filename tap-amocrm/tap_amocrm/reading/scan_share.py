"""How much of a list has been read: an estimate, for the progress that a person sees."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tap_amocrm.api.listing import request_for
from tap_amocrm.declarations import Listing
from tap_amocrm.errors import TapError
from tap_amocrm.http.client import Client
from tap_amocrm.reading.full_scan import FullScan
from tap_amocrm.reading.keyset_scan import KeysetScan
from tap_amocrm.reading.overlapping_pages import OverlappingPages
from tap_amocrm.shapes import Record, record_id

# A list that takes longer than this, and has more pages, is worth one request for its last ID, since the service does
# not say how long a list is. With 50 pages that request is at most 2 % of the list's.
PATIENCE_SECONDS = 10.0
_LEAST_PAGES = 50


class ScanShare:
    """The share of a scan that is done, from 0 to 1.

    A keyset scan knows the seconds that are left. A scan by ID compares the last ID that came with the newest one,
    which is asked for once, when the scan has gone on for `PATIENCE_SECONDS`: IDs are given out in order of time, so
    their share is about that of the records.
    """

    def __init__(self, client: Client, listing: Listing, source: FullScan | KeysetScan | OverlappingPages) -> None:
        self._client, self._listing, self._source = client, listing, source
        self._began = time.monotonic()
        self._first = self._last = self._pages = 0
        self._newest: int | None = None
        self._span = self._seconds_left() if isinstance(source, KeysetScan) else 0

    def after(self, records: Iterable[Record]) -> float | None:
        """The share behind these records; None while nothing is known."""
        if isinstance(self._source, KeysetScan):
            return 1 - self._seconds_left() / self._span if self._span else None
        ids = [i for i in map(record_id, records) if i]
        self._pages += 1
        if ids:
            self._first, self._last = self._first or ids[0], max(self._last, *ids)
        if self._newest is None and self._last and self._is_long():
            self._newest = self._ask_newest()
        if not self._newest or self._newest <= self._last:
            return None
        return (self._last - self._first) / (self._newest - self._first) or None

    def _is_long(self) -> bool:
        return self._pages >= _LEAST_PAGES and time.monotonic() - self._began >= PATIENCE_SECONDS

    def _seconds_left(self) -> int:
        """Seconds of the ranges that are not read, up to now; 0 where a range begins with the service itself."""
        assert isinstance(self._source, KeysetScan)
        now = int(self._client.now())
        if any(r.low <= 0 for r in self._source.ranges):
            return 0
        return sum(max(0, min(r.high, now) - r.low + 1) for r in self._source.ranges)

    def _ask_newest(self) -> int:
        """The greatest ID of the list; 0 where the service does not say."""
        assert not isinstance(self._source, KeysetScan)
        params = [("limit", "1"), ("page", "1"), ("order[id]", "desc"), *self._source.filters]
        try:
            found = self._client.get(request_for(self._listing, params)).records(self._listing.key)
        except TapError:
            return 0
        return max((i for i in map(record_id, found) if i), default=0)
