"""Progress of long work: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING

from tap_amocrm.http.metrics import Metrics

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

logger = logging.getLogger("tap-amocrm")
_EVERY = 5.0


class Progress:
    """Says which stream is read, how many records came, how many requests that took, at which rate, and what is left.

    `expected` is the number of requests of the last run of the same kind, None when there was none: the service tells
    nobody how long its lists are.
    """

    def __init__(self, metrics: Metrics, expected: int | None = None) -> None:
        self.metrics, self.expected = metrics, expected
        self._last = time.monotonic()
        self._lock = threading.Lock()
        self._bar: RichProgress | None = None
        self._task: TaskID
        if sys.stderr.isatty():
            # Only a terminal has a use for it, and it takes its time to import.
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as RichProgress

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[summary]}"))
            self._bar = RichProgress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("amoCRM", total=expected, summary="")
            self._bar.start()

    def advance(self, stream: str, records: int) -> None:
        """Some records of a stream have come."""
        del records
        with self._lock:
            if self._bar is not None:
                self._bar.update(
                    self._task, description=stream, completed=self.metrics.requests, summary=self._summary(stream)
                )
                return
            now = time.monotonic()
            if now - self._last < _EVERY:
                return
            self._last = now
        logger.info("%s: %s", stream, self._summary(stream))

    def _summary(self, stream: str) -> str:
        requests, rate = self.metrics.requests, self.metrics.average()
        summary = f"{self.metrics.records_by_stream[stream]:,} records; {requests:,} requests, {rate:.2f} a second"
        if self.expected is not None and self.expected > requests and rate > 0:
            summary += f", about {(self.expected - requests) / rate:,.0f} s left"
        return summary

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.stop()
