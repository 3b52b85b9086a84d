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


# How many pages may wait of the list that comes next, of the one behind it, and so on. What the first pages of a list
# leave free of the rate limit, while it is not known to be long, is about that; a kill costs them. A list behind it
# begins with what waits, and leaves next to nothing free.
_AHEAD = (8, 3, 1)


class _Turns(Generic[Page]):
    """The lanes in the order in which they are taken."""

    def __init__(self) -> None:
        self._lanes: list[_Lane[Page]] = []
        self._change = threading.Condition()

    def add(self, lane: _Lane[Page]) -> None:
        """One more lane, behind the others."""
        with self._change:
            self._lanes.append(lane)

    def leave(self, lane: _Lane[Page]) -> None:
        """A lane is being taken, or has been read to its end: the others move up."""
        with self._change:
            if lane in self._lanes:
                self._lanes.remove(lane)
            self._change.notify_all()

    def wait(self, lane: _Lane[Page]) -> None:
        """Wait until a lane may read one page more."""
        with self._change:
            self._change.wait_for(lambda: lane not in self._lanes or self._may(lane))

    def _may(self, lane: _Lane[Page]) -> bool:
        place = self._lanes.index(lane)
        return place < len(_AHEAD) and lane.waiting < _AHEAD[place]


class _Baton(_Turns[Page]):
    """One lane at a time reads on, once the page of the last one has been taken. Meanwhile each has requested the page
    that it reads next."""

    def __init__(self) -> None:
        super().__init__()
        self._free = threading.Semaphore()

    def add(self, lane: _Lane[Page]) -> None:
        """Nothing to do."""

    def leave(self, lane: _Lane[Page]) -> None:
        """Nothing to do."""

    def wait(self, lane: _Lane[Page]) -> None:
        """Wait until what was read has been taken."""
        del lane
        self._free.acquire()

    def pass_on(self) -> None:
        """What a lane read has been taken."""
        self._free.release()


class _Lane(Generic[Page]):
    """One list read in a separate thread, `into` a queue that limits how far; with `turns` only as far as its turn is
    near."""

    def __init__(
        self,
        name: str,
        read: Callable[[], Iterator[Page]],
        into: queue.Queue[Page | BaseException | None],
        turns: _Turns[Page] | None = None,
    ) -> None:
        self._queue = into
        self._stopped = threading.Event()
        self._turns = turns
        if turns is not None:
            turns.add(self)
        threading.Thread(target=self._run, args=(read,), name=f"read-{name}", daemon=True).start()

    @property
    def waiting(self) -> int:
        """How many pages wait to be taken."""
        return self._queue.qsize()

    def _run(self, read: Callable[[], Iterator[Page]]) -> None:
        try:
            pages = read()
            while True:
                if self._turns is not None:
                    self._turns.wait(self)
                if self._stopped.is_set():
                    return
                try:
                    page = next(pages)
                except StopIteration:
                    break
                if not self._put(page):
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)
        finally:
            self._leave()

    def _put(self, item: Page | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def _leave(self) -> None:
        if self._turns is not None:
            self._turns.leave(self)

    def stop(self) -> None:
        self._stopped.set()
        self._leave()

    def __iter__(self) -> Iterator[Page]:
        self._leave()
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item


class Prefetch(Generic[Page]):
    """Reads streams ahead of the one that is being written.

    Args:
        streams: Their names, and what reads them, in the order in which they are taken.
        room: Pages of each that wait at most.
        sparing: Whether only the next streams are read ahead, and not far: what waits is lost when the run is killed.
    """

    def __init__(
        self, streams: Sequence[tuple[str, Callable[[], Iterator[Page]]]], room: int, *, sparing: bool = False
    ) -> None:
        turns: _Turns[Page] | None = _Turns() if sparing else None
        self._lanes = {name: _Lane(name, read, queue.Queue(room), turns) for name, read in streams}

    def pages(self, name: str) -> Iterator[Page] | None:
        """The pages of a stream, None when it is not read ahead or has been taken."""
        lane = self._lanes.pop(name, None)
        return iter(lane) if lane is not None else None

    def stop(self) -> None:
        """Let the threads end."""
        for lane in self._lanes.values():
            lane.stop()


def as_they_come(reads: Sequence[Callable[[], Iterator[Page]]], *, sparing: bool = False) -> Iterator[Page]:
    """The pages of several lists that are read side by side, in the order in which they come.

    Args:
        reads: Each reads a list.
        sparing: Whether only one page waits beside those in flight: it is lost when the run is killed. For lists that
            request the next page before they give one.
    """
    if len(reads) == 1:
        yield from reads[0]()
        return
    pages: queue.Queue[Page | BaseException | None] = queue.Queue(1)
    baton = _Baton[Page]() if sparing else None
    lanes = [_Lane(f"list-{number}", read, pages, baton) for number, read in enumerate(reads)]
    reading = len(lanes)
    try:
        while reading:
            item = pages.get()
            if baton is not None:
                baton.pass_on()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                reading -= 1
            else:
                yield item
    finally:
        for lane in lanes:
            lane.stop()
            if baton is not None:
                baton.pass_on()
