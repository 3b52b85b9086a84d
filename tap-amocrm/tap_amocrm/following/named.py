"""Records that webhooks have named, read by their IDs as soon as can be."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from tap_amocrm.declarations import LISTINGS
from tap_amocrm.following.brought import Brought
from tap_amocrm.hooks.hints import Hint
from tap_amocrm.hooks.queue import Queue, QueueError
from tap_amocrm.planning.reread import ByIds
from tap_amocrm.run_context import Run
from tap_amocrm.shapes import Record
from tap_amocrm.singer_io.prefetch import as_they_come
from tap_amocrm.streams.base import AmoStream

logger = logging.getLogger("tap-amocrm")
# More records of a list are found by its bookmark with fewer requests.
_MOST_BY_ID = 400
_SECONDS_AFTER_FAULT = 30.0
_ORDER = list(LISTINGS)


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

    def wait(self, seconds: float) -> None:
        """Wait for hints, at most for these seconds."""
        if self._clock() >= self._not_before:
            try:
                self._queue.wait(seconds)
            except QueueError as error:
                self._fault(error)
            else:
                return
        time.sleep(seconds)

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


def read_named(run: Run, streams: Mapping[str, AmoStream], hints: list[Hint], brought: Brought) -> set[str]:
    """Read the records that hints name, all lists at once, and write them, parents before their children.

    Args:
        run: The run of this turn.
        streams: The selected streams by name.
        hints: What to read.
        brought: Takes note of what was read.

    Returns:
        Streams that have to be read by their bookmarks instead, or as well.

    Raises:
        TapError: a request failed.
    """
    wanted: dict[str, set[int]] = {}
    for hint in hints:
        wanted.setdefault(hint.kind, set()).add(hint.record_id)
    by_id: list[str] = []
    left: set[str] = set()
    for name, ids in wanted.items():
        listing = LISTINGS.get(name)
        stream = streams.get(name if listing is None else listing.stream)
        if stream is None:
            continue
        if listing is None or run.settings.scoped or len(ids) > _MOST_BY_ID:
            left.add(stream.name)
        else:
            by_id.append(name)
    read = dict(as_they_come([partial(_listed, run, name, sorted(wanted[name])) for name in by_id]))
    for name, found in sorted(read.items(), key=lambda item: _ORDER.index(item[0])):
        stream = streams[LISTINGS[name].stream]
        if found is None:
            left.add(stream.name)
        for records in found or ():
            brought.note(name, records, run.client.clock.latest(run.client.clock.moment()))
            stream.write([stream.shape(record, name) for record in records])
    return left


def _listed(run: Run, name: str, ids: list[int]) -> Iterator[tuple[str, list[list[Record]] | None]]:
    """A list, and its records with these IDs; None where the account does not filter it by them."""
    yield name, ByIds(run.reader, None).listed(name, ids)
