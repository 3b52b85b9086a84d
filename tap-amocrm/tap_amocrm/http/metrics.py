"""Metrics of a run: requests, rates, retries, records; written to the log and to `metrics_file`."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tap_amocrm.config.private_files import write_whole
from tap_amocrm.config.user_path import check_writable
from tap_amocrm.declarations import CHILDREN
from tap_amocrm.errors import ConfigError
from tap_amocrm.http.waits import Waits

# Seconds for which a following process keeps its series.
_RECENT = 3600.0


class Metrics:
    """Counts of one run; safe to use from several threads.

    Args:
        on_answer: Called for each answer with stream, path, status (or `error`) and seconds.
    """

    def __init__(self, on_answer: Callable[[str, str, str, float], None] | None = None) -> None:
        self._on_answer = on_answer
        self.started = time.monotonic()
        # The run's ID for reports, and its rate limit.
        self.run_id: str | None = None
        self.requests_per_second: float | None = None
        self._lock = threading.Lock()
        # Times of requests; of a following process those of the last hour.
        self._sent: list[float] = []
        self._forgotten, self._first, self._peak_before = 0, 0.0, 0
        # The second at which the series begin.
        self._begin = 0
        # Additional figures of a following process.
        self.follow: Callable[[], dict[str, Any]] | None = None
        self.requests_by_stream: Counter[str] = Counter()
        self.status_counts: Counter[str] = Counter()
        self.records_by_stream: Counter[str] = Counter()
        self.batches_by_stream: Counter[str] = Counter()
        self.requests_without_batching = 0
        self.retries = 0
        self._read: dict[str, dict[int, int]] = {}
        self.seconds_waiting = 0.0
        self.waits = Waits()

    def sent(self, stream: str) -> None:
        """A request is sent."""
        with self._lock:
            moment = time.monotonic() - self.started
            if not self.requests:
                self._first = moment
            self._sent.append(moment)
            self.requests_by_stream[stream] += 1

    def read(self, stream: str, records: int) -> None:
        """Records of a stream have been read."""
        with self._lock:
            self.records_by_stream[stream] += records
            seconds = self._read.setdefault(stream, {})
            seconds[int(time.monotonic() - self.started)] = self.records_by_stream[stream]

    def _records_series(self) -> dict[str, list[int]]:
        """Records of each stream at the end of each second, cumulative."""
        last = max((second for seconds in self._read.values() for second in seconds), default=-1)
        series: dict[str, list[int]] = {}
        for stream, seconds in self._read.items():
            total, line = 0, []
            for second in range(self._begin, last + 1):
                total = seconds.get(second, total)
                line.append(total)
            series[stream] = line
        return series

    def answered(self, stream: str, path: str, status: str, seconds: float) -> None:
        """An answer (or `error`) was received."""
        with self._lock:
            self.status_counts[status] += 1
            self.seconds_waiting += seconds
        self.waits.answer(stream, status, seconds)
        if self._on_answer is not None:
            self._on_answer(stream, path, status, seconds)

    def retried(self) -> None:
        """A request will be repeated."""
        with self._lock:
            self.retries += 1

    def unbatched(self, requests: int) -> None:
        """Number of requests that the same work would need with one request per parent."""
        with self._lock:
            self.requests_without_batching += requests

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return self._forgotten + len(self._sent)

    def keep_recent(self) -> None:
        """Drop times of requests and records from more than an hour ago; counts, rates and the peak stay."""
        self.waits.keep_recent()
        with self._lock:
            begin = int(time.monotonic() - self.started - _RECENT)
            if begin <= self._begin:
                return
            self._peak_before = self.peak()
            recent = [moment for moment in self._sent if moment >= begin]
            self._forgotten += len(self._sent) - len(recent)
            self._sent, self._begin = recent, begin
            for stream, seconds in self._read.items():
                before = max((total for second, total in seconds.items() if second <= begin), default=0)
                self._read[stream] = {begin: before} | {s: total for s, total in seconds.items() if s > begin}

    def peak(self) -> int:
        """The most requests sent in any one second."""
        window: deque[float] = deque()
        most = self._peak_before
        for moment in self._sent:
            window.append(moment)
            while window[0] <= moment - 1:
                window.popleft()
            most = max(most, len(window))
        return most

    def average(self) -> float:
        """Requests a second from the first to the last."""
        if self.requests < 2 or not self._sent:
            return float(min(self.requests, 1))
        return (self.requests - 1) / max(self._sent[-1] - self._first, 1e-9)

    def document(self) -> dict[str, Any]:
        """All metrics in the form of `metrics_file`; times in seconds."""
        series: Counter[int] = Counter(int(moment) for moment in self._sent)
        document: dict[str, Any] = {
            "run_id": self.run_id,
            "requests_per_second": self.requests_per_second,
            "duration_seconds": round(time.monotonic() - self.started, 3),
            "requests": self.requests,
            "requests_by_stream": dict(self.requests_by_stream),
            "average_rps": round(self.average(), 3),
            "peak_rps": self.peak(),
            "retries": self.retries,
            "status_counts": dict(self.status_counts),
            "records_by_stream": dict(self.records_by_stream),
            "batches_by_stream": dict(self.batches_by_stream),
            "requests_without_batching": self._without_batching(),
            "requests_per_second_series": [series[s] for s in range(self._begin, max(series, default=-1) + 1)],
            "records_series": self._records_series(),
            "seconds_waiting_for_api": round(self.seconds_waiting, 3),
            **self.waits.document(),
        }
        if self._begin:
            document["series_begin_seconds"] = self._begin
        if self.follow is not None:
            document["follow"] = self.follow()
        return document

    def _without_batching(self) -> int | None:
        """Requests with one for each parent; None if nothing was read by parents."""
        if not self.requests_without_batching:
            return None
        others = sum(n for stream, n in self.requests_by_stream.items() if stream not in CHILDREN)
        return self.requests_without_batching + others

    def write(self, path: Path) -> None:
        """Write the document as JSON, atomically and readable only by the owner.

        Raises:
            OSError: it can't be written.
        """
        path = Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(self.document(), indent=2) + "\n")


def check_metrics_file(path: Path) -> None:
    """Check that the metrics can be written to a file, before anything is read.

    Raises:
        ConfigError: it can't be written, or its contents are not metrics.
    """
    path = Path(os.path.realpath(path))
    check_writable("metrics_file", path)
    try:
        text = path.read_text("utf-8") if path.exists() else ""
        document = json.loads(text or "{}")
    except (OSError, ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or (document and "requests_by_stream" not in document):
        msg = (
            f"Setting metrics_file: {path} does not contain metrics, so the file is not overwritten. Name another file."
        )
        raise ConfigError(msg, setting="metrics_file", problem="other_content")
