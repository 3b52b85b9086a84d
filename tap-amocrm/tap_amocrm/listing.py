"""A list of the API, and its pages one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from tap_amocrm.client import Ask, Client, Page, Params
from tap_amocrm.dispatch import URGENT

Record = dict[str, Any]


@dataclass(frozen=True)
class Listing:
    """A list of the API: which stream it feeds, its path, the key of its records, parameters that stay the same."""

    stream: str
    path: str
    key: str
    params: tuple[tuple[str, str], ...] = ()

    def ask(self, params: Params, *, promised: bool = False) -> Ask:
        """A request for a page of it."""
        return Ask(self.stream, self.path, (*self.params, *params), promised)


def pages(client: Client, listing: Listing, params: Params) -> Iterator[list[Record]]:
    """Pages one after another by `_links.next`; a page shorter than the limit does not end the walk."""
    (first,) = first_pages(client, [listing], URGENT, params)
    yield from following_pages(client, listing, first, URGENT, params)


def first_pages(
    client: Client, listings: Sequence[Listing], priority: int, params: Params | None = None
) -> list[Future[Page]]:
    """Ask for the first pages of several lists at once."""
    limit = ("limit", str(client.settings.page_size))
    return [client.submit(x.ask([limit, ("page", "1"), *(params or [])]), priority) for x in listings]


def following_pages(
    client: Client, listing: Listing, first: Future[Page], priority: int, params: Params | None = None
) -> Iterator[list[Record]]:
    """A list from its first page on."""
    limit = ("limit", str(client.settings.page_size))
    page, number = first.result(), 1
    while True:
        yield page.records(listing.key)
        following = page.next_params
        if following is None:
            return
        number += 1
        given = dict(following)
        # Of the link only the page is taken: some hosts rewrite the rest.
        token = given.get("page", str(number))
        ask = listing.ask([limit, ("page", token), *(params or [])], promised=True)
        page = client.get(ask, priority)
