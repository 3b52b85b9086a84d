"""When a request is tried again, and after how long: one policy for the API and for the token endpoint."""

from __future__ import annotations

import random
from dataclasses import dataclass

# The service, or something in front of it, may answer another time. Other statuses below 500 are final.
_TRANSIENT = frozenset({304, 408, 425, 429})
# Waits that are longer are named in the log.
WORTH_A_LINE = 2.0


def is_transient(status: int) -> bool:
    """Whether another try may bring another answer than this status."""
    return status in _TRANSIENT or status >= 500


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with jitter; what the service asks for (Retry-After) goes before it.

    Args:
        tries: How often a request is sent at most.
        first: Seconds after the first try.
        factor: By how much each pause is longer than the one before it.
        longest: The longest pause of its own, in seconds.
        longest_asked: The longest pause that the service may ask for; None for whatever it asks.
    """

    tries: int
    first: float = 0.5
    factor: float = 2.0
    longest: float = 30.0
    longest_asked: float | None = None

    def pause(self, tried: int, asked: float | None) -> float:
        """Seconds to wait after a number of tries; `asked` is what the service asks for, if anything."""
        if asked is not None:
            return asked if self.longest_asked is None else min(asked, self.longest_asked)
        return min(self.first * self.factor ** (tried - 1), self.longest) * random.uniform(0.7, 1.3)
