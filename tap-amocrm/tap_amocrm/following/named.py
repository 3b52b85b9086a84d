"""Records that webhooks have named, read by their IDs as soon as can be."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from tap_amocrm.declarations import LISTINGS
from tap_amocrm.hooks.hints import Hint
from tap_amocrm.hooks.queue import Queue, QueueError
from tap_amocrm.planning.reread import ByIds
from tap_amocrm.run_context import Run
from tap_amocrm.streams.base import AmoStream

logger = logging.getLogger("tap-amocrm")
# More records of a list are found by its bookmark with fewer requests.
_MOST_BY_ID = 400
_SECONDS_AFTER_FAULT = 30.0


class Named:
    """The queue of hints, as the tap reads it. A queue that can't be used costs freshness, and no record.

    Args:
        queue: Where the receiver puts hints.
        clock: The monotonic clock.
    """

    def __init__(self, queue: Queue, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue, self._clock = queue, clock
        self._not_before = 0.0
        self.hints = 0

    def take(self) -> tuple[int, list[Hint]]:
        """What waits in the queue, and a number for `done`."""
        if self._clock() < self._not_before:
            return 0, []
        try:
            number, hints = self._queue.take()
        except QueueError as error:
            self._fault(error)
            return 0, []
        self.hints += len(hints)
        return number, hints

    def done(self, number: int) -> None:
        """Hints up to a number of `take` have been read; what is not taken off is read once more."""
        try:
            self._queue.done(number)
        except QueueError as error:
            self._fault(error)

    def _fault(self, error: QueueError) -> None:
        self._not_before = self._clock() + _SECONDS_AFTER_FAULT
        logger.warning(
            "The queue of webhooks can't be read (%s); changes are found by polling. Next try in %.0f s.",
            error,
            _SECONDS_AFTER_FAULT,
        )

    def close(self) -> None:
        """Close the queue."""
        self._queue.close()


def read_named(run: Run, streams: dict[str, AmoStream], hints: list[Hint]) -> set[str]:
    """Read and write the records that hints name.

    Returns:
        Streams that have to be read by their bookmarks instead, or as well.

    Raises:
        TapError: a request failed.
    """
    wanted: dict[str, set[int]] = {}
    for hint in hints:
        wanted.setdefault(hint.kind, set()).add(hint.record_id)
    left: set[str] = set()
    for name, ids in wanted.items():
        listing = LISTINGS.get(name)
        stream = streams.get(name if listing is None else listing.stream)
        if stream is None:
            continue
        if listing is None or run.settings.scoped or len(ids) > _MOST_BY_ID:
            left.add(stream.name)
            continue
        found = ByIds(run.reader, None).listed(name, sorted(ids))
        if found is None:
            left.add(stream.name)
            continue
        for records in found:
            stream.write([stream.shape(record, name) for record in records])
    return left
