"""When each stream is read again: often while it changes, rarely while it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Seconds between two readings of a stream that changes, and of one that does not.
SHORTEST, LONGEST = 3.0, 20.0
# The same for streams of events, which are read whenever the watch sees new ones.
SHORTEST_OF_EVENTS, LONGEST_OF_EVENTS = 10.0, 60.0
# The same where no events tell that something has changed.
LONGEST_WITHOUT_EVENTS = 8.0
# Lists that are read whole, which cost all their pages each time.
WHOLE = 300.0
# A reading of several requests is followed by a pause of this many times what they cost of the allowance.
_PAUSE_FOR_COST = 3.0
_SLOWER = 2.0
# So many requests are what a reading costs in any case: the notes have three lists.
_CHEAP = 3


@dataclass
class Pace:
    """When a stream is read again.

    Args:
        shortest, longest: Seconds between two readings.
        interval: Those at present.
        due: When the next reading is due, on the monotonic clock.
        earliest: Before then it is not read, whatever has changed: the last reading was dear.
        gap: Seconds after a reading for which nothing wakes the stream.
        requests: What the last reading cost.
    """

    shortest: float
    longest: float
    interval: float
    due: float
    earliest: float = 0.0
    gap: float = 0.0
    requests: int = 1

    def wake(self, now: float) -> None:
        """Something is said to have changed: the stream is read as soon as can be."""
        self.due = min(self.due, max(now, self.earliest))
        self.interval = self.shortest

    def read(self, now: float, *, found: bool, requests: int, rate: float) -> None:
        """The stream has been read.

        Args:
            now: On the monotonic clock.
            found: Whether it held anything new.
            requests: What that cost.
            rate: Requests a second that are allowed.
        """
        self.requests = max(1, requests)
        self.interval = self.shortest if found else min(self.longest, self.interval * _SLOWER)
        self.rest(now, max(self.interval, _PAUSE_FOR_COST * (self.requests - _CHEAP) / rate))

    def rest(self, now: float, seconds: float) -> None:
        """Do not read the stream for some seconds; one that was cheap may be woken before."""
        self.due = now + seconds
        self.earliest = now + self.gap if seconds <= self.interval else self.due


_NEVER = Pace(math.inf, math.inf, math.inf, math.inf)


class Schedule:
    """The paces of all streams.

    Args:
        incremental: Streams that are read by what changed.
        whole: Streams that are read whole.
        of_events: Those of the incremental streams that the events themselves make.
        now: The monotonic clock's time.
        together: Whether all incremental streams are read in one turn: those of a scope depend on one another.
    """

    def __init__(
        self, incremental: list[str], whole: list[str], of_events: set[str], now: float, *, together: bool
    ) -> None:
        self._together = together
        self.paces = {name: Pace(SHORTEST, LONGEST, SHORTEST, now) for name in incremental}
        self.paces |= {name: Pace(WHOLE, WHOLE, WHOLE, now + WHOLE) for name in whole}
        self._incremental, self._of_events = set(incremental), of_events & set(incremental)
        for name in self._of_events:
            self.paces[name].shortest, self.paces[name].longest = SHORTEST_OF_EVENTS, LONGEST_OF_EVENTS

    def without_events(self) -> None:
        """Events can't be read, and nothing tells what has changed: look oneself more often."""
        for name in self._incremental:
            pace = self.paces[name]
            pace.longest = LONGEST_WITHOUT_EVENTS
            if name in self._of_events:
                pace.shortest = pace.longest = pace.interval = WHOLE

    def due(self, now: float, requests: float) -> list[str]:
        """The streams to be read now, in the order that they were given in: those that are due longest, while the
        requests last."""
        chosen: set[str] = set()
        for name, pace in sorted(self.paces.items(), key=lambda item: item[1].due):
            if pace.due > now or requests < 1:
                break
            if chosen and pace.requests > requests:
                continue
            chosen.add(name)
            requests -= pace.requests
        if self._together and chosen & self._incremental:
            chosen |= self._incremental
        return [name for name in self.paces if name in chosen]

    def first(self, now: float, requests: float, most: float) -> list[str]:
        """The stream that is due longest, once there are requests enough for it: webhooks wait for one reading only.

        Args:
            now: On the monotonic clock.
            requests: How many may be sent.
            most: More are not waited for.
        """
        if self._together:
            return self.due(now, requests)
        name, pace = min(self.paces.items(), key=lambda item: item[1].due, default=("", _NEVER))
        return [name] if pace.due <= now and requests >= min(pace.requests, most) else []

    def price(self, most: float) -> float:
        """How many requests `first` waits for."""
        return min(most, min(self.paces.values(), key=lambda pace: pace.due, default=_NEVER).requests)

    def read_together(self, now: float, requests: int, rate: float) -> None:
        """After a turn of all incremental streams: none of them is read before that has paid off."""
        if self._together:
            group = [self.paces[name] for name in self._incremental]
            seconds = max(min(pace.interval for pace in group), _PAUSE_FOR_COST * (requests - _CHEAP) / rate)
            for pace in group:
                pace.rest(now, seconds)

    def wake(self, names: set[str], now: float) -> None:
        """These streams have changed, as is said."""
        for name in names & self.paces.keys():
            self.paces[name].wake(now)

    @property
    def next(self) -> float:
        """When the next stream is due, on the monotonic clock."""
        return min((pace.due for pace in self.paces.values()), default=0.0)
