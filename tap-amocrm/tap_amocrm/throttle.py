"""One throttle for all requests of the process: spaced, and never a burst after a stall."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import fasteners

# Requests that leave at exactly 1/7 s apart may reach the server eight in a second when one is held up on the way;
# this much wider they do not, and 6.8 a second are still reached.
_MARGIN = 1.017
_LONGEST_QUEUE = 60.0


class Throttle:
    """Hands out moments to send: at least `1.017 / requests_per_second` seconds apart.

    A stall delays the queue; what was not used is gone. Whoever sends says so by `sent`: a request that was held up
    between its moment and the wire counts from when it really left.
    """

    def __init__(
        self,
        requests_per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.interval = _MARGIN / requests_per_second
        self._window = _MARGIN * max(1, int(requests_per_second)) / requests_per_second
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._last = float("-inf")
        self._not_before = float("-inf")
        # When the last requests left, as many as fit into a second.
        self._left: deque[float] = deque(maxlen=max(1, int(requests_per_second)))

    def acquire(self) -> float:
        """Wait for the next moment; returns the seconds waited.

        The lock is held while waiting: what is measured is the moment at which the caller goes on, so that a thread
        that wakes up late pushes the others back.
        """
        started = self._clock()
        with self._lock:
            while True:
                now = self._clock()
                full = self._left[0] + self._window if len(self._left) == self._left.maxlen else float("-inf")
                wait = max(self._last + self.interval, self._not_before, full) - now
                if wait <= 0:
                    break
                self._sleep(wait)
            self._last = now
        return now - started

    def sent(self) -> None:
        """A request leaves now."""
        self._left.append(self._clock())

    def pause(self, seconds: float) -> None:
        """Let nobody through for some seconds: the server said that it is too much."""
        self._not_before = max(self._not_before, self._clock() + seconds)


class SharedThrottle(Throttle):
    """One throttle for all processes of this machine that use the same file.

    Each takes the next free moment under a lock and then waits for it by itself. The moments are on the monotonic
    clock, which the processes of one machine share.

    Raises:
        OSError: the file can't be made.
    """

    def __init__(
        self,
        requests_per_second: float,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(requests_per_second, clock=clock, sleep=sleep)
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._file_lock = fasteners.InterProcessLock(str(path) + ".lock")

    def acquire(self) -> float:
        """Wait for the next moment that no process has taken; returns the seconds waited."""
        waited = super().acquire()
        with self._lock:
            pause = self._reserve() - self._clock()
            if pause > 0:
                self._sleep(pause)
                self._last = self._clock()
        return waited + max(0.0, pause)

    def _reserve(self) -> float:
        with self._file_lock:
            now = self._clock()
            try:
                taken = float(self._path.read_text("ascii"))
            except (OSError, ValueError):
                taken = 0.0
            # What lies far ahead was written before the machine was started anew.
            free = taken + self.interval if taken < now + _LONGEST_QUEUE else now
            moment = max(now, free)
            self._path.write_text(repr(moment), "ascii")
        return moment
