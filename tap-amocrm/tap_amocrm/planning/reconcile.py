"""The last step of a run: what the events show to be missing from the streams that were read before them.

Deletions may have hidden records from the full scans of this run, and events tell of records that changed without their
own `updated_at`. Both are read again into their own streams.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tap_amocrm.api.deletions import linked, survivors
from tap_amocrm.declarations import ENTITIES, LISTINGS, RESTORED_BY, events_that_shrink
from tap_amocrm.planning.reread import ByIds
from tap_amocrm.planning.scope_membership import ScopeMembership
from tap_amocrm.reading.reader import Reader
from tap_amocrm.shapes import Record, seconds, text, whole
from tap_amocrm.state import StreamBookmark, Window

logger = logging.getLogger("tap-amocrm")


@dataclass(frozen=True)
class ChangeEvents:
    """Events of deletions, merges, restores and links that a run has read.

    Args:
        all: All of them.
        fresh: Those that no earlier run has read.
        since: Before this second, Unix time, everything was read with its outcome.
    """

    all: list[Record]
    fresh: list[Record]
    since: int


class ReadStream(Protocol):
    """What reconciling needs of a stream."""

    @property
    def name(self) -> str:
        """The stream's name."""
        ...

    @property
    def listings(self) -> tuple[str, ...]:
        """Names of its incremental lists."""
        ...

    @property
    def kept(self) -> StreamBookmark:
        """Its part of the state."""
        ...

    def shape(self, record: Record, listing: str) -> Record:
        """A record of the API as the stream gives it."""
        ...

    def write(self, records: list[Record]) -> None:
        """Write records at once."""
        ...

    def save(self) -> None:
        """Keep the bookmark in the state."""
        ...


class Reconcile:
    """Brings back what slipped through.

    Args:
        reader: Has done the full scans and reads lists.
        membership: The companies in scope; None where everything is.
        streams: The incremental streams of this run.
    """

    def __init__(self, reader: Reader, membership: ScopeMembership | None, streams: Iterable[ReadStream]) -> None:
        self._reader, self._membership = reader, membership
        self._streams = {stream.name: stream for stream in streams}

    def run(self, events: ChangeEvents) -> None:
        """Read again whatever these events show to be missing."""
        for stream in self._streams.values():
            self._check_scans(stream, events)
        self._read_changed([e for e in events.fresh if seconds(e, "created_at") >= events.since])

    def _check_scans(self, stream: ReadStream, events: ChangeEvents) -> None:
        """Check the page boundaries of this run's full scans, and for late events those of the last one's."""
        types, kept = events_that_shrink(stream.name), stream.kept
        late, kept.settling = kept.settling, None
        if late and any(late[0] <= moment <= late[1] for moment in _moments(events.fresh, types)):
            logger.info("%s: events of the last run arrived late; the whole list is read again.", stream.name)
            for name in stream.listings:
                for records in self._reader.changed(name, None):
                    stream.write([stream.shape(r, name) for r in records])
        for name in stream.listings:
            for scan in self._reader.scans.pop(name, ()):
                for records in scan.repair(_moments(events.all, types)):
                    stream.write([stream.shape(r, name) for r in records])
        kept.settling, kept.walked, kept.boundaries = kept.walked or self._unsettled(late), None, None
        stream.save()

    def _unsettled(self, window: Window | None) -> Window | None:
        """The time window of a full scan in which events may still come late."""
        client = self._reader.client
        if window is None or window[1] + client.settings.lookback_seconds < client.now():
            return None
        return window

    def _read_changed(self, events: list[Record]) -> None:
        """Read by ID what changed without its own `updated_at`: what was restored and merged into, with what belongs to
        it, and contacts and leads that were linked."""
        with_children: dict[str, set[int]] = {}
        alone: dict[str, set[int]] = {}
        known = [(RESTORED_BY.get(text(e.get("type"))), whole(e.get("entity_id"))) for e in events]
        restored = [(entity, entity_id) for entity, entity_id in known if entity and entity_id]
        for entity, entity_id in (*restored, *survivors(events)):
            if entity in ENTITIES:
                with_children.setdefault(entity, set()).add(entity_id)
        for entity, entity_id in linked(events):
            if entity in _LINKED and entity_id not in with_children.get(entity, ()):
                alone.setdefault(entity, set()).add(entity_id)
        if with_children or alone:
            self._read(with_children, alone)

    def _read(self, with_children: Mapping[str, set[int]], alone: Mapping[str, set[int]]) -> None:
        by_ids = ByIds(self._reader, self._membership)
        for name, records in by_ids.read(with_children, alone):
            stream = self._streams.get(LISTINGS[name].stream)
            if stream is not None:
                stream.write([stream.shape(r, name) for r in records])


# Links change contacts and leads; companies name both and change themselves.
_LINKED = ("contacts", "leads")


def _moments(events: Iterable[Record], types: Collection[str]) -> list[float]:
    """When events of these types happened; Unix seconds."""
    return [float(seconds(e, "created_at")) for e in events if text(e.get("type")) in types]
