"""Chooses the next request for each slot of the throttle: the most urgent one first."""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from tap_amocrm.errors import TapError
from tap_amocrm.http.waits import Waits

Result = TypeVar("Result")
# Requests that the output waits for or will soon need, and those that are needed some time later.
URGENT, FILLER = 0, 1
Rank = tuple[int, int]


class Again(Exception):
    """Raised by a job's work to be tried again after some seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class _Job(Generic[Result]):
    def __init__(self, rank: Rank, work: Callable[[], Result], stream: str | None) -> None:
        self.rank, self.work, self.stream = rank, work, stream
        self.future: Future[Result] = Future()


class Dispatcher:
    """Runs jobs in `workers` daemon threads; `slot` waits for the throttle before each start.

    `waits` counts the time spent waiting for slots.

    The job is chosen when a slot is free, so jobs that are not urgent use only slots that would stay empty. A job that
    waits for another try occupies neither a worker nor a slot.
    """

    def __init__(self, slot: Callable[[], float], workers: int, waits: Waits | None = None) -> None:
        self._slot = slot
        self._waits = waits or Waits()
        self._ready: list[tuple[Rank, int, _Job[Any]]] = []
        self._delayed: list[tuple[float, int, _Job[Any]]] = []
        self._order = itertools.count()
        self._change = threading.Condition()
        self._idle = threading.Semaphore(workers)
        self._workers = workers
        # None ends a worker, and with it its open connection.
        self._handed: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._stopped = False
        self._failure: TapError | None = None
        threading.Thread(target=self._dispatch, name="amocrm-dispatch", daemon=True).start()
        for number in range(workers):
            threading.Thread(target=self._work, name=f"amocrm-{number}", daemon=True).start()

    def submit(self, work: Callable[[], Result], rank: Rank = (URGENT, 0), stream: str | None = None) -> Future[Result]:
        """Run `work` in order of rank, the lowest first; it may raise `Again`. `stream` is the stream that needs it."""
        job = _Job(rank, work, stream)
        self._push(job)
        return job.future

    def stop(self) -> None:
        """Start no more jobs; waiting ones end with a TapError."""
        with self._change:
            self._stopped = True
            waiting = [job for _, _, job in (*self._ready, *self._delayed)]
            self._ready.clear()
            self._delayed.clear()
            self._change.notify_all()
        for job in waiting:
            self._refuse(job)

    def _fail(self, error: TapError) -> None:
        """No more slots are available: waiting and new jobs end with this error."""
        self._failure = error
        self.stop()

    def _refuse(self, job: _Job[Any]) -> None:
        if job.future.running() or job.future.set_running_or_notify_cancel():
            job.future.set_exception(self._failure or TapError("The run is being stopped."))

    def _push(self, job: _Job[Any], delay: float = 0.0) -> None:
        with self._change:
            if not self._stopped:
                number = next(self._order)
                if delay > 0:
                    heapq.heappush(self._delayed, (time.monotonic() + delay, number, job))
                else:
                    heapq.heappush(self._ready, (job.rank, number, job))
                self._change.notify_all()
                return
        self._refuse(job)

    def _wait_for_job(self) -> bool:
        """Wait until a job is ready; False if the dispatcher was stopped."""
        with self._change:
            while not self._stopped:
                now = time.monotonic()
                while self._delayed and self._delayed[0][0] <= now:
                    _, number, job = heapq.heappop(self._delayed)
                    heapq.heappush(self._ready, (job.rank, number, job))
                if self._ready:
                    return True
                self._change.wait(self._delayed[0][0] - now if self._delayed else None)
            return False

    def _dispatch(self) -> None:
        try:
            self._hand_out()
        finally:
            for _ in range(self._workers):
                self._handed.put(None)

    def _hand_out(self) -> None:
        while True:
            self._idle.acquire()
            if not self._wait_for_job():
                return
            try:
                with self._waits.for_slot():
                    waited = self._slot()
            except TapError as error:
                self._fail(error)
                return
            while True:
                if not self._wait_for_job():
                    return
                with self._change:
                    job = heapq.heappop(self._ready)[2] if self._ready else None
                # A withdrawn job does not use up its slot: the next job takes it.
                if job is not None and (job.future.running() or job.future.set_running_or_notify_cancel()):
                    if job.stream is not None:
                        self._waits.slot(job.stream, waited)
                    self._handed.put(job)
                    break

    def _work(self) -> None:
        while (job := self._handed.get()) is not None:
            try:
                result = job.work()
            except Again as again:
                self._idle.release()
                self._push(job, max(again.seconds, 1e-3))
            except BaseException as error:
                self._idle.release()
                job.future.set_exception(error)
            else:
                self._idle.release()
                job.future.set_result(result)
