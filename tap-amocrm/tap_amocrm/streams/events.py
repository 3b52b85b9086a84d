"""Events, and what they say of records that are no longer listed, or again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from tap_amocrm.api.deletions import LINKS, TYPES, any_event, deletions, linked, read_events, survivors
from tap_amocrm.api.records import normalise
from tap_amocrm.api.seen_lists import time_of
from tap_amocrm.declarations import ENTITIES, RESTORED_BY, events_that_shrink
from tap_amocrm.errors import ApiError
from tap_amocrm.http.dispatcher import FILLER, URGENT
from tap_amocrm.planning.reread import ByIds
from tap_amocrm.reading.full_scan import CLOCK_SLACK
from tap_amocrm.run_context import Run
from tap_amocrm.shapes import Record, seconds, text, whole
from tap_amocrm.streams.base import REFUSED, AmoStream


class EventStream(AmoStream):
    """The account's events; they have no `updated_at`."""

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """Events from a second on."""
        run = self.amo.run
        for events in events_since(run, self.name, since, priority=FILLER):
            yield [normalise(e, run.account.id) for e in events]


def _moments(events: Iterable[Record], kinds: Collection[str]) -> list[float]:
    """When events of these types happened; Unix seconds."""
    return [float(seconds(e, "created_at")) for e in events if text(e.get("type")) in kinds]


def events_since(
    run: Run, stream: str, since: int | None, types: tuple[str, ...] = (), priority: int = URGENT
) -> Iterator[list[Record]]:
    """Events from a second on for a stream, newest first.

    Nothing as an answer is believed only where nothing was there in earlier runs: reading begins at the newest event
    that is known.
    """
    lists, client = run.lists, run.client
    if lists.known_empty(stream):
        since = run.settings.start_date
    anchor = lists.anchor(stream) if since is not None else None
    low = since if since is None or anchor is None else min(since, anchor)
    came, now = False, client.clock.latest(client.clock.moment())
    source = read_events(client, stream, low, types, priority, promised=anchor is not None)
    for events in lists.seen(stream, source, now, "created_at"):
        came = came or bool(events)
        yield events if since is None else [e for e in events if (t := time_of(e, "created_at")) is None or t >= since]
    if came:
        return
    if anchor is None:
        if since is None:
            lists.empty(stream)
    elif any_event(client, stream):
        lists.forget(stream)  # events are not kept for ever
    else:
        lists.doubt(stream)


class DeletionStream(AmoStream):
    """What was deleted, merged away or restored.

    It is read last, and brings back into their own streams the records that were restored, merged into or linked, and
    those that a deletion hid from a walk over a whole list (`tap_amocrm.reading.full_scan`).
    """

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """The last word on every entity that a new event is about."""
        run = self.amo.run
        try:
            events = self._events(since)
        except ApiError as error:
            if error.status in REFUSED:
                self._go_without_events()
            raise
        seen = set(self.bookmark.get("seen") or ())
        fresh = [e for e in events if str(e.get("id")) not in seen]
        self._seen = {str(e.get("id")): seconds(e, "created_at") for e in events}
        yield deletions(fresh, run.account.id)
        self._heal(events, fresh)
        # What happened before everything was read for the first time has been read with its outcome.
        began = self._run_began() if self._first(since) else 0
        self._bring_back([e for e in fresh if seconds(e, "created_at") >= began])

    def _first(self, since: int | None) -> bool:
        return since == self.amo.run.settings.start_date

    def _run_began(self) -> int:
        """From when on events say what the other streams of this run could not show."""
        return min((s.mark.shown or s.began for s in self.amo.big_streams() if s.began), default=0) - CLOCK_SLACK

    def _events(self, since: int | None) -> list[Record]:
        """Events that say what vanished, came back, was merged or (without a scope) linked."""
        run = self.amo.run
        links = () if run.settings.scoped else LINKS
        first = self._first(since)
        pages = list(events_since(run, self.name, since, TYPES if first else (*TYPES, *links)))
        if first and links:
            pages += read_events(run.client, self.name, self._run_began(), links)
        return [event for page in pages for event in page]

    def _move_bookmark(self) -> None:
        super()._move_bookmark()
        if self.began is not None:
            # This is the last stream: what the run has cost is what the next one may expect.
            self.amo.run.memory["requests"] = self.amo.run.metrics.requests

    def settle_bookmark(self) -> bool:
        """Beside the bookmark: the events behind it that are known."""
        moved = super().settle_bookmark()
        if moved and self.began is not None:
            # The next run looks back behind the bookmark; of what it then sees these are not new.
            oldest = self.began - self.amo.run.settings.lookback_seconds
            self.bookmark["seen"] = sorted(event for event, at in self._seen.items() if at >= oldest)
        return moved

    def _heal(self, events: list[Record], fresh: list[Record]) -> None:
        """Read again what vanishing records may have hidden: in this run's walks or (late events) the last one's."""
        run = self.amo.run
        for stream in self.amo.big_streams():
            kinds, state = events_that_shrink(stream.name), stream.bookmark
            late, state["settling"] = state.get("settling"), None
            if late and any(late[0] <= moment <= late[1] for moment in _moments(fresh, kinds)):
                self.logger.info("%s: events of the last run's time came late; reading all again.", stream.name)
                for name in stream.listings:
                    for records in run.reader.changed(name, None):
                        stream.write([stream.shape(r, name) for r in records])
            for name in stream.listings:
                walk = run.reader.walks.pop(name, None)
                if walk is not None:
                    for records in walk.heal(_moments(events, kinds)):
                        stream.write([stream.shape(r, name) for r in records])
            state["settling"], state["walked"] = state.get("walked"), None

    def _bring_back(self, events: list[Record]) -> None:
        """Read by id what changed without its own `updated_at`: what was restored and merged into, with what hangs on
        it, and contacts and leads that were linked."""
        run = self.amo.run
        hung_on: dict[str, set[int]] = {}
        alone: dict[str, set[int]] = {}
        known = [(RESTORED_BY.get(text(e.get("type"))), whole(e.get("entity_id"))) for e in events]
        restored = [(entity, entity_id) for entity, entity_id in known if entity and entity_id]
        for entity, entity_id in (*restored, *survivors(events)):
            if entity in ENTITIES:
                hung_on.setdefault(entity, set()).add(entity_id)
        for entity, entity_id in linked(events):
            if entity in ("contacts", "leads") and entity_id not in hung_on.get(entity, ()):
                alone.setdefault(entity, set()).add(entity_id)
        if not hung_on and not alone:
            return
        again = ByIds(run.reader, run.scope if run.settings.scoped else None)
        streams = {stream.name: stream for stream in self.amo.big_streams()}
        for name, records in (*again.read(hung_on), *again.read(alone, hanging=False)):
            stream = streams.get("notes" if name.endswith("/notes") else name)
            if stream is not None:
                stream.write([stream.shape(r, name) for r in records])

    def _go_without_events(self) -> None:
        """This user may not read events: what was walked stays as it is, the next full reading goes by keyset."""
        run = self.amo.run
        run.memory["events_refused"] = True
        for stream in self.amo.big_streams():
            stream.bookmark["walked"] = None
