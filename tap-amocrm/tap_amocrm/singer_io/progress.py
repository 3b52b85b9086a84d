"""Progress of long work: a bar on a terminal, a line every half a minute in a log."""

from __future__ import annotations

import logging
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_amocrm.http.metrics import Metrics

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

logger = logging.getLogger("tap-amocrm")
_EVERY = 30.0
# A share below this says little about the whole.
_LEAST_SHARE = 0.002


@dataclass
class _List:
    """A list that is being read: how many of its records came, and which share of the whole that is."""

    stream: str
    records: int = 0
    share: float | None = None

    @property
    def total(self) -> float | None:
        """How many records the list has, about."""
        return self.records / self.share if self.share and self.share >= _LEAST_SHARE else None


class Progress:
    """Says which streams are read, how much of them has come, at which rate, and about how long the rest takes.

    On a terminal that is a bar on standard error, and log lines go above it; elsewhere a line of the log every half a
    minute, also while nothing comes.

    Args:
        metrics: Counts of the run.
        expected: The number of requests of the last run of the same kind, None when there was none.
        page_size: Records in a request.
    """

    def __init__(self, metrics: Metrics, expected: int | None = None, page_size: int = 250) -> None:
        self.metrics, self.expected, self._page_size = metrics, expected, page_size
        self._lists: dict[str, _List] = {}
        self._lock = threading.Lock()
        self._current = ""
        self._shown: _Bar | _Lines | None = None
        self._closed = False

    def advance(self, stream: str, records: int) -> None:
        """Some records of a stream have come."""
        del records
        with self._lock:
            self._current = stream
            if self._shown is None and not self._closed:
                self._shown = _Bar() if sys.stderr.isatty() else _Lines(self)
            if isinstance(self._shown, _Bar):
                self._shown.show(self.share(), self.brief())

    def reached(self, name: str, stream: str, records: int, share: float | None) -> None:
        """Records of a list of a stream have come; `share` of the list is read with them, None where nobody knows."""
        found = self._lists.setdefault(name, _List(stream))
        found.records += records
        found.share = share if share is not None else found.share

    def share(self) -> float | None:
        """The share of all records that has come, where the sizes of all lists that are being read are known."""
        lists = list(self._lists.values())
        totals = [one.total for one in lists]
        if not lists or any(total is None for total in totals):
            return None
        total = sum(total for total in totals if total is not None)
        return min(1.0, sum(one.records for one in lists) / total) if total else None

    def line(self) -> str:
        """What a person reads: `12,400 of about 58,000 contacts, 21 %; 6.84 requests/s, about 18 min left`."""
        rate = self.metrics.average()
        parts = [text for stream in self._streams() if (text := self._told(stream))]
        if not parts and self._current:
            parts = [f"{self.metrics.records_by_stream[self._current]:,} {self._current}"]
        tail = f"{self.metrics.requests:,} requests, {rate:.2f} a second"
        left = self._seconds_left(rate)
        return "; ".join([*parts, tail]) + (f", about {_span(left)} left" if left is not None else "")

    def brief(self) -> str:
        """The same of the stream that came last alone, for a line that a terminal has room for."""
        rate = self.metrics.average()
        told = self._told(self._current) or f"{self.metrics.records_by_stream[self._current]:,} {self._current}"
        left = self._seconds_left(rate)
        return f"{told}; {rate:.2f}/s" + (f", {_span(left)} left" if left is not None else "")

    def _streams(self) -> list[str]:
        """Streams with a list that is not read to its end, in the order in which they began."""
        return list(dict.fromkeys(one.stream for one in list(self._lists.values()) if one.share != 1.0))

    def _told(self, stream: str) -> str:
        lists = [one for one in list(self._lists.values()) if one.stream == stream]
        records = sum(one.records for one in lists)
        totals = [one.total for one in lists]
        if not records:
            return ""
        if any(total is None for total in totals):
            return f"{records:,} {stream}"
        total = max(records, sum(total for total in totals if total is not None))
        return f"{records:,} of about {_round(total):,} {stream}, {records / total:.0%}".replace("%", " %")

    def _seconds_left(self, rate: float) -> float | None:
        if rate <= 0:
            return None
        unread = [one for one in list(self._lists.values()) if one.share != 1.0]
        totals = [one.total for one in unread]
        if unread and all(total is not None for total in totals):
            records = sum((total or 0) - one.records for one, total in zip(unread, totals, strict=True))
            return max(0.0, records) / self._page_size / rate
        if self.expected is not None and self.expected > self.metrics.requests:
            return (self.expected - self.metrics.requests) / rate
        return None

    def close(self) -> None:
        """Take the bar off the terminal; nothing is shown any more."""
        with self._lock:
            shown, self._shown, self._closed = self._shown, None, True
        if shown is not None:
            shown.close()


class _Lines:
    """A line of the log every `_EVERY` seconds."""

    def __init__(self, progress: Progress) -> None:
        self._ended = threading.Event()
        threading.Thread(target=self._run, args=(progress,), name="progress", daemon=True).start()

    def _run(self, progress: Progress) -> None:
        while not self._ended.wait(_EVERY):
            logger.info("%s", progress.line())

    def close(self) -> None:
        """No line any more."""
        self._ended.set()


class _Bar:
    """A bar on standard error, and the log above it."""

    def __init__(self) -> None:
        # Only a terminal has a use for it, and it takes its time to import.
        from rich.console import Console
        from rich.file_proxy import FileProxy
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        stderr, console = sys.stderr, Console(stderr=True)
        columns = (BarColumn(12), TextColumn("{task.fields[line]}", markup=False))
        self._bar: RichProgress = RichProgress(*columns, console=console, transient=True)
        self._task: TaskID = self._bar.add_task("", total=None, line="")
        # Handlers keep the stream that they were made with: what they write to it would tear the bar apart.
        self._moved: list[tuple[logging.StreamHandler[Any], Any]] = []
        for handler in _handlers():
            if handler.stream in (stderr, sys.__stderr__):
                self._moved.append((handler, handler.stream))
                handler.setStream(FileProxy(console, stderr))
        self._bar.start()

    def show(self, share: float | None, line: str) -> None:
        """Where the work is."""
        known: dict[str, Any] = {"total": 1.0, "completed": share} if share is not None else {"total": None}
        self._bar.update(self._task, line=line, **known)

    def close(self) -> None:
        """Take the bar off; the log goes where it went before."""
        self._bar.stop()
        for handler, stream in self._moved:
            handler.setStream(stream)


def _handlers() -> list[logging.StreamHandler[Any]]:
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    found = (handler for one in loggers for handler in one.handlers)
    return list(dict.fromkeys(h for h in found if isinstance(h, logging.StreamHandler)))


def _round(number: float) -> int:
    """An estimate with two or three digits that mean something."""
    size = 10 ** max(0, len(str(int(number))) - 3)
    return int(round(number / size) * size)


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def summary(metrics: Metrics) -> str:
    """What a run read and what it cost, in a sentence."""
    document = metrics.document()
    records = {stream: number for stream, number in document["records_by_stream"].items() if number}
    read = ", ".join(f"{number:,} {stream}" for stream, number in records.items()) or "no records"
    return (
        f"Read {read}: {document['requests']:,} requests in {_span(document['duration_seconds'])}, "
        f"{document['average_rps']:.2f} a second on average, {document['peak_rps']} at most."
    )
