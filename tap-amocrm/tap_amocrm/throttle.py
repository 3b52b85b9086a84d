"""One throttle for all requests of the process: spaced, and never a burst after a stall."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import fasteners

# What counts is when requests arrive. One that is held up on the way comes nearer to those behind it: seven requests
# take so much longer than a second that eight don't arrive within one, and 6.8 a second are still reached.
_MARGIN = 0.013
_WIDEST_MARGIN = 0.1
# Of the margin so much may be used up between a request's slot and the wire.
_HELD_UP = 0.003
# A refusal in spite of the margin widens it.
_WIDER_AFTER_REFUSAL = 0.01
# How fast a late wake-up is forgotten, slot by slot: half of it is gone after three seconds.
_FORGET = 0.97
# A slot that is missed by less than this part of the spacing is made up for, later ones are gone.
_MADE_UP = 0.35
_LONGEST_QUEUE = 60.0
_LONG_AGO = -1e9


@dataclass
class Slots:
    """What was given out, on the monotonic clock: the last slot, when the last requests left, a pause's end."""

    due: float = _LONG_AGO
    left: list[float] = field(default_factory=list)
    not_before: float = _LONG_AGO


class SlotStore(Protocol):
    """Where slots are kept."""

    @contextmanager
    def changing(self) -> Iterator[Slots]:
        """The slots, for one at a time; changes are kept."""
        ...


class OwnSlots:
    """The slots of one process."""

    def __init__(self) -> None:
        self._slots = Slots()
        self._lock = threading.Lock()

    @contextmanager
    def changing(self) -> Iterator[Slots]:
        """The slots, for one thread at a time."""
        with self._lock:
            yield self._slots


class FileSlots:
    """The slots of all processes of this machine that use the same file; its monotonic clock is theirs in common.

    Raises:
        OSError: the file can't be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._threads = threading.Lock()
        self._processes = fasteners.InterProcessLock(str(path) + ".lock")

    @contextmanager
    def changing(self) -> Iterator[Slots]:
        """The slots, for one process at a time."""
        with self._threads:
            self._processes.acquire(delay=0.001, max_delay=0.004)
            try:
                slots = self._read()
                yield slots
                part = self._path.with_name(self._path.name + ".part")
                part.write_text(json.dumps(asdict(slots)), "ascii")
                part.replace(self._path)
            finally:
                self._processes.release()

    def _read(self) -> Slots:
        try:
            slots = Slots(**json.loads(self._path.read_text("ascii")))
            last = max(slots.due, slots.not_before, *slots.left, _LONG_AGO)
        except (OSError, TypeError, ValueError):
            return Slots()
        # What lies far ahead was written before the machine was started anew.
        return slots if last < time.monotonic() + _LONGEST_QUEUE else Slots()


class Throttle:
    """Hands out slots, `requests_per_second` and a little less: see `interval`.

    `acquire` waits for the next slot; `leaving` is around the writing of a request to its connection, so that one which
    is held up in between counts from when it leaves. A stall delays the queue; what was not used is gone.
    """

    def __init__(
        self,
        requests_per_second: float,
        store: SlotStore | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = requests_per_second
        self._most = max(1, int(requests_per_second))
        self._slots: SlotStore = store or OwnSlots()
        self._clock, self._sleep = clock, sleep
        self._margin = _MARGIN
        self._late = 0.0

    @property
    def margin(self) -> float:
        """The part of a second by which a second's requests are spread wider.

        On a machine so busy that threads wake up late, requests are held up on the way, too: the margin follows.
        """
        return min(max(self._margin, self._late / 2), _WIDEST_MARGIN)

    @property
    def interval(self) -> float:
        """Seconds from slot to slot."""
        return (1 + self.margin) / self._rate

    def acquire(self) -> float:
        """Wait for the next slot; returns the seconds waited."""
        with self._slots.changing() as slots:
            now = self._clock()
            slot = max(slots.due + self.interval, slots.not_before)
            if slot < now - _MADE_UP * self.interval:
                slot = now
            slots.due = slot
        if slot > now:
            self._sleep(slot - now)
            self._late = max(self._clock() - slot, self._late * _FORGET)
        return max(0.0, slot - now)

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """Around the writing of a request: waits until a second has passed since the request that fills it.

        The request counts from when it is written. Nobody else goes on meanwhile, so that none of them is counted too
        early, however late this thread comes back from the write.
        """
        while True:
            with self._slots.changing() as slots:
                now = self._clock()
                full = len(slots.left) >= self._most
                second = (1 + self.margin - _HELD_UP) * self._most / self._rate
                free = slots.left[-self._most] + second if full else _LONG_AGO
                if free <= now:
                    try:
                        yield
                    finally:
                        slots.left = [*slots.left, self._clock()][-self._most :]
                    return
            self._sleep(free - now)

    def close(self) -> None:
        """Give back what the throttle holds."""

    def pause(self, seconds: float) -> None:
        """Let nobody through for some seconds, and be more careful then: the server said that it is too much."""
        self._margin = min(self._margin + _WIDER_AFTER_REFUSAL, _WIDEST_MARGIN)
        with self._slots.changing() as slots:
            slots.not_before = max(slots.not_before, self._clock() + seconds)
