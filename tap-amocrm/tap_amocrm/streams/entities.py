"""Companies, contacts, leads, and what belongs to them: notes and tasks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tap_amocrm.api.records import normalise
from tap_amocrm.declarations import LISTINGS
from tap_amocrm.shapes import Record
from tap_amocrm.singer_io.prefetch import as_they_come
from tap_amocrm.streams.base import AmoStream, ReadPage


class IncrementalStream(AmoStream):
    """Reads what changed; several lists are read side by side."""

    def read_pages(self, since: int | None) -> Iterator[ReadPage]:
        """What changed, or with a scope what belongs to it."""
        yield from as_they_come([partial(self._shaped, name, since) for name in self.listings], sparing=since is None)

    def _shaped(self, listing: str, since: int | None) -> Iterator[ReadPage]:
        reader = self.amo.run.reader
        for records in self._source(listing, since):
            shaped = [self.shape(r, listing) for r in records]
            yield ReadPage(shaped, listing, reader.positions.get(listing))
        yield ReadPage([], listing, reader.positions.get(listing))

    def _source(self, listing: str, since: int | None) -> Iterator[list[Record]]:
        """The records of a list as the API gives them."""
        reader = self.amo.run.reader
        if self.amo.run.settings.scoped:
            yield from self._in_scope(listing, since)
            return
        earlier = self.earlier_scans.get(listing)
        if earlier is not None:
            yield from reader.check_earlier(listing, earlier)
        start = self.checkpoints.lists.get(listing)
        yield from reader.changed(listing, since) if start is None else reader.rest(listing, since, start)

    def _in_scope(self, listing: str, since: int | None) -> Iterator[list[Record]]:
        raise NotImplementedError

    def shape(self, record: Record, listing: str) -> Record:
        """A record of the API as the stream gives it."""
        entity = LISTINGS[listing].entity_type
        added = {"entity_type": entity} if entity else {}
        shaped = normalise(record, self.amo.run.account.id, **added)
        derive = self.declared.derive
        return shaped if derive is None else derive(shaped)


class EntityStream(IncrementalStream):
    """Companies, contacts or leads."""

    def _in_scope(self, listing: str, since: int | None) -> Iterator[list[Record]]:
        scope = self.amo.run.scope
        return scope.linked_records(listing, since) if self.declared.parents else scope.company_records(since)


class ChildStream(IncrementalStream):
    """Notes or tasks."""

    def _in_scope(self, listing: str, since: int | None) -> Iterator[list[Record]]:
        return self.amo.run.scope.hanging(listing, since)
