"""Events, and what they say of records that are no longer listed, or again."""

from __future__ import annotations

from collections.abc import Iterator

from tap_amocrm.deletions import RESTORED, TYPES, deletions, read_events
from tap_amocrm.dispatch import FILLER
from tap_amocrm.errors import ApiError
from tap_amocrm.normalise import normalise
from tap_amocrm.reader import VANISH
from tap_amocrm.restored import Restored
from tap_amocrm.streams.base import REFUSED, AmoStream, Record


class Events(AmoStream):
    """The account's events; they have no `updated_at`."""

    name = "events"
    replication_key = "created_at"

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """Events from a second on."""
        run = self.amo.run
        for events in read_events(run.client, self.name, since, priority=FILLER):
            yield [normalise(e, run.account.id) for e in events]


class DeletedRecords(AmoStream):
    """What was deleted, merged away or restored.

    It is read last, and brings back into their own streams the records that were restored and those that a deletion
    hid from a walk over a whole list (`tap_amocrm.walk`).
    """

    name = "deleted_records"
    replication_key = "deleted_at"

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """The last word on every entity that a new event is about."""
        run = self.amo.run
        try:
            events = [e for page in read_events(run.client, self.name, since, TYPES) for e in page]
        except ApiError as error:
            if error.status in REFUSED:
                self._go_without_events()
            raise
        seen = set(self.bookmark.get("seen") or ())
        fresh = [e for e in events if str(e.get("id")) not in seen]
        self._seen = {str(e.get("id")): int(e.get("created_at") or 0) for e in events}
        yield deletions(fresh, run.account.id)
        self._heal(events, fresh)
        self._bring_back([e for e in fresh if e.get("type") in RESTORED])

    def _move_bookmark(self) -> None:
        super()._move_bookmark()
        if self._began is None:
            return
        # This is the last stream: what the run has cost is what the next one may expect.
        self.amo.run.memory["requests"] = self.amo.run.metrics.requests
        # The next run looks back behind the bookmark; of what it then sees these are not new.
        oldest = self._began - self.amo.run.settings.lookback_seconds
        self.bookmark["seen"] = sorted(event for event, at in self._seen.items() if at >= oldest)

    def _heal(self, events: list[Record], fresh: list[Record]) -> None:
        """Read again what vanishing records may have hidden: in this run's walks or (late events) the last one's."""
        run = self.amo.run
        for stream in run.big_streams():
            kinds, state = VANISH[stream.name], stream.bookmark
            late = state.pop("settling", None)
            if late and any(e.get("type") in kinds and late[0] <= (e.get("created_at") or 0) <= late[1] for e in fresh):
                self.logger.info("%s: events of the last run's time came late; reading all again.", stream.name)
                for name in stream.listings:
                    for records in run.reader.changed(name, None):
                        stream.write([stream.shape(r, name) for r in records])
            for name in stream.listings:
                walk = run.reader.walks.pop(name, None)
                if walk is not None:
                    for records in walk.heal(float(e.get("created_at") or 0) for e in events if e.get("type") in kinds):
                        stream.write([stream.shape(r, name) for r in records])
            window = state.pop("walked", None)
            if window:
                state["settling"] = window

    def _bring_back(self, events: list[Record]) -> None:
        if not events:
            return
        run = self.amo.run
        restored = Restored(run.reader, run.scope if run.settings.scoped else None)
        streams = {stream.name: stream for stream in run.big_streams()}
        ids: dict[str, set[int]] = {}
        for event in events:
            ids.setdefault(RESTORED[str(event["type"])], set()).add(int(event.get("entity_id") or 0))
        for name, records in restored.read(ids):
            stream = streams.get("notes" if name.endswith("/notes") else name)
            if stream is not None:
                stream.write([stream.shape(r, name) for r in records])

    def _go_without_events(self) -> None:
        """This user may not read events: what was walked stays as it is, the next full reading goes by keyset."""
        run = self.amo.run
        run.memory["events_refused"] = True
        for stream in run.big_streams():
            stream.bookmark.pop("walked", None)
