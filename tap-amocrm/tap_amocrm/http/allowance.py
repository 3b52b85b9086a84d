"""A part of the rate limit: what a process that reads without end may take of it, and leaves for others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Allowance:
    """Requests that may be sent: `rate` more each second, and no more than `most` saved up.

    Args:
        rate: Requests a second.
        most: How many may leave at once after a time without any.
        clock: The monotonic clock, seconds.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        rate: float,
        most: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate, self._most = rate, most
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        # It begins with next to nothing saved up: what came before may have taken the whole limit.
        self._left, self._at = min(1.0, most), clock()

    @property
    def left(self) -> float:
        """How many requests may leave now."""
        with self._lock:
            return self._refill()

    def take(self) -> None:
        """Wait until a request may leave, and count it."""
        while True:
            with self._lock:
                left = self._refill()
                if left >= 1:
                    self._left = left - 1
                    return
            self._sleep((1 - left) / self.rate)

    def _refill(self) -> float:
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self.rate)
        self._at = now
        return self._left
