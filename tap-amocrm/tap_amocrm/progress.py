"""Progress of long work, as a line every few seconds."""

from __future__ import annotations

import logging
import time

from tap_amocrm.metrics import Metrics

logger = logging.getLogger("tap-amocrm")
_EVERY = 5.0


class Progress:
    """Says every few seconds which stream is read, how many records came and at which rate."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._last = time.monotonic()

    def advance(self, stream: str, records: int) -> None:
        """Some records of a stream have come."""
        del records
        now = time.monotonic()
        if now - self._last >= _EVERY:
            self._last = now
            logger.info(
                "%s: %d records; %d requests, %.2f a second",
                stream,
                self.metrics.records_by_stream[stream],
                self.metrics.requests,
                self.metrics.average(),
            )
