"""What not every account has or wants: read whole, and only when selected in the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from tap_amocrm.api.listing import Listing, first_pages, following_pages
from tap_amocrm.api.records import normalise
from tap_amocrm.http.dispatcher import FILLER
from tap_amocrm.shapes import record_id
from tap_amocrm.streams.base import Record
from tap_amocrm.streams.small import SmallStream


class OptionalStream(SmallStream):
    """A list of its own; `identity` is the property that identifies a record where that is not `id`."""

    selected_by_default = False
    priority = FILLER
    identity: ClassVar[str] = "id"

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """All records, each with an `id`."""
        for records in super().pages(since):
            for record in records:
                record.setdefault("id", record.get(self.identity))
            yield records


class Customers(OptionalStream):
    """Customers (buyers), where the account's plan has them."""

    name = "customers"
    lists = (("customers", None),)
    extra = (("with", "contacts,companies,catalog_elements,segments"),)


class Catalogs(OptionalStream):
    """Lists of goods and the like."""

    name = "catalogs"
    lists = (("catalogs", None),)


class CatalogElements(OptionalStream):
    """The elements of all catalogs."""

    name = "catalog_elements"

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """One catalog after another."""
        del since
        run = self.amo.run
        catalogs = Listing(self.name, "/api/v4/catalogs", "catalogs")
        (first,) = first_pages(run.client, [catalogs], self.priority)
        pages = following_pages(run.client, catalogs, first, self.priority)
        ids = [i for page in pages for i in map(record_id, page) if i]
        listings = [Listing(self.name, f"/api/v4/catalogs/{i}/elements", "elements") for i in ids]
        for catalog, listing, page in zip(ids, listings, first_pages(run.client, listings, self.priority), strict=True):
            for records in following_pages(run.client, listing, page, self.priority):
                yield [normalise({"catalog_id": catalog, **r}, run.account.id) for r in records]


class Sources(OptionalStream):
    """Sources of leads."""

    name = "sources"
    lists = (("sources", None),)


class Roles(OptionalStream):
    """Roles of users; only administrators may list them."""

    name = "roles"
    lists = (("roles", None),)


class Webhooks(OptionalStream):
    """Webhooks of the account."""

    name = "webhooks"
    lists = (("webhooks", None),)


class Talks(OptionalStream):
    """Talks of chats."""

    name = "talks"
    lists = (("talks", None),)
    identity = "talk_id"


class Unsorted(OptionalStream):
    """Leads that nobody has accepted yet."""

    name = "unsorted"
    lists = (("leads/unsorted", None),)
    identity = "uid"


OPTIONAL = (Customers, Catalogs, CatalogElements, Sources, Roles, Webhooks, Talks, Unsorted)
