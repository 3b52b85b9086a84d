"""Measures how a run spends its time: waiting for a slot of the rate limit, for an answer, or neither."""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Number of answers per stream from which a following process computes response times.
_KEPT = 5000


class Waits:
    """Seconds of a run by what it waits for, and per stream the time for slots and answers. Thread-safe.

    A second counts once: while a request that is ready waits for a slot, the run waits for the limit, regardless of
    requests in flight; otherwise, while a request is in flight, it waits for an answer.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._slots = self._answers = 0
        self._since = clock()
        self._for_slots = self._for_answers = 0.0
        self._slots_by_stream: defaultdict[str, float] = defaultdict(float)
        self._answers_by_stream: dict[str, array[float]] = {}
        self._refused: Counter[str] = Counter()
        # Of a following process: answers by stream that are counted and not kept, and their seconds.
        self._forgotten: Counter[str] = Counter()
        self._forgotten_seconds: defaultdict[str, float] = defaultdict(float)

    def _pass(self) -> None:
        """Count the time since the last change; the caller must hold the lock."""
        now = self._clock()
        if self._slots:
            self._for_slots += now - self._since
        elif self._answers:
            self._for_answers += now - self._since
        self._since = now

    def _change(self, slots: int = 0, answers: int = 0) -> None:
        with self._lock:
            self._pass()
            self._slots += slots
            self._answers += answers

    @contextmanager
    def for_slot(self) -> Iterator[None]:
        """Context around waiting for a slot while a request is ready."""
        self._change(slots=1)
        try:
            yield
        finally:
            self._change(slots=-1)

    @contextmanager
    def for_answer(self) -> Iterator[None]:
        """Context around a request and its answer."""
        self._change(answers=1)
        try:
            yield
        finally:
            self._change(answers=-1)

    def slot(self, stream: str, seconds: float) -> None:
        """A request of a stream got its slot after some seconds."""
        with self._lock:
            self._slots_by_stream[stream] += seconds

    def answer(self, stream: str, status: str, seconds: float) -> None:
        """An answer (or `error`) was received after some seconds."""
        with self._lock:
            answers = self._answers_by_stream.setdefault(stream, array("d"))
            if status != "error":
                answers.append(seconds)
            self._refused[stream] += status in {"error", "429"} or status.startswith("5")

    def keep_recent(self) -> None:
        """Drop response times except for the latest ones; counts and sums stay."""
        with self._lock:
            for stream, answers in self._answers_by_stream.items():
                old = answers[: max(0, len(answers) - _KEPT)]
                self._forgotten[stream] += len(old)
                self._forgotten_seconds[stream] += sum(old)
                del answers[: len(old)]

    def document(self) -> dict[str, Any]:
        """Seconds of the run spent on slots and on answers, and per stream: requests answered, seconds for slots and
        answers (added up over requests), the median, the 95th percentile and the slowest answer, how many were refused
        or failed."""
        with self._lock:
            self._pass()
            streams = {
                stream: {
                    "answers": self._forgotten[stream] + len(found),
                    "seconds_for_slots": round(self._slots_by_stream[stream], 3),
                    "seconds_for_answers": round(self._forgotten_seconds[stream] + sum(found), 3),
                    **_spread(found),
                    "refused": self._refused[stream],
                }
                for stream, found in self._answers_by_stream.items()
            }
            return {
                "seconds_for_slots": round(self._for_slots, 3),
                "seconds_for_answers": round(self._for_answers, 3),
                "waits_by_stream": streams,
            }


def _spread(seconds: array[float]) -> dict[str, float]:
    ordered = sorted(seconds) or [0.0]
    last = len(ordered) - 1
    places = {"answer_median": last // 2, "answer_p95": round(last * 0.95), "answer_slowest": last}
    return {name: round(ordered[place], 3) for name, place in places.items()}
