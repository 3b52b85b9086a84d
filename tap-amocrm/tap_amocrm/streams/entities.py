"""Companies, contacts, leads, and what hangs on them: notes and tasks."""

from __future__ import annotations

from collections.abc import Iterator

from tap_amocrm.api.records import normalise, task_result, with_company
from tap_amocrm.reading.reader import ENTITIES
from tap_amocrm.singer_io.prefetch import side_by_side
from tap_amocrm.streams.base import AmoStream, Record


class EntityStream(AmoStream):
    """Companies, contacts, leads."""

    replication_key = "updated_at"

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """What changed, or with a scope what belongs to it."""
        run = self.amo.run
        if not run.settings.scoped:
            source = run.reader.changed(self.name, since)
        elif self.name == "companies":
            source = run.scope.company_records(since)
        else:
            source = run.scope.linked_records(self.name, since)
        for records in source:
            yield [self.shape(r, self.name) for r in records]

    def shape(self, record: Record, listing: str) -> Record:
        """Contacts and leads get their `company_id`."""
        shaped = super().shape(record, listing)
        return shaped if self.name == "companies" else with_company(shaped)


class Companies(EntityStream):
    """Companies, with their custom fields whole."""

    name = "companies"
    listings = ("companies",)


class Contacts(EntityStream):
    """Contacts, with `company_id`."""

    name = "contacts"
    listings = ("contacts",)


class Leads(EntityStream):
    """Leads, with `company_id`."""

    name = "leads"
    listings = ("leads",)


class Notes(AmoStream):
    """Notes of companies, contacts and leads in one stream; `entity_type` says of what."""

    name = "notes"
    replication_key = "updated_at"
    listings = tuple(f"{entity}/notes" for entity in ENTITIES)

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """The lists of the three kinds of entity, read side by side: the API has no list of all notes."""
        run = self.amo.run

        def read(listing: str) -> Iterator[list[Record]]:
            entity = listing.split("/")[0]
            source = run.scope.notes(entity, since) if run.settings.scoped else run.reader.changed(listing, since)
            for records in source:
                yield [self.shape(r, listing) for r in records]

        yield from side_by_side([lambda n=name: read(n) for name in self.listings])  # type: ignore[misc]

    def shape(self, record: Record, listing: str) -> Record:
        """A note says of what kind of entity it is."""
        return normalise(record, self.amo.run.account.id, entity_type=listing.split("/")[0])


class Tasks(AmoStream):
    """Tasks of every kind of entity; without a scope also those that hang on nothing."""

    name = "tasks"
    replication_key = "updated_at"
    listings = ("tasks",)

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """What changed, or with a scope what belongs to it."""
        run = self.amo.run
        source = run.scope.tasks(since) if run.settings.scoped else run.reader.changed("tasks", since)
        for records in source:
            yield [self.shape(r, "tasks") for r in records]

    def shape(self, record: Record, listing: str) -> Record:
        """An empty result comes as a list; it becomes null."""
        return task_result(super().shape(record, listing))
