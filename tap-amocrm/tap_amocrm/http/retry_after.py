"""Reads the `Retry-After` header, within bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tap_amocrm.http.server_clock import ServerClock, seconds_of

# A pause lasts at most a day: a longer one is treated as a fault of the sender.
LONGEST_PAUSE = 86_400.0
# The longest wait of a request; a longer pause ends the run with a message.
LONGEST_WAIT = 600.0
_SHORTEST = 0.5
_DELAY = re.compile(r"\d{1,20}(\.\d+)?")


def retry_after(headers: Mapping[str, str], clock: ServerClock) -> float | None:
    """Seconds to wait, from 0.5 to LONGEST_PAUSE; None where nothing that can be read is asked for.

    A date counts from the answer's own `Date`, else from the earliest time that it may be at the service.
    """
    value = headers.get("Retry-After", "").strip()
    if _DELAY.fullmatch(value):
        seconds = float(value)
    else:
        until = seconds_of(value)
        if until is None:
            return None
        now = seconds_of(headers.get("Date"))
        seconds = until - (clock.earliest(clock.moment()) if now is None else now)
        if seconds <= 0:
            return None
    return min(max(seconds, _SHORTEST), LONGEST_PAUSE)
