"""Which way a list is read on this kind of account: by ids, by keyset, newest first, or with a filter of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from tap_amocrm.account import Account
from tap_amocrm.client import Client, Params
from tap_amocrm.deletions import read_events
from tap_amocrm.errors import ApiError
from tap_amocrm.listing import Listing
from tap_amocrm.overlap import OverlappingPages
from tap_amocrm.scan import FilterIgnoredError, KeysetScan, descending_until, settled
from tap_amocrm.shapes import is_since, seconds
from tap_amocrm.walk import CLOCK_SLACK, Walk

logger = logging.getLogger("tap-amocrm")
Record = dict[str, Any]
ENTITIES = ("companies", "contacts", "leads")
# No updated_at lies behind this second (year 2242); the service takes it.
FAR_FUTURE = 1 << 33
# What makes records vanish from a list. Notes and tasks vanish with what they hang on, without events of their own.
_OWNERS = ("company_deleted", "contact_deleted", "lead_deleted", "entity_merged")
VANISH = {
    "companies": ("company_deleted", "entity_merged"),
    "contacts": ("contact_deleted", "entity_merged"),
    "leads": ("lead_deleted", "entity_merged"),
    "tasks": ("task_deleted", *_OWNERS),
    "notes": ("common_note_deleted", *_OWNERS),
}
LISTINGS = {
    "companies": Listing("companies", "/api/v4/companies", "companies"),
    "contacts": Listing("contacts", "/api/v4/contacts", "contacts"),
    "leads": Listing("leads", "/api/v4/leads", "leads", (("with", "contacts,loss_reason,is_price_modified_by_robot"),)),
    **{f"{e}/notes": Listing("notes", f"/api/v4/{e}/notes", "notes") for e in ENTITIES},
    "tasks": Listing("tasks", "/api/v4/tasks", "tasks"),
}


class Reader:
    """Reads the big lists of one account.

    Whole lists are walked by id; a walk's borders must be checked against the deletions of its time. `walks` keeps
    those that wait for it while `deferred` is set (the stream deleted_records reads these events anyway); otherwise
    each walk is checked as it ends.
    """

    def __init__(self, client: Client, account: Account, *, events_refused: bool = False) -> None:
        self.client, self.account = client, account
        self.events_refused = events_refused
        self.deferred = False
        self.walks: dict[str, Walk] = {}

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
        packaged = name in ENTITIES
        filters = self.account.filter_package or not packaged
        what = f"filter[updated_at] of {name}"
        if (since is not None or self.events_refused) and filters and self.account.honours.get(what) is not False:
            try:
                yield from KeysetScan(self.client, listing, since or 0, FAR_FUTURE)
            except FilterIgnoredError:
                self.account.ignores(what, "its records are read newest first")
            else:
                return
        if since is None:
            yield from self.walk(name)
        else:
            moment = int(self.client.now())
            yield from settled(
                lambda: descending_until(self.client, listing, since),
                lambda: bool(self.vanished(listing.stream, moment - CLOCK_SLACK)),
                lambda: self._since(self.walk(name), since),
                listing.stream,
            )

    def walk(self, name: str, params: Params | None = None, *, nonempty: bool = True) -> Iterator[list[Record]]:
        """A list by id, whole or with filters of its own that records do not leave."""
        if self.events_refused:  # nothing would tell what a deletion hid
            yield from OverlappingPages(self.client, LISTINGS[name], params or []).between(0)
            return
        walk = Walk(self.client, LISTINGS[name], params, nonempty=nonempty, rank=1 + list(LISTINGS).index(name))
        yield from walk
        if walk.window is None:
            return
        if self.deferred and not params:
            self.walks[name] = walk
        else:
            yield from walk.heal(self.vanished(LISTINGS[name].stream, walk.window[0] - CLOCK_SLACK))

    def _tasks(self, listing: Listing, since: int | None) -> Iterator[list[Record]]:
        """Tasks have a filter on updated_at and no order by it; by id, an update can only show a task again."""
        params: Params = [] if since is None else [("filter[updated_at][from]", str(since))]
        walk = self.walk(listing.stream, params, nonempty=since is None)
        yield from walk if since is None else self._since(walk, since)

    @staticmethod
    def _since(pages: Iterator[list[Record]], since: int) -> Iterator[list[Record]]:
        for records in pages:
            yield [r for r in records if is_since(r, since)]

    def vanished(self, stream: str, since: int, also: Sequence[str] = ()) -> list[float]:
        """When records vanished from a stream's lists since a second, as far as the events tell.

        Args:
            stream: Of the big streams.
            since: Unix seconds.
            also: Further types of events that count.
        """
        if self.events_refused:
            return []
        try:
            events = [e for page in read_events(self.client, stream, since, (*VANISH[stream], *also)) for e in page]
        except ApiError as error:
            logger.warning("Events can't be read (%s): deletions during a scan go unnoticed.", error)
            self.events_refused = True
            return []
        return [float(seconds(e, "created_at")) for e in events]
