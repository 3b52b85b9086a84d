"""Lists that each run reads whole: users, pipelines, definitions, and what only some accounts have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tap_amocrm.api.listing import first_pages, following_pages
from tap_amocrm.api.records import normalise
from tap_amocrm.declarations import BY_NAME, CUSTOMERS
from tap_amocrm.errors import ApiError
from tap_amocrm.http.dispatcher import FILLER, URGENT
from tap_amocrm.shapes import Record, record_id
from tap_amocrm.streams.base import REFUSED, AmoStream, ReadPage

# A list that the account's plan or the user's rights refuse, or that this account does not have.
_MISSING = (*REFUSED, 404)


class WholeStream(AmoStream):
    """Reads all of its lists; their first pages are requested at once."""

    replication_method = "FULL_TABLE"
    # Whether the SCHEMA has been written.
    _announced = False
    # Records that were read before the stream's turn.
    _ready: list[list[Record]] | None = None
    # Whether all lists could be read.
    _complete = True

    @property
    def priority(self) -> int:
        """The priority of the stream's requests."""
        return URGENT if self.declared.urgent else FILLER

    def holds_schema_back(self) -> bool:
        """While the list of an earlier run is good, neither SCHEMA nor records leave: all of it, or nothing."""
        held = self.declared.remembered and self.amo.run.definitions.is_good(self.name)
        self._announced = not held
        return held

    def write(self, records: list[Record]) -> None:
        """Write records of a list that is read after all; its SCHEMA comes first."""
        if not self._announced:
            self.write_schema()
        super().write(records)

    def begin_again(self) -> None:
        """The list is read once more."""
        super().begin_again()
        self._complete = True

    def read_again(self) -> int:
        """Read the list whole and write it behind its SCHEMA; nothing while it is good."""
        self.write_schema()
        return super().read_again()

    def read_pages(self, since: int | None) -> Iterator[ReadPage]:
        """All records; none while those of an earlier run are still good (`definitions_lifetime`)."""
        del since
        definitions = self.amo.run.definitions
        yield from map(ReadPage, definitions.pages(self.name, self.whole) if self.declared.remembered else self.whole())

    def read_now(self) -> list[Record]:
        """All records, read before the stream's turn; they are not read again then."""
        self._ready = list(self.whole())
        return [record for records in self._ready for record in records]

    def _move_bookmark(self) -> None:
        """All has been written; what is made of records that are no longer listed is gone."""
        if self._complete and self.mark.moment is not None:
            for follower in self.followers:
                follower.mark_unseen()
        super()._move_bookmark()

    def whole(self) -> Iterator[list[Record]]:
        """All records of all the stream's lists, each with an `id`."""
        ready, self._ready = self._ready, None
        if ready is not None:
            yield from ready
            return
        for records in self._records():
            for record in records:
                record.setdefault("id", record.get(self.declared.identity))
            yield records

    def _records(self) -> Iterator[list[Record]]:
        run = self.amo.run
        # Customers depend on the account's plan; their fields and tags are not missed.
        without = () if run.account.customers else (CUSTOMERS.name,)
        listings = [x for x in self.declared.listings if x.entity_type not in without]
        firsts = first_pages(run.client, listings, self.priority)
        for listing, first in zip(listings, firsts, strict=True):
            added = {"entity_type": listing.entity_type} if listing.entity_type else {}
            try:
                for records in following_pages(run.client, listing, first, self.priority):
                    yield [normalise(r, run.account.id, **added) for r in records]
            except ApiError as error:
                if error.status not in _MISSING:
                    raise
                self._complete = False
                if listing.entity_type != CUSTOMERS.name:
                    what = self.name if len(listings) == 1 else f"{self.name} ({listing.entity_type})"
                    self.logger.warning("Stream %s stays empty: %s", what, error)


class NestedStream(WholeStream):
    """Reads one list for each record of the parent stream; the path holds `{name}`, the property of the parent's ID."""

    def _records(self) -> Iterator[list[Record]]:
        """One list after another."""
        run = self.amo.run
        (nested,), (parent,) = self.declared.listings, self.declared.parents
        parents = replace(BY_NAME[parent].listings[0], stream=self.name)
        (first,) = first_pages(run.client, [parents], self.priority)
        pages = following_pages(run.client, parents, first, self.priority)
        ids = [i for page in pages for i in map(record_id, page) if i]
        name = nested.name.split("{")[1].split("}")[0]
        listings = [replace(nested, name=nested.name.format(**{name: i})) for i in ids]
        firsts = first_pages(run.client, listings, self.priority)
        for parent_id, listing, page in zip(ids, listings, firsts, strict=True):
            for records in following_pages(run.client, listing, page, self.priority):
                yield [normalise({name: parent_id, **r}, run.account.id) for r in records]


class AccountStream(WholeStream):
    """Takes its records from the account's own record, so that they cost no request."""

    def _records(self) -> Iterator[list[Record]]:
        """All records of the list that has the stream's name."""
        account = self.amo.run.account
        yield [normalise(r, account.id) for r in account.lists.get(self.name, ())]
