"""Bounds of the server's time: the earliest and the latest that all evidence permits.

Evidence consists of the `Date` headers of the answers and, if plausible, this machine's clock. Between two pieces of
evidence the monotonic clock is used, which can't be set.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timezone

logger = logging.getLogger("tap-amocrm")
# If this machine's clock is further behind, it is ignored: it was never set.
_BELIEVED = 86_400.0
# Seconds for which evidence is valid in a following process.
_EVIDENCE_LASTS = 3600.0
# Larger differences of clocks are logged.
_WORTH_A_LINE = 120.0


class ServerClock:
    """The service's clock, as bounds in Unix seconds for moments of this process's monotonic clock.

    One wrong `Date` header, or a step of this machine's clock, can only make the earliest time earlier: a bookmark that
    is too early repeats records, one that is too late loses them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Offsets of the service's clock from the monotonic clock: the bounds, and those of the evidence since
        # `_renewed`, which become the bounds when the older evidence is dropped.
        self._smallest: float | None = None
        self._largest: float | None = None
        self._recent: tuple[float, float] | None = None
        self._renewed = time.monotonic()
        self._own = _own_offset()
        self._named = False
        # The smallest time of any answer.
        self.smallest: float | None = None

    @property
    def known(self) -> bool:
        """Whether any answer has carried the service's time."""
        return self._smallest is not None

    def begin_turn(self) -> None:
        """A following process begins another reading: the smallest time is determined from now on.

        Evidence from more than an hour ago is dropped when newer evidence exists: clocks of two machines drift apart,
        and the monotonic clock stops while a machine sleeps.
        """
        with self._lock:
            self.smallest = None
            if self._recent is not None and time.monotonic() - self._renewed > _EVIDENCE_LASTS:
                (self._smallest, self._largest), self._recent = self._recent, None
                self._renewed, self._own = time.monotonic(), _own_offset()

    @staticmethod
    def moment() -> float:
        """Now, on the monotonic clock."""
        return time.monotonic()

    def note(self, date: str | None, asked: float, came: float) -> None:
        """Use an answer's `Date` header; the answer was made between two moments. An invalid date is ignored."""
        sent = seconds_of(date)
        own = _own_offset()
        with self._lock:
            self._own = min(self._own, own)
            if sent is None:
                return
            # The header has whole seconds: the answer was made in the second that begins at this time.
            low, high = sent - came, sent + 1 - asked
            self.smallest = sent if self.smallest is None else min(self.smallest, sent)
            self._smallest = low if self._smallest is None else min(self._smallest, low)
            self._largest = high if self._largest is None else max(self._largest, high)
            recent = self._recent or (low, high)
            self._recent = min(recent[0], low), max(recent[1], high)
            spread = self._largest - min(self._smallest, self._own)
            named, self._named = self._named, self._named or spread > _WORTH_A_LINE
        if self._named and not named:
            logger.warning(
                "amoCRM's answers and this machine's clock differ by up to %s; bookmarks use the earliest of these "
                "times. Check that this machine's clock is synchronised (NTP).",
                span(spread),
            )

    def earliest(self, moment: float) -> float:
        """The earliest possible server time at a moment; this machine's time minus a day while nothing is known."""
        if self._smallest is None:
            return self._own + moment - _BELIEVED
        behind = self._smallest - self._own
        return moment + (self._own if 0 < behind <= _BELIEVED else self._smallest)

    def by_answers(self, moment: float) -> float:
        """The earliest possible server time at a moment, only by answers: the time at which events may have happened.

        Values that are only compared with other server times do not need this machine's clock.
        """
        return self.earliest(moment) if self._smallest is None else moment + self._smallest

    def latest(self, moment: float) -> float:
        """The latest possible server time at a moment."""
        return moment + (self._own + _BELIEVED if self._largest is None else self._largest)


def _own_offset() -> float:
    return time.time() - time.monotonic()


def seconds_of(date: str | None) -> float | None:
    """Unix seconds of an HTTP date; without a zone it is UTC."""
    from email.utils import parsedate_to_datetime  # with the first answer

    try:
        moment = parsedate_to_datetime(date or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def span(seconds: float) -> str:
    """A length of time in words."""
    for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {name}"
    return f"{seconds:.0f} seconds"
