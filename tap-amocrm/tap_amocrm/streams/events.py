"""Events, and what they say of records that are no longer listed, or again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tap_amocrm.api.deletions import LINKS, TYPES, any_event, deletions, read_events
from tap_amocrm.api.records import normalise
from tap_amocrm.api.seen_lists import time_of
from tap_amocrm.errors import ApiError
from tap_amocrm.http.dispatcher import FILLER, URGENT
from tap_amocrm.planning.reconcile import ChangeEvents, Reconcile
from tap_amocrm.positions import ListPosition, Way
from tap_amocrm.reading.full_scan import CLOCK_SLACK
from tap_amocrm.run_context import Run
from tap_amocrm.shapes import Record, seconds
from tap_amocrm.streams.base import REFUSED, AmoStream, ReadPage, big_streams


class EventStream(AmoStream):
    """The account's events; they have no `updated_at`."""

    def read_pages(self, since: int | None) -> Iterator[ReadPage]:
        """Events from a second on.

        New events come first and move the others back: an interrupted reading continues at the page where it was, which
        repeats some.
        """
        run, start = self.amo.run, self.checkpoints.lists.get(self.name)
        passed = 0 if start is None else start.place
        if start is None:
            source = events_since(run, self.name, since, priority=FILLER)
        else:
            source = read_events(run.client, self.name, since, priority=FILLER, first=start.place + 1)
        for number, events in enumerate(source, passed + 1):
            position = partial(ListPosition, Way.EVENTS, number)
            yield ReadPage([normalise(e, run.account.id) for e in events], self.name, position)


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

    It is read last. What the events show to be missing from other streams is brought back by `reconcile`, before the
    bookmark of this stream moves.
    """

    # What reading has found, None before and where events may not be read.
    found: ChangeEvents | None = None

    def read_pages(self, since: int | None) -> Iterator[ReadPage]:
        """The last word on every entity that a new event is about."""
        run = self.amo.run
        try:
            events = self._events(since)
        except ApiError as error:
            if error.status in REFUSED:
                self._go_without_events()
            raise
        seen = set(self.kept.seen or ())
        fresh = [e for e in events if str(e.get("id")) not in seen]
        self._seen = {str(e.get("id")): seconds(e, "created_at") for e in events}
        gone = deletions(fresh, run.account.id)
        self.amo.forget_links(gone)
        began = self._run_began() if self._first(since) else 0
        late = deletions((e for e in fresh if seconds(e, "created_at") >= began), run.account.id)
        self._mark_deleted(late, first=self._first(since))
        yield ReadPage(gone)
        # What happened before everything was read for the first time has been read with its outcome.
        self.found = ChangeEvents(events, fresh, self._run_began() if self._first(since) else 0)

    def _mark_deleted(self, gone: list[Record], *, first: bool) -> None:
        """Write a last version of each deleted record into its own stream, for targets that know no `deleted_records`.

        The `first` run leaves out what it has not sent: nobody has it.
        Streams with a stream map are left out as well, for its expressions may need more than the key.
        """
        if not self.amo.run.settings.mark_deleted:
            return
        last: dict[str, list[Record]] = {}
        for record in gone:
            if when := record["deleted_at"]:
                version = {"id": record["entity_id"], "account_id": record["account_id"], "updated_at": when}
                version |= {"is_deleted": True, "_sdc_deleted_at": when}
                last.setdefault(record["entity_type"], []).append(version)
        for stream in big_streams(self.amo):
            versions = last.get(stream.name, [])
            if first and stream.sent is not None:
                known = {record["id"] for record in versions}.intersection(stream.sent)
                versions = [record for record in versions if record["id"] in known]
            if versions and not stream.mapped:
                stream.write(versions)

    def _first(self, since: int | None) -> bool:
        return since == self.amo.run.settings.start_date

    def _run_began(self) -> int:
        """From when on events say what the other streams of this run could not show."""
        return min((s.mark.shown or s.began for s in big_streams(self.amo) if s.began), default=0) - CLOCK_SLACK

    def _events(self, since: int | None) -> list[Record]:
        """Events that say what was deleted, restored, merged or (without a scope) linked."""
        run = self.amo.run
        links = () if run.settings.scoped else LINKS
        first = self._first(since)
        pages = list(events_since(run, self.name, since, TYPES if first else (*TYPES, *links)))
        if first and links:
            pages += read_events(run.client, self.name, self._run_began(), links)
        return [event for page in pages for event in page]

    def _move_bookmark(self) -> None:
        """Nothing yet: the bookmark moves when other streams have been reconciled with what was found."""

    def begin_again(self) -> None:
        """The next reading begins."""
        super().begin_again()
        self.found = None

    def reconcile(self) -> None:
        """Bring back what the events show to be missing from other streams; then the bookmark moves."""
        if self.found is None:
            return
        run = self.amo.run
        membership = run.scope.membership if run.settings.scoped else None
        Reconcile(run.reader, membership, big_streams(self.amo)).run(self.found)
        self.finish()

    def finish(self) -> None:
        """Move the bookmark: the run has done everything that these events ask for."""
        super()._move_bookmark()
        if self.began is not None:
            # This is the last stream: what the run has cost is what the next one may expect.
            self.amo.run.memory.requests = self.amo.run.metrics.requests

    def settle_bookmark(self) -> bool:
        """Beside the bookmark: the events behind it that are known."""
        moved = super().settle_bookmark()
        if moved and self.began is not None:
            # The next run looks back behind the bookmark; of what it then sees these are not new.
            oldest = self.began - self.amo.run.settings.lookback_seconds
            self.kept.seen = sorted(event for event, at in self._seen.items() if at >= oldest)
            self.save()
        return moved

    def _go_without_events(self) -> None:
        """This user may not read events: what was scanned stays as it is, the next full scan goes by keyset."""
        self.amo.run.memory.events_refused = True
        for stream in big_streams(self.amo):
            stream.kept.walked = stream.kept.boundaries = None
            stream.save()
