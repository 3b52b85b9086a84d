"""Throttle for all requests of the process: evenly spaced, without bursts after a stall."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from tap_amocrm.errors import PausedError
from tap_amocrm.http.retry_after import LONGEST_WAIT

logger = logging.getLogger("tap-amocrm")
# The service counts arrivals. A delayed request arrives closer to the following ones: seven requests take slightly
# longer than a second, so that eight do not arrive within one, and 6.8 a second are still reached.
_MARGIN = 0.013
_WIDEST_MARGIN = 0.1
# The part of the margin that may be used up between a request's slot and its departure.
_HELD_UP = 0.003
# A refusal widens the margin.
_WIDER_AFTER_REFUSAL = 0.01
# Decay of the effect of a late wake-up per slot: half of it after three seconds.
_FORGET = 0.97
# A slot that is missed by less than this part of the spacing is made up for, later ones are lost.
_MADE_UP = 0.35
LONG_AGO = -1e9
# Longer pauses are logged.
_WORTH_A_LINE = 2.0


@dataclass
class Slots:
    """State of the throttle on the monotonic clock: the last slot, the departures of the last requests, the end of a
    pause.

    `until` is the end of the pause in Unix seconds, for the time after a restart of the machine.
    """

    due: float = LONG_AGO
    left: list[float] = field(default_factory=list)
    not_before: float = LONG_AGO
    until: float = 0.0


class SlotStore(Protocol):
    """Where slots are kept."""

    @contextmanager
    def changing(self) -> Iterator[Slots]:
        """Exclusive access to the slots; changes are stored."""
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


class Throttle:
    """Releases slots at slightly less than `requests_per_second`: see `interval`.

    `acquire` waits for the next slot; `leaving` is around the writing of a request to its connection, so that a delayed
    request counts from its departure. A stall delays the queue; unused slots are lost.
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
        """Wait for the next slot; returns the seconds waited.

        Raises:
            PausedError: the service requested a pause that is longer than a run waits.
        """
        with self._slots.changing() as slots:
            now = self._clock()
            paused = self._paused(slots, now)
            slot = max(slots.due + self.interval, slots.not_before)
            if slot < now - _MADE_UP * self.interval:
                slot = now
            slots.due = slot
        if paused > _WORTH_A_LINE:
            logger.warning("Waiting %.0f s: amoCRM requested a pause.", paused)
        if slot > now:
            self._sleep(slot - now)
            self._late = max(self._clock() - slot, self._late * _FORGET)
        return max(0.0, slot - now)

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """Around the writing of a request: waits until a second has passed since the request that fills it.

        The request counts from when it is written. Other threads wait meanwhile, so that no request is counted too
        early, however late this thread returns from the write.
        """
        while True:
            with self._slots.changing() as slots:
                now = self._clock()
                full = len(slots.left) >= self._most
                second = (1 + self.margin - _HELD_UP) * self._most / self._rate
                free = slots.left[-self._most] + second if full else LONG_AGO
                # A pause also delays requests that already have their slot.
                free = max(free, now + self._paused(slots, now))
                if free <= now:
                    try:
                        yield
                    finally:
                        slots.left = [*slots.left, self._clock()][-self._most :]
                    return
            self._sleep(free - now)

    def close(self) -> None:
        """Release the resources of the throttle."""

    @staticmethod
    def _paused(slots: Slots, now: float) -> float:
        """Seconds that are left of a pause."""
        left = max(0.0, slots.not_before - now)
        if left > LONGEST_WAIT:
            raise PausedError.of(left, "amoCRM was asked too often")
        return left

    def pause(self, seconds: float, *, refused: bool = True) -> None:
        """Stop all requests for some seconds, as requested by the service. `refused` requests also widen the margin."""
        if refused:
            self._margin = min(self._margin + _WIDER_AFTER_REFUSAL, _WIDEST_MARGIN)
        with self._slots.changing() as slots:
            end = self._clock() + seconds
            if end > slots.not_before:
                slots.not_before, slots.until = end, time.time() + seconds
