"""Which way a list is read on this kind of account: by keyset, by pages, newest first, or with a filter of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from tap_amocrm.account import Account
from tap_amocrm.client import Ask, Client, Params
from tap_amocrm.errors import ApiError
from tap_amocrm.scan import FilterIgnoredError, KeysetScan, Listing, descending_until, pages, settled

logger = logging.getLogger("tap-amocrm")
Record = dict[str, Any]
ENTITIES = ("companies", "contacts", "leads")
# No updated_at lies behind this second (year 2242); the service takes it.
FAR_FUTURE = 1 << 33
_VANISH = {
    "companies": ("company_deleted", "company_restored", "entity_merged"),
    "contacts": ("contact_deleted", "contact_restored", "entity_merged"),
    "leads": ("lead_deleted", "lead_restored"),
    # Tasks vanish with what they hang on, without an event of their own.
    "tasks": ("task_deleted", "company_deleted", "contact_deleted", "lead_deleted"),
    "notes": ("common_note_deleted", "company_deleted", "contact_deleted", "lead_deleted"),
}
LISTINGS = {
    "companies": Listing("companies", "/api/v4/companies", "companies"),
    "contacts": Listing("contacts", "/api/v4/contacts", "contacts"),
    "leads": Listing("leads", "/api/v4/leads", "leads", (("with", "contacts,loss_reason,is_price_modified_by_robot"),)),
    "tasks": Listing("tasks", "/api/v4/tasks", "tasks"),
    **{f"{e}/notes": Listing("notes", f"/api/v4/{e}/notes", "notes") for e in ENTITIES},
}


class Reader:
    """Reads the big lists of one account."""

    def __init__(self, client: Client, account: Account) -> None:
        self.client, self.account = client, account
        self._events_refused = False

    def changed(self, name: str, since: int | None) -> Iterator[list[Record]]:
        """All records of a list, or those updated at or after a second; some may come twice, none is missed.

        Args:
            name: A key of LISTINGS.
            since: Unix seconds, None for all.
        """
        listing = LISTINGS[name]
        if name == "tasks":
            yield from self._tasks(listing, since)
            return
        what = f"filter[updated_at] of {name}"
        packaged = name in ENTITIES
        if (self.account.filter_package or not packaged) and self.account.honours.get(what) is not False:
            try:
                yield from KeysetScan(self.client, listing, since or 0, FAR_FUTURE)
            except FilterIgnoredError:
                self.account.ignores(what, "its records are read newest first")
            else:
                return
        if since is None:
            yield from self._by_pages(listing, [("order[id]", "asc")])
        else:
            moment = int(self.client.now())
            yield from settled(
                lambda: descending_until(self.client, listing, since),
                lambda: self._disturbed(listing.stream, moment),
                listing.stream,
            )

    def _tasks(self, listing: Listing, since: int | None) -> Iterator[list[Record]]:
        """Tasks have a filter on updated_at and no order by it; by id, an update can only show a task again."""
        params: Params = [("order[id]", "asc")]
        if since is not None:
            params.append(("filter[updated_at][from]", str(since)))
        for records in self._by_pages(listing, params):
            yield [r for r in records if since is None or int(r.get("updated_at") or 0) >= since]

    def _by_pages(self, listing: Listing, params: Params) -> Iterator[list[Record]]:
        moment = int(self.client.now())
        return settled(
            lambda: pages(self.client, listing, params),
            lambda: self._disturbed(listing.stream, moment),
            listing.stream,
        )

    def _disturbed(self, stream: str, since: int) -> bool:
        """Whether the events know of records that vanished from a list since a second."""
        if self._events_refused:
            return False
        params = [("limit", "1"), ("filter[created_at][from]", str(since - 2))]
        params += [("filter[type][]", kind) for kind in _VANISH[stream]]
        try:
            return bool(self.client.get(Ask(stream, "/api/v4/events", tuple(params))).records("events"))
        except ApiError as error:
            logger.warning("Events can't be read (%s): deletions during a scan go unnoticed.", error)
            self._events_refused = True
            return False
