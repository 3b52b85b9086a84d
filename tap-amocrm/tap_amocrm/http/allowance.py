"""A share of the rate limit: a following process uses it and leaves the rest to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Allowance:
    """A token bucket of requests: `rate` are added each second, up to `most`.

    Args:
        rate: Requests a second.
        most: Size of the bucket.
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
        # The bucket is almost empty at first: earlier requests may have used the whole limit.
        self._left, self._at = min(1.0, most), clock()

    @property
    def left(self) -> float:
        """Number of requests that may be sent now."""
        with self._lock:
            return self._refill()

    def take(self) -> None:
        """Wait until a request may be sent, and count it."""
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
