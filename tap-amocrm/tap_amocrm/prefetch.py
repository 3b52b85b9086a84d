"""Reads the next streams while this one is written, so that no slot of the throttle stays empty.

The SDK syncs one stream after another. A list whose last page is awaited leaves slots unused; the streams that come
next use them. What they bring waits in a short queue each: memory stays bounded, the order of the output the same.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Page = list[dict[str, Any]]
_STREAMS_AHEAD = 4
_PAGES_WAITING = 12


class _Lane:
    """One stream read in a thread of its own."""

    def __init__(self, name: str, read: Callable[[], Iterator[Page]], stopped: threading.Event) -> None:
        self._queue: queue.Queue[Page | BaseException | None] = queue.Queue(_PAGES_WAITING)
        self._stopped = stopped
        self._thread = threading.Thread(target=self._run, args=(read,), name=f"read-{name}", daemon=True)
        self._thread.start()

    def _run(self, read: Callable[[], Iterator[Page]]) -> None:
        try:
            for page in read():
                if not self._put(page):
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)

    def _put(self, item: Page | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[Page]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item


class Prefetch:
    """Keeps a few streams ahead of the one that is being written."""

    def __init__(self, streams: Sequence[tuple[str, Callable[[], Iterator[Page]]]]) -> None:
        self._waiting = list(streams)
        self._lanes: dict[str, _Lane] = {}
        self._stopped = threading.Event()

    def pages(self, name: str) -> Iterator[Page] | None:
        """The pages of a stream, None when it was not announced or has been taken."""
        while self._waiting and (len(self._lanes) <= _STREAMS_AHEAD or name not in self._lanes):
            following, read = self._waiting.pop(0)
            self._lanes[following] = _Lane(following, read, self._stopped)
        lane = self._lanes.pop(name, None)
        return iter(lane) if lane is not None else None

    def stop(self) -> None:
        """Let the threads end."""
        self._stopped.set()
