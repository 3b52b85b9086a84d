"""Reads several lists at once while their records leave in order, so that no slot of the throttle stays empty.

The SDK syncs one stream after another. What later streams bring waits in a short queue each: memory stays bounded,
the order of the output the same.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Page = TypeVar("Page")


class _Lane(Generic[Page]):
    """One list read in a thread of its own, at most `room` pages ahead of whoever takes them.

    Until somebody takes them its pages count against `ahead`, which all lanes share.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Iterator[Page]],
        room: int,
        ahead: threading.Semaphore | None = None,
    ) -> None:
        self._queue: queue.Queue[Page | BaseException | None] = queue.Queue(room)
        self._stopped, self._taken = threading.Event(), threading.Event()
        self._ahead, self._counted = ahead, 0
        threading.Thread(target=self._run, args=(read,), name=f"read-{name}", daemon=True).start()

    def _run(self, read: Callable[[], Iterator[Page]]) -> None:
        try:
            pages = read()
            while self._may_read_ahead():
                try:
                    page = next(pages)
                except StopIteration:
                    self._put(None)
                    return
                if not self._put(page):
                    return
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

    def _may_read_ahead(self) -> bool:
        """Wait until a page may be read; False when nobody takes it any more."""
        if self._ahead is None:
            return not self._stopped.is_set()
        while not self._taken.is_set() and not self._stopped.is_set():
            if self._ahead.acquire(timeout=0.05):
                self._counted += 1
                break
        return not self._stopped.is_set()

    def stop(self) -> None:
        self._stopped.set()

    def __iter__(self) -> Iterator[Page]:
        self._taken.set()
        while True:
            item = self._queue.get()
            if self._ahead is not None and self._counted:
                self._counted -= 1
                self._ahead.release()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item


class Prefetch(Generic[Page]):
    """Reads streams ahead of the one that is being written.

    Args:
        streams: Their names, and what reads them.
        room: Pages of each that wait at most.
        ahead: Pages of all that wait at most before it is their turn; None for no such limit. They are lost when the
            run is killed.
    """

    def __init__(
        self, streams: Sequence[tuple[str, Callable[[], Iterator[Page]]]], room: int, ahead: int | None = None
    ) -> None:
        shared = None if ahead is None else threading.Semaphore(ahead)
        self._lanes = {name: _Lane(name, read, room, shared) for name, read in streams}

    def pages(self, name: str) -> Iterator[Page] | None:
        """The pages of a stream, None when it is not read ahead or has been taken."""
        lane = self._lanes.pop(name, None)
        return iter(lane) if lane is not None else None

    def stop(self) -> None:
        """Let the threads end."""
        for lane in self._lanes.values():
            lane.stop()


def side_by_side(reads: Sequence[Callable[[], Iterator[Page]]], room: int = 1) -> Iterator[Page]:
    """All of the first list, then all of the second and so on, while all of them are being read."""
    lanes = [_Lane(f"list-{number}", read, room) for number, read in enumerate(reads)]
    try:
        for lane in lanes:
            yield from lane
    finally:
        for lane in lanes:
            lane.stop()
