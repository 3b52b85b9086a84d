"""What a full sync would do, as a database explains a query: for each list a strategy, requests and seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tap_amocrm.api.listing import request_for
from tap_amocrm.declarations import ENTITIES, LISTINGS, Listing, fixed_requests
from tap_amocrm.http.client import Client
from tap_amocrm.planning.planner import Costs
from tap_amocrm.planning.scope import Scope
from tap_amocrm.planning.scope_costs import IDS_IN_A_REQUEST

# What the throttle lets through in the long run (tap_amocrm.http.rate_limit).
_SHARE_OF_THE_LIMIT = 1 / 1.013


@dataclass(frozen=True)
class Step:
    """One list: how it is read and what that costs; `records`: how many it may have, None where that is not known."""

    listing: str
    strategy: str
    requests: int
    instead: str = ""
    records: int | None = None


def seconds(requests: int, requests_per_second: float) -> float:
    """The time that a number of requests takes."""
    return requests / (requests_per_second * _SHARE_OF_THE_LIMIT)


def count_pages(client: Client, listing: Listing) -> int:
    """About how many pages a list has, by galloping over page numbers; at most an eighth too many."""

    def holds(page: int) -> bool:
        asked = [("limit", str(client.settings.page_size)), ("page", str(page))]
        return bool(client.get(request_for(listing, asked)).records(listing.key))

    if not holds(1):
        return 0
    low, high = 1, 4
    while holds(high):
        low, high = high, high * 4
    while high - low > max(1, low // 8):
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high - 1


def unscoped(client: Client) -> Iterator[Step]:
    """The plan of a whole account: every list once, page by page."""
    yield Step("account, definitions, events", "read whole", fixed_requests())
    for name, listing in LISTINGS.items():
        pages = count_pages(client, listing)
        yield Step(name, "full scan by id", max(1, pages), records=pages * client.settings.page_size)


def scoped(scope: Scope) -> Iterator[Step]:
    """The plan of a scope; the companies are read for it, their children are not."""
    membership, costs = scope.membership, scope.costs
    companies = membership.companies
    size = scope.settings.page_size
    yield Step("account, definitions, events", "read whole", fixed_requests())
    yield Step("companies", "filters, with linked ids", max(1, -(-len(companies.updated) // size)))
    for name in ("contacts", "leads"):
        linked, parents = len(membership.ids(name)), len(companies.updated)
        by_company = costs.by_company_id(name, parents, linked)
        way = "parents by filter[company_id][]" if by_company else f"{IDS_IN_A_REQUEST} linked ids"
        yield _told(name, parents, costs.linked_strategy(name, parents, linked), way)
    for entity in ENTITIES:
        yield _chosen(scope, f"{entity}/notes", len(membership.ids(entity)), "filter[entity_id][]")
    everything = sum(len(membership.ids(entity)) for entity in ENTITIES)
    if everything and costs.strategy("tasks", everything)[0] == "scan":
        yield _chosen(scope, "tasks", everything, "filter[entity_id][]")
        return
    for entity in ENTITIES:
        batches = -(-len(membership.ids(entity)) // scope.settings.batch_sizes["tasks"])
        yield Step(f"tasks of {entity}", "batches of parents by filter[entity_id][]", batches)


def _chosen(scope: Scope, name: str, parents: int, parameter: str) -> Step:
    if not parents:
        return Step(name, "nothing to read", 0)
    return _told(name, parents, scope.costs.strategy(name, parents), f"parents by {parameter}")


def _told(name: str, parents: int, chosen: tuple[str, Costs], way: str) -> Step:
    strategy, costs = chosen
    if not parents:
        return Step(name, "nothing to read", 0)
    if strategy == "scan":
        return Step(name, "scan, filtered here", costs.scan, f"batches: {costs.batch} requests")
    instead = f"scan: {costs.scan} requests or more" if costs.scan else ""
    return Step(name, f"batches of {way}", costs.batch, instead)
