"""A list of the API, and its pages one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future

from tap_amocrm.declarations import Listing
from tap_amocrm.errors import TapError
from tap_amocrm.http.client import Ask, Client, Page, Params
from tap_amocrm.http.dispatcher import URGENT
from tap_amocrm.shapes import Record

# The most pages in a row that may repeat earlier ones, that may be empty, and that any list has.
_MOST_REPEATS = 10
_MOST_EMPTY = 300
_MOST_PAGES = 100_000


def request_for(listing: Listing, params: Params, *, promised: bool = False) -> Ask:
    """A request for a page of a list; `promised` as in `Ask`."""
    return Ask(listing.stream, listing.path, (*listing.params, *params), promised, key=listing.key)


class EndlessListError(TapError):
    """A list's pages repeat, or have no end."""


class Pages:
    """Watches the pages of one list: a next page that never ends would hold a run for ever."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: set[int] = set()
        self._count = self._repeats = self._empty = 0

    def passed(self, records: list[Record], *, more: bool) -> None:
        """One page has come; `more` are announced.

        Raises:
            EndlessListError: the pages go round in circles, or there are more than any list has.
        """
        if not more:
            return
        self._count += 1
        page = hash(tuple(str(r.get("id", r.get("uid", r.get("talk_id")))) for r in records))
        self._empty = 0 if records else self._empty + 1
        # What changes meanwhile can show a page of few records once more.
        self._repeats = self._repeats + 1 if records and page in self._seen else 0
        self._seen.add(page)
        if self._repeats < _MOST_REPEATS and self._empty < _MOST_EMPTY and self._count < _MOST_PAGES:
            return
        what = "they repeat" if self._repeats else "they are empty" if self._empty else "the list does not end"
        msg = (
            f"{self._path}: amoCRM announces further pages, but {what} (after {self._count:,} pages). What was loaded "
            f"stays. Run again, and report it to amoCRM's support if it happens again."
        )
        raise EndlessListError(msg, path=self._path, pages=self._count)


def pages(client: Client, listing: Listing, params: Params, *, promised: bool = False) -> Iterator[list[Record]]:
    """Pages one after another by `_links.next`; a page shorter than the limit does not end the list."""
    (first,) = first_pages(client, [listing], URGENT, params, promised=promised)
    yield from following_pages(client, listing, first, URGENT, params)


def first_pages(
    client: Client,
    listings: Sequence[Listing],
    priority: int,
    params: Params | None = None,
    *,
    promised: bool = False,
) -> list[Future[Page]]:
    """Ask for the first pages of several lists at once."""
    first = [("limit", str(client.settings.page_size)), ("page", "1"), *(params or [])]
    return [client.submit(request_for(x, first, promised=promised), priority) for x in listings]


def following_pages(
    client: Client, listing: Listing, first: Future[Page], priority: int, params: Params | None = None
) -> Iterator[list[Record]]:
    """A list from its first page on."""
    limit = ("limit", str(client.settings.page_size))
    page, number = first.result(), 1
    passed = Pages(listing.path)
    while True:
        records = page.records(listing.key)
        yield records
        following = page.next_params
        passed.passed(records, more=following is not None)
        if following is None:
            return
        number += 1
        given = dict(following)
        # Of the link only the page is taken: some hosts rewrite the rest.
        token = given.get("page", str(number))
        ask = request_for(listing, [limit, ("page", token), *(params or [])], promised=True)
        page = client.get(ask, priority)
