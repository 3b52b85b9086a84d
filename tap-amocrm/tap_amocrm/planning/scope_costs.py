"""What the ways of reading the children of a scope cost, and which is taken."""

from __future__ import annotations

from functools import partial

from tap_amocrm.api.listing import request_for
from tap_amocrm.declarations import LISTINGS
from tap_amocrm.planning.planner import Costs, choose
from tap_amocrm.reading.reader import Reader

# 250 ids with percent-encoded brackets are just above the 8 kB at which the service answers 414.
IDS_IN_A_REQUEST = 200


def company_filter(entity: str) -> str:
    """The name of `filter[company_id]` of a list in what an account's filters were seen to do."""
    return f"filter[company_id] of {entity}"


class ScopeCosts:
    """Chooses between batches of parents and a scan of the whole list.

    Args:
        reader: Knows the account and sends the requests.
        totals: How many records a list held when it was last read whole; kept between runs.
    """

    def __init__(self, reader: Reader, totals: dict[str, int]) -> None:
        self._account, self._client, self._settings = reader.account, reader.client, reader.client.settings
        self.totals = totals

    def by_company_id(self, entity: str, parents: int, linked: int) -> bool:
        """Whether contacts or leads are asked for by their companies, else by the ids that the companies name.

        What the filter does is tried with contacts; it is the same for both lists. Else the cheaper way is taken.
        """
        honours = self._account.honours
        seen = {honours.get(company_filter(e)) for e in ("contacts", "leads")}
        if honours.get(company_filter(entity)) is False or seen == {False, None}:
            return False
        if honours.get(f"filter[id] of {entity}") is False or (entity == "contacts" and True not in seen):
            return True
        return -(-parents // self._settings.batch_sizes["contacts"]) < -(-linked // IDS_IN_A_REQUEST)

    def linked_strategy(self, entity: str, parents: int, linked: int) -> tuple[str, Costs]:
        """How contacts or leads of a number of companies are read, and why; `linked` are their ids, all known.

        A list that holds them has at least a page for 250 of them: 200 ids a request are never twice as many, and
        nothing is asked about its length.
        """
        if self.by_company_id(entity, parents, linked):
            batches = -(-parents // self._settings.batch_sizes["contacts"])
        elif self._account.honours.get(f"filter[id] of {entity}") is False:
            return "scan", Costs(0, max(1, self._known_pages(entity) or 0), parents)
        else:
            batches = -(-linked // IDS_IN_A_REQUEST)
        least = -(-linked // self._settings.page_size)
        ask = partial(self.pages, entity) if batches > 2 * max(1, least) else lambda enough: enough
        known = self._known_pages(entity)
        return choose(self._settings.child_strategy, batches, parents, ask if known is None else lambda _: known)

    def strategy(self, name: str, parents: int) -> tuple[str, Costs]:
        """How notes or tasks of a number of parents are read from a list, and why."""
        stream = LISTINGS[name].stream
        size = self._settings.batch_sizes[stream]
        return choose(self._settings.child_strategy, -(-parents // size), parents, partial(self.pages, name))

    def _known_pages(self, name: str) -> int | None:
        total = self.totals.get(name)
        return None if total is None else max(1, -(-total // self._settings.page_size))

    def pages(self, name: str, enough: int) -> int:
        """Pages of a whole list: as the last scan counted them, or `enough` if there are that many or more, by one
        request for that page."""
        known = self._known_pages(name)
        if known is not None:
            return known
        asked = [("limit", str(self._settings.page_size)), ("page", str(enough))]
        there = self._client.get(request_for(LISTINGS[name], asked)).records(LISTINGS[name].key)
        return enough if there else max(1, enough - 1)
