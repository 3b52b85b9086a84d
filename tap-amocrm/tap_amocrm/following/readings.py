"""One turn's readings: streams from their bookmarks, several at once, and only what has not left before."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from tap_amocrm.declarations import DELETED_RECORDS, EVENTS
from tap_amocrm.following.freshness import Freshness
from tap_amocrm.following.schedule import Schedule
from tap_amocrm.following.versions import Versions
from tap_amocrm.run_context import Run
from tap_amocrm.shapes import Record
from tap_amocrm.singer_io.prefetch import Prefetch
from tap_amocrm.streams.base import AmoStream
from tap_amocrm.streams.events import DeletionStream
from tap_amocrm.streams.whole import WholeStream

# A list that the account's plan or the user's rights refuse is tried again.
_SECONDS_AFTER_REFUSAL = 1800.0
# What is read by its ID for what happened to others, and is older than that, keeps its time of old.
_OLD = 60.0


def is_whole(stream: AmoStream) -> bool:
    """Whether a stream is read from its beginning each time."""
    return isinstance(stream, WholeStream) or not stream.incremental


class Readings:
    """Reads streams and notes how fresh they leave.

    Args:
        streams: The selected streams by name, parents before their children.
        derived: Streams that are made of these.
        schedule: Takes note of what each reading cost and found.
        freshness: Takes note of what leaves.
        clock: The monotonic clock.
        rate: Requests a second that are allowed.
    """

    def __init__(
        self,
        streams: Mapping[str, AmoStream],
        derived: Sequence[AmoStream],
        schedule: Schedule,
        freshness: Freshness,
        clock: Callable[[], float],
        rate: float,
    ) -> None:
        self._streams, self._derived, self._schedule = streams, derived, schedule
        self._freshness, self._clock, self._rate = freshness, clock, rate
        self._versions: dict[str, Versions] = {}
        for stream in streams.values():
            if not is_whole(stream):
                self._keep_versions(stream)

    @property
    def remembered(self) -> int:
        """How many versions of records are remembered."""
        return sum(map(len, self._versions.values()))

    def _keep_versions(self, stream: AmoStream) -> None:
        """Let only those records of a stream leave that have not left in the same version before."""
        versions = self._versions[stream.name] = Versions(of_parents=len(stream.listings) > 1)
        field = str(stream.replication_key)
        # Events become no rows: how fresh they are says nothing of the CRM.
        most = 0.0 if stream.name == EVENTS.name else math.inf

        def unsent(records: list[Record]) -> list[Record]:
            fresh = versions.fresh(records)
            self._freshness.left(fresh, field, most)
            return fresh

        def wrote(records: list[Record]) -> None:
            versions.fresh(records)
            self._freshness.left(records, field, _OLD)

        stream.unsent, stream.wrote = unsent, wrote

    def read(self, run: Run, due: list[str]) -> None:
        """Read streams, several at once, and write them in their order.

        Raises:
            TapError: a request failed; bookmarks of what was not read to its end stay.
        """
        chosen = [self._streams[name] for name in due]
        for stream in chosen:
            self._begin(stream)
        # What depends on other streams of the turn is read behind them.
        ahead = [s for s in chosen if s.plain and not isinstance(s, (DeletionStream, WholeStream))]
        if len(ahead) > 1 and not run.settings.scoped:
            run.prefetch = Prefetch([(s.name, s.encoded_pages) for s in ahead], room=8)
        before = run.metrics.requests
        try:
            for stream in chosen:
                self._read(run, stream)
            deletions = self._streams.get(DELETED_RECORDS.name)
            if run.reader.scans and deletions is not None and deletions not in chosen:
                # A scan of several pages is checked by the deletions of its time.
                self._begin(deletions)
                self._read(run, deletions)
        except BaseException:
            self._forget()
            raise
        finally:
            if run.prefetch is not None:
                run.prefetch.stop()
                run.prefetch = None
        self._schedule.read_together(self._clock(), run.metrics.requests - before, self._rate)

    def _forget(self) -> None:
        """What was read ahead may not have left: let all of it leave once more."""
        for versions in self._versions.values():
            versions.forget()
        for derived in self._derived:
            derived.begin_again()

    def _begin(self, stream: AmoStream) -> None:
        stream.begin_again()
        if stream.name in self._versions:
            self._versions[stream.name].begin()

    def _read(self, run: Run, stream: AmoStream) -> None:
        before, changes = run.metrics.requests_by_stream[stream.name], self._freshness.changes
        written = stream.read_again()
        if isinstance(stream, DeletionStream):
            stream.reconcile()
        requests = run.metrics.requests_by_stream[stream.name] - before
        found = self._freshness.changes > changes or (written > 0 and stream.name != EVENTS.name)
        pace = self._schedule.paces[stream.name]
        pace.read(self._clock(), found=found, requests=requests, rate=self._rate)
        if stream.refused:
            pace.rest(self._clock(), _SECONDS_AFTER_REFUSAL)
