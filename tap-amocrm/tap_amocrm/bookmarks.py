"""Where a stream's reading begins, and how far its bookmark may move: no further than all evidence of time allows."""

from __future__ import annotations

import logging
from typing import Any

from tap_amocrm.http.server_clock import ServerClock, span
from tap_amocrm.moments import parse_moment, rfc3339_of

logger = logging.getLogger("tap-amocrm")
# Servers of one service may differ so much, and `Date` headers have whole seconds.
_SKEW = 5.0


class Bookmark:
    """One stream's bookmark during one run.

    Args:
        name: The stream, for messages.
        clock: The service's clock.
        lookback: Seconds that reading reaches back behind a bookmark.
        start: Where reading begins without one, Unix seconds; None for the beginning.
    """

    def __init__(self, name: str, clock: ServerClock, lookback: int, start: int | None) -> None:
        self._name, self._clock, self._lookback, self._start = name, clock, lookback, start
        # When reading began, on the monotonic clock; None before, and where the endpoint was refused.
        self.moment: float | None = None
        # When an interrupted reading that this one continues began, Unix seconds.
        self._resumed: int | None = None
        # The bookmark that reading began at, if it did.
        self._used: float | None = None
        self._warned = False
        # Since when this run reads the stream, Unix seconds; None where it reads from the beginning.
        self.shown: int | None = None

    def since(self, value: Any, *, good: bool) -> int | None:
        """Where reading begins, for the state's value; the beginning when that is not `good` for this run."""
        at = None
        if value and good:
            moment = parse_moment(str(value))
            assert moment is not None
            at = moment.timestamp()
            if self._ahead(at):
                at = None
        self._used = at
        self.shown = None if at is None else max(0, int(at) - self._lookback)
        return self._start if at is None else self.shown

    def resume(self, began: int) -> bool:
        """Continue a reading that began earlier; False where that time can't be right."""
        if self._ahead(began):
            return False
        self._resumed = began
        return True

    @property
    def began(self) -> int | None:
        """When the reading began, Unix seconds, at the earliest; None before, and where the endpoint was refused."""
        return None if self.moment is None else self._at(self.moment)

    def _at(self, moment: float) -> int:
        began = int(self._clock.earliest(moment))
        return began if self._resumed is None else min(began, self._resumed)

    def moved(self, limit: float | None) -> str | None:
        """The bookmark after all of the stream was read, by what is known now; None where it can't be known.

        Args:
            limit: A moment of the monotonic clock that it may not pass.
        """
        assert self.moment is not None
        if not self._clock.known:
            self._warn("%s: amoCRM's answers carry no date, so the bookmark does not move.", self._name)
            return None
        if self._used is not None and self._ahead(self._used):
            return None
        moment = self.moment if limit is None else min(self.moment, limit)
        return rfc3339_of(self._at(moment))

    @property
    def unmovable(self) -> bool:
        """Whether reading began at a bookmark that proved to be ahead: the next run must read all."""
        return self._used is not None and self._ahead(self._used)

    def _ahead(self, at: float) -> bool:
        """Whether a bookmark is later than some answer's time: it was set by a wrong clock, nobody knows how wrong."""
        smallest = self._clock.smallest
        if smallest is None or at <= smallest + _SKEW:
            return False
        self._warn(
            "%s: the bookmark %s is ahead of amoCRM's clock by %s: a wrong clock set it. It is reset, and the whole "
            "stream is read again.",
            self._name,
            rfc3339_of(at),
            span(at - smallest),
        )
        return True

    def _warn(self, text: str, *args: object) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(text, *args)
