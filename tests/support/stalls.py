"""Measures whether the machine stalled during a test; a test marked `may_repeat` is repeated then, and only then.

Each repetition is recorded: the summary names the test, how often it was repeated, and for how long the machine stood
still. A failure on a machine that did not stall is a failure.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from _pytest.runner import runtestprotocol

_EVERY = 0.05
# A thread that only sleeps and wakes up so much later than it should was not given the processor.
_LATE = 0.2
_PROPERTY = "repeated"


class Watch:
    """A thread that sleeps; `seconds` is how much later than it should it woke up, late times alone, summed up."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stalls", daemon=True)

    def start(self) -> None:
        """Begin to measure."""
        self._thread.start()

    def stop(self) -> None:
        """End measuring."""
        self._stop.set()

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            if self._stop.wait(_EVERY):
                return
            late = time.monotonic() - began - _EVERY
            if late > _LATE:
                self.seconds += late


WATCH = Watch()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and begin to measure."""
    config.addinivalue_line("markers", "may_repeat(times): repeated when it failed and the machine stalled meanwhile")
    WATCH.start()


def pytest_unconfigure() -> None:
    """End measuring."""
    WATCH.stop()


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a marked test, again while it fails on a machine that stalled."""
    marker = item.get_closest_marker("may_repeat")
    if marker is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    stalls: list[float] = []
    while True:
        before = WATCH.seconds
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        stalled = WATCH.seconds - before
        if not any(r.failed for r in reports) or not stalled or len(stalls) >= marker.kwargs.get("times", 1):
            break
        stalls.append(stalled)
        item._initrequest()  # type: ignore[attr-defined]
    for report in reports:
        if stalls and report.when == "call":
            report.user_properties.append((_PROPERTY, stalls))
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _repeated(reporter: pytest.TerminalReporter) -> Iterator[str]:
    for reports in reporter.stats.values():
        for report in reports:
            for name, stalls in getattr(report, "user_properties", ()):
                if name == _PROPERTY:
                    waits = ", ".join(f"{seconds:.1f} s" for seconds in stalls)
                    yield f"{report.nodeid}: repeated {len(stalls)} times, the machine stalled for {waits}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests were repeated, and how often."""
    lines = sorted(_repeated(terminalreporter))
    if lines:
        terminalreporter.section("repeated tests")
        for line in lines:
            terminalreporter.line(line)
