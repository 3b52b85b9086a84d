"""Retry policy of the API and the token endpoint."""

from __future__ import annotations

import random
from dataclasses import dataclass

# A later try may succeed. Other statuses below 500 are final.
_TRANSIENT = frozenset({304, 408, 425, 429})
# Longer waits are logged.
WORTH_A_LINE = 2.0


def is_transient(status: int) -> bool:
    """Whether a retry may give another status."""
    return status in _TRANSIENT or status >= 500


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with jitter; `Retry-After` has priority.

    Args:
        tries: Maximum number of tries.
        first: Seconds after the first try.
        factor: Growth of the pause with each try.
        longest: The longest pause of the backoff, in seconds.
        longest_asked: The longest pause that the service may request; None for no limit.
    """

    tries: int
    first: float = 0.5
    factor: float = 2.0
    longest: float = 30.0
    longest_asked: float | None = None

    def pause(self, tried: int, asked: float | None) -> float:
        """Seconds to wait after a number of tries; `asked` is the pause that the service requests, if any."""
        if asked is not None:
            return asked if self.longest_asked is None else min(asked, self.longest_asked)
        return min(self.first * self.factor ** (tried - 1), self.longest) * random.uniform(0.7, 1.3)
