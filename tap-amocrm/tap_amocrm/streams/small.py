"""Lists that are read whole each time: users, pipelines, definitions, and what only some accounts have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from tap_amocrm.api.listing import Listing, first_pages, following_pages
from tap_amocrm.api.records import normalise
from tap_amocrm.errors import ApiError
from tap_amocrm.http.dispatcher import FILLER, URGENT
from tap_amocrm.reading.reader import ENTITIES
from tap_amocrm.streams.base import REFUSED, AmoStream, Record

# A list that the account's plan or the user's rights refuse, or that this account does not have.
_MISSING = (*REFUSED, 404)
ListOf = tuple[str, "str | None"]


class SmallStream(AmoStream):
    """`lists` are pairs of path and entity type; their first pages are asked for at once."""

    bookmarked = False
    replication_method = "FULL_TABLE"
    lists: ClassVar[tuple[ListOf, ...]] = ()
    extra: ClassVar[tuple[tuple[str, str], ...]] = ()
    priority: ClassVar[int] = URGENT

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """All records of all the stream's lists."""
        del since
        run = self.amo.run
        lists = [(path, entity) for path, entity in self.lists if entity != "customers" or run.account.customers]
        listings = [Listing(self.name, f"/api/v4/{p}", p.rsplit("/", 1)[-1], self.extra) for p, _ in lists]
        firsts = first_pages(run.client, listings, self.priority)
        for (_, entity), listing, first in zip(lists, listings, firsts, strict=True):
            added = {"entity_type": entity} if entity else {}
            try:
                for records in following_pages(run.client, listing, first, self.priority):
                    yield [normalise(r, run.account.id, **added) for r in records]
            except ApiError as error:
                if error.status not in _MISSING:
                    raise
                # Customers are a matter of the plan; their fields and tags are not missed.
                if entity != "customers":
                    what = self.name if len(listings) == 1 else f"{self.name} ({entity})"
                    self.logger.warning("Stream %s stays empty: %s", what, error)


class Users(SmallStream):
    """Users with their rights; only administrators may list them. Not read again within `definitions_lifetime`."""

    name = "users"
    lists = (("users", None),)
    extra = (("with", "role,group,uuid,amojo_id,user_rank,phone_number"),)

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """All users, or none while those of an earlier run are good."""
        return self.amo.run.definitions.pages(self.name, lambda: super(Users, self).pages(since))


class Pipelines(SmallStream):
    """Pipelines of leads with their statuses."""

    name = "pipelines"
    lists = (("leads/pipelines", None),)


class LossReasons(SmallStream):
    """Reasons for which leads are lost."""

    name = "loss_reasons"
    lists = (("leads/loss_reasons", None),)


class TaskTypes(SmallStream):
    """Types of tasks; the account's own record holds them, so that they cost no request."""

    name = "task_types"

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """All types."""
        del since
        account = self.amo.run.account
        yield [normalise(r, account.id) for r in account.task_types]


class CustomFields(SmallStream):
    """Definitions of custom fields of every kind of entity. Not read again within `definitions_lifetime`."""

    name = "custom_fields"
    lists = tuple((f"{e}/custom_fields", e) for e in (*ENTITIES, "customers"))
    priority = FILLER

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """All definitions, or none while those of an earlier run are good."""
        return self.amo.run.definitions.pages(self.name, lambda: super(CustomFields, self).pages(since))


class Tags(SmallStream):
    """Tags of every kind of entity; records name theirs. Not read again within `definitions_lifetime`."""

    name = "tags"
    lists = tuple((f"{e}/tags", e) for e in (*ENTITIES, "customers"))
    priority = FILLER

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """All tags, or none while those of an earlier run are good."""
        return self.amo.run.definitions.pages(self.name, lambda: super(Tags, self).pages(since))
