"""Children by batches of their parents' IDs, each answer compared with the request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tap_amocrm.api.listing import request_for
from tap_amocrm.declarations import Listing
from tap_amocrm.errors import ApiError, UrlTooLongError
from tap_amocrm.http.client import Ask, Client, Page, Params
from tap_amocrm.reading.full_scan import CLOCK_SLACK, FullScan
from tap_amocrm.reading.keyset_scan import FilterIgnoredError
from tap_amocrm.shapes import Record

Belongs = Callable[[Record, set[int]], bool]
RemovalTimes = Callable[[int], list[float]]


class Batches:
    """Reads a list narrowed to batches of ids: `filter[entity_id][]`, `filter[company_id][]`, `filter[id][]`.

    A batch of several pages is read by ID like a whole list; `removal_times` then gives when records left it since a
    second, and what they may have hidden is read again.
    """

    def __init__(
        self,
        client: Client,
        listing: Listing,
        parameter: str,
        belongs: Belongs,
        size: int,
        removal_times: RemovalTimes,
        extra: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.client, self.listing, self.parameter = client, listing, parameter
        self.belongs, self.size, self.extra = belongs, size, tuple(extra)
        self.removal_times = removal_times
        self.scans: list[FullScan] = []

    def read(self, ids: Sequence[int]) -> Iterator[list[Record]]:
        """The records of all batches, in the order of the ids.

        Raises:
            FilterIgnoredError: the first answer held records that were not asked for, or the account answers 400.
        """
        ordered = sorted(set(ids))
        if not ordered:
            return
        # The first batch goes alone: it shows whether this account supports the filter at all.
        yield from self._batch(ordered[: self.size])
        rest = [ordered[i : i + self.size] for i in range(self.size, len(ordered), self.size)]
        asks = {self._ask(batch): batch for batch in rest}
        for ask, page in self._in_order(list(asks)):
            if page is None:  # too long: halve
                for half in _halves(asks[ask]):
                    yield from self._batch(half)
            else:
                yield from self._pages(asks[ask], page)
        yield from self._hidden()

    def _hidden(self) -> Iterator[list[Record]]:
        windows = [scan.window for scan in self.scans if scan.window is not None]
        if windows:
            times = self.removal_times(min(since for since, _ in windows) - CLOCK_SLACK)
            for scan in self.scans:
                yield from scan.repair(times)

    def _in_order(self, asks: list[Ask]) -> Iterator[tuple[Ask, Page | None]]:
        done = 0
        try:
            for ask, page in self.client.in_order(asks):
                done += 1
                yield ask, page
        except UrlTooLongError:
            yield asks[done], None
            yield from self._in_order(asks[done + 1 :])

    def _narrowed(self, batch: Sequence[int]) -> Params:
        return [*self.extra, *((self.parameter, str(i)) for i in batch)]

    def _ask(self, batch: Sequence[int]) -> Ask:
        params = [("limit", str(self.client.settings.page_size)), ("page", "1"), ("order[id]", "asc")]
        # Most batches bring something: one that brings nothing is asked for once more.
        return request_for(self.listing, [*params, *self._narrowed(batch)], promised=True)

    def _batch(self, batch: Sequence[int]) -> Iterator[list[Record]]:
        try:
            page = self.client.get(self._ask(batch))
        except UrlTooLongError:
            if len(batch) == 1:
                raise
            self.size = max(1, len(batch) // 2)
            for half in _halves(batch):
                yield from self._batch(half)
            return
        except ApiError as error:
            if error.status == 400:
                raise FilterIgnoredError from None
            raise
        yield from self._pages(batch, page)

    def _pages(self, batch: Sequence[int], page: Page) -> Iterator[list[Record]]:
        self.client.metrics.batches_by_stream[self.listing.stream] += 1
        wanted, scan = set(batch), FullScan(self.client, self.listing, self._narrowed(batch), first=page)
        for records in scan:
            if not all(self.belongs(r, wanted) for r in records):
                raise FilterIgnoredError
            yield records
        if scan.boundaries:
            self.scans.append(scan)


def _halves(batch: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    middle = (len(batch) + 1) // 2
    return batch[:middle], batch[middle:]
