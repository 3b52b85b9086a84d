"""The SDK's METRIC lines about HTTP requests, as its own REST streams write them."""

from __future__ import annotations

import re
import threading
from collections import Counter
from typing import Any

from singer_sdk import metrics
from singer_sdk.metrics import Metric, Point, Status, Tag

_ID = re.compile(r"/\d+(?=/|$)")


class RequestMetrics:
    """Writes `http_request_duration` for each request, and `http_request_count` at the end; safe in several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._logger = metrics.get_metrics_logger()
        # Whether each request has a separate line.
        self.writes_lines = True

    def answered(self, stream: str, path: str, status: str, seconds: float) -> None:
        """An answer has come, or `error` instead of one."""
        endpoint = _ID.sub("/{id}", path)
        good = status.isdigit() and int(status) < 400
        code = int(status) if status.isdigit() else status
        with self._lock:
            self._counts[stream, endpoint] += 1
        tags: dict[str, Any] = {
            Tag.STREAM: stream,
            Tag.ENDPOINT: endpoint,
            Tag.HTTP_STATUS_CODE: code,
            Tag.STATUS: Status.SUCCEEDED if good else Status.FAILED,
        }
        if self.writes_lines:
            metrics.log(self._logger, Point("timer", Metric.HTTP_REQUEST_DURATION, round(seconds, 6), tags))

    def close(self) -> None:
        """Write the numbers of requests by stream and endpoint."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        for (stream, endpoint), count in sorted(counts.items()):
            with metrics.http_request_counter(stream, endpoint) as counter:
                counter.value = count
