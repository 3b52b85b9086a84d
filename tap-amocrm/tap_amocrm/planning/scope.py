"""With a scope: the companies in it, and their children by the cheapest way that this account allows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

from tap_amocrm.api.deletions import LINKS
from tap_amocrm.api.records import names_any
from tap_amocrm.declarations import ENTITIES, LISTINGS
from tap_amocrm.planning.scope_costs import IDS_IN_A_REQUEST, ScopeCosts, company_filter
from tap_amocrm.planning.scope_membership import ScopeMembership
from tap_amocrm.reading.id_batches import Batches
from tap_amocrm.reading.keyset_scan import FilterIgnoredError
from tap_amocrm.reading.reader import Reader
from tap_amocrm.shapes import Record, has_id_among, record_id, whole


class Scope:
    """Reads the part of the account that the settings ask for.

    The order of the calls matters: reading contacts and leads leaves behind which of them changed, and notes and tasks
    are read by that. Where a run does not read contacts or leads first, `changed_ids` reads them.

    Args:
        reader: Reads lists.
        totals: How many records a list held when it was last read whole; kept between runs.
        known: The companies that the last complete run had in scope, None without one.
    """

    def __init__(self, reader: Reader, totals: dict[str, int], known: frozenset[int] | None = None) -> None:
        self.reader, self.client, self.settings = reader, reader.client, reader.client.settings
        self.membership = ScopeMembership(reader, known)
        self.costs = ScopeCosts(reader, totals)
        # Contacts or leads that changed since a second, as reading them has shown.
        self._changed: dict[tuple[str, int | None], set[int]] = {}

    def company_records(self, since: int | None) -> Iterator[list[Record]]:
        """Companies in scope that changed since a second, or came into it since the last run."""
        chosen = set(self.membership.changed(since))
        yield [r for r in self.membership.companies.records if record_id(r) in chosen or not record_id(r)]

    def changed_ids(self, entity: str, since: int | None) -> set[int]:
        """Ids in scope whose own children must be read whole: they changed, or their company did (it may have come
        into scope, or they into it)."""
        if entity == "companies":
            return set(self.membership.changed(since))
        if since is None:
            return self.membership.ids(entity)
        if (entity, since) not in self._changed:  # this run has not read them yet, or from another second on
            for _ in self.linked_records(entity, since):
                pass
        return self._changed[entity, since]

    def linked_records(self, entity: str, since: int | None) -> Iterator[list[Record]]:
        """Contacts or leads of the companies in scope: all of those companies that changed, and of the others what
        changed itself."""
        scope, seen = self.membership.ids("companies"), set[int]()
        parents = self.membership.changed(since)
        source = self._linked_of(entity, parents, whole=since is None)
        for records in source:
            yield _new(records, scope, seen)
        if since is not None and len(parents) < len(scope):
            for records in self.reader.changed(entity, since):
                yield _new(records, scope, seen)
        if since is not None:
            known = set(self.membership.companies.linked_ids(entity, parents))
            self._changed[entity, since] = seen | known

    def _linked_of(self, entity: str, parents: list[int], *, whole: bool) -> Iterator[list[Record]]:
        if not parents:
            return
        linked = self.membership.companies.linked_ids(entity, parents)
        size = self.settings.batch_sizes["contacts"]
        self.client.metrics.unbatched(len(parents))
        if whole and self.costs.linked_strategy(entity, len(parents), len(linked))[0] == "scan":
            yield from self._scan(entity, set(parents))
            return
        account = self.reader.account
        if self.costs.by_company_id(entity, len(parents), len(linked)):
            name = company_filter(entity)
            try:
                yield from self._by(entity, "filter[company_id][]", parents, size, names_any)
                account.honours[name] = True
            except FilterIgnoredError:
                account.ignores(name, "linked ids are taken from the companies")
            else:
                return
        if account.honours.get(f"filter[id] of {entity}") is not False:
            try:
                yield from self._by(entity, "filter[id][]", linked, IDS_IN_A_REQUEST, has_id_among)
            except FilterIgnoredError:
                account.ignores(f"filter[id] of {entity}", "the whole list is read and filtered here")
            else:
                return
        yield from self._scan(entity, set(parents))

    def _by(self, entity: str, parameter: str, ids: list[int], size: int, belongs: Any) -> Iterator[list[Record]]:
        def left(since: int) -> list[float]:
            return self.reader.removal_times(entity, since, LINKS)

        return Batches(self.client, LISTINGS[entity], parameter, belongs, size, left).read(ids)

    def _scan(self, entity: str, parents: set[int]) -> Iterator[list[Record]]:
        total = 0
        for records in self.reader.changed(entity, None):
            total += len(records)
            yield [r for r in records if names_any(r, parents)]
        self.costs.totals[entity] = total

    def hanging(self, listing: str, since: int | None) -> Iterator[list[Record]]:
        """Notes or tasks in scope, of one list."""
        entity = LISTINGS[listing].entity_type
        yield from self._hanging(listing, ENTITIES if entity is None else (entity,), since)

    def _hanging(self, name: str, entities: tuple[str, ...], since: int | None) -> Iterator[list[Record]]:
        """What belongs to entities in scope: all of those that changed, and of the others what changed itself."""
        scopes = {entity: self.membership.ids(entity) for entity in entities}
        parents = {e: ids if since is None else self.changed_ids(e, since) & ids for e, ids in scopes.items()}
        only = entities[0] if len(entities) == 1 else None
        seen: set[int] = set()
        for records in self._of_parents(name, parents, only, whole=since is None):
            seen.update(map(record_id, records))
            yield records
        if any(len(parents[entity]) < len(ids) for entity, ids in scopes.items()):
            for records in self.reader.changed(name, since):
                yield [r for r in records if _is_new(r, seen) and _hangs_on(r, scopes, only)]

    def _of_parents(
        self, name: str, parents: dict[str, set[int]], only: str | None, *, whole: bool
    ) -> Iterator[list[Record]]:
        count = sum(map(len, parents.values()))
        if not count:
            return
        self.client.metrics.unbatched(count)
        account, what = self.reader.account, f"filter[entity_id] of {name}"
        # One scan serves all kinds of parents.
        scan = whole and self.costs.strategy(name, count)[0] == "scan"
        if account.honours.get(what) is not False and not scan:
            try:
                for entity, ids in parents.items():
                    yield from self._batches_of_parents(name, entity, sorted(ids))
            except FilterIgnoredError:
                account.ignores(what, "the whole list is read and filtered here")
            else:
                return
        total = 0
        for records in self.reader.changed(name, None):
            total += len(records)
            yield [r for r in records if _hangs_on(r, parents, only)]
        self.costs.totals[name] = total

    def _batches_of_parents(self, name: str, entity: str, ids: list[int]) -> Iterator[list[Record]]:
        listing = LISTINGS[name]

        def belongs(record: Record, batch: set[int]) -> bool:
            return _hangs_on(record, {entity: batch}, entity)

        extra = (("filter[entity_type]", entity),) if name == "tasks" else ()
        left = partial(self.reader.removal_times, listing.stream)
        size = self.settings.batch_sizes[listing.stream]
        return Batches(self.client, listing, "filter[entity_id][]", belongs, size, left, extra).read(ids)


def _is_new(record: Record, seen: set[int]) -> bool:
    """Whether a record was not seen yet, as far as its id can be read."""
    identity = record_id(record)
    return not identity or identity not in seen


def _new(records: list[Record], companies: Collection[int], seen: set[int]) -> list[Record]:
    """Contacts or leads of these companies that were not seen yet; they are now.

    A record of several companies may be listed with each of them, on one page, too.
    """
    found = []
    for record in records:
        if names_any(record, companies) and _is_new(record, seen):
            seen.add(record_id(record))
            found.append(record)
    return found


def _hangs_on(record: Record, parents: Mapping[str, Collection[int]], only: str | None) -> bool:
    """Whether a note or task belongs to one of these; notes don't say on what kind of entity, their list does."""
    return whole(record.get("entity_id")) in parents.get(str(record.get("entity_type", only)), ())
