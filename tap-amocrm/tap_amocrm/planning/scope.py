"""With a scope: the companies in it, and their children by the cheapest way that this account allows."""

from __future__ import annotations

import base64
import itertools
import json
import threading
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tap_amocrm.api.deletions import LINKS
from tap_amocrm.api.listing import request_for
from tap_amocrm.declarations import ENTITIES, LISTINGS
from tap_amocrm.http.client import Params
from tap_amocrm.planning.planner import Costs, choose
from tap_amocrm.reading.full_scan import CLOCK_SLACK
from tap_amocrm.reading.id_batches import Batches
from tap_amocrm.reading.keyset_scan import FilterIgnoredError, settled
from tap_amocrm.reading.reader import Reader
from tap_amocrm.shapes import Record, embedded, has_id_among, items, record_id, seconds, whole

# 250 ids with percent-encoded brackets are just above the 8 kB at which the service answers 414.
IDS_IN_A_REQUEST = 200


def company_id_of(record: Record) -> int | None:
    """The company of a contact or lead as the API sends it."""
    return next((whole(company.get("id")) for company in embedded(record, "companies")), None)


def names_any(record: Record, companies: Collection[int]) -> bool:
    """Whether a contact or lead names one of the companies: some have several, and are listed with each."""
    return any(whole(company.get("id")) in companies for company in embedded(record, "companies"))


def packed(ids: Iterable[int]) -> str:
    """A set of ids as short text: about a byte and a half for each."""
    ordered = sorted(ids)
    steps = [b - a for a, b in zip([0, *ordered], ordered, strict=False)]
    return base64.b64encode(zlib.compress(json.dumps(steps, separators=(",", ":")).encode())).decode("ascii")


def unpacked(text: str) -> frozenset[int] | None:
    """The ids of `packed`, None when the text is damaged."""
    try:
        return frozenset(itertools.accumulate(json.loads(zlib.decompress(base64.b64decode(text)))))
    except (ValueError, TypeError, zlib.error):
        return None


@dataclass
class _Companies:
    records: list[Record] = field(default_factory=list)
    updated: dict[int, int] = field(default_factory=dict)
    linked: dict[str, dict[int, list[int]]] = field(default_factory=lambda: {"contacts": {}, "leads": {}})


class Scope:
    """The part of the account that the settings ask for; read once a run, when first needed.

    `known` are the companies that the last complete run had in scope, None without one: those which came since count
    as changed, whatever their `updated_at` says.
    """

    def __init__(self, reader: Reader, totals: dict[str, int], known: frozenset[int] | None = None) -> None:
        self.reader, self.client, self.settings = reader, reader.client, reader.client.settings
        self.totals = totals
        self._companies: _Companies | None = None
        self._lock = threading.Lock()
        self._changed: dict[tuple[str, int | None], set[int]] = {}
        self.known = known
        # When the companies were read, on the monotonic clock: what enters the scope later is the next run's.
        self.began: float | None = None

    def matches(self, company: Record) -> bool:
        """Whether a company is in scope; the limit aside."""
        users = self.settings.responsible_user_ids
        if users and whole(company.get("responsible_user_id")) not in users:
            return False
        field_id = self.settings.company_custom_field_id
        if field_id is None:
            return True
        wanted = self.settings.company_custom_field_value
        for custom in items(company.get("custom_fields_values")):
            if whole(custom.get("field_id")) == field_id:
                for value in items(custom.get("values")):
                    if wanted in (str(value.get("value")), str(value.get("enum_id"))):
                        return True
        return False

    def _params(self) -> Params:
        params: Params = [("with", "contacts,leads")]
        if self.reader.account.filter_package:
            params += [("filter[responsible_user_id][]", str(u)) for u in self.settings.responsible_user_ids]
            field_id = self.settings.company_custom_field_id
            if field_id is not None:
                value = self.settings.company_custom_field_value or ""
                params.append((f"filter[custom_fields_values][{field_id}][]", value))
        return params

    @property
    def companies(self) -> _Companies:
        """The companies in scope, whole, with the ids of what is linked to them."""
        with self._lock:
            if self._companies is None:
                self._companies = self._read_companies()
            return self._companies

    def _read_companies(self) -> _Companies:
        found = _Companies()
        for record in self._matching():
            company = record_id(record)
            if not company:  # it comes, and nothing can be asked for by it
                found.records.append(record)
                continue
            if company in found.updated:
                continue
            found.records.append(record)
            found.updated[company] = seconds(record, "updated_at")
            for kind, linked in found.linked.items():
                linked[company] = [i for i in map(record_id, embedded(record, kind)) if i]
            limit = self.settings.company_limit
            if limit is not None and len(found.records) >= limit:
                break
        return found

    def _matching(self) -> Iterator[Record]:
        """Companies in scope; the list is read again when one left the filter meanwhile: it may have pulled others
        over a page's border."""
        clock = self.client.clock
        self.began = clock.moment()
        moment, latest = int(clock.told(self.began)), clock.latest(self.began)
        params = self._params()

        def disturbed() -> bool:
            changed = self.reader.changed("companies", moment - CLOCK_SLACK)
            others = (r for records in changed for r in records if not self.matches(r))
            return any(seconds(r, "created_at") < latest for r in others)

        account = self.reader.account
        filtered = account.filter_package and len(params) > 1
        read, read_all = (partial(self.reader.walk, "companies", p) for p in (params, params[:1]))
        for records in settled(read, disturbed, read_all, "companies") if filtered else read():
            matching = [r for r in records if self.matches(r)]
            if len(matching) < len(records) and account.filter_package:
                account.ignores("filters of companies", "companies are chosen from the whole list")
            yield from matching

    def company_records(self, since: int | None) -> Iterator[list[Record]]:
        """Companies in scope that changed since a second, or came into it since the last run."""
        chosen = set(self._changed_companies(since))
        yield [r for r in self.companies.records if record_id(r) in chosen or not record_id(r)]

    def ids(self, entity: str) -> set[int]:
        """All ids in scope of companies, contacts or leads."""
        found = self.companies
        if entity == "companies":
            return set(found.updated)
        return {i for linked in found.linked[entity].values() for i in linked}

    def _changed_companies(self, since: int | None) -> list[int]:
        companies = self.companies.updated.items()
        return [c for c, at in companies if since is None or at >= since or not self._was_known(c)]

    def _was_known(self, company: int) -> bool:
        return self.known is None or company in self.known

    def changed_ids(self, entity: str, since: int | None) -> set[int]:
        """Ids in scope whose own children must be read whole: they changed, or their company did (it may have come
        into scope, or they into it)."""
        if entity == "companies":
            return set(self._changed_companies(since))
        if since is None:
            return self.ids(entity)
        if (entity, since) not in self._changed:
            for _ in self.linked_records(entity, since):
                pass
        return self._changed[entity, since]

    # -- contacts and leads ----------------------------------------------------------------------------------------

    def linked_records(self, entity: str, since: int | None) -> Iterator[list[Record]]:
        """Contacts or leads of the companies in scope: all of those companies that changed, and of the others what
        changed itself."""
        scope, seen = self.ids("companies"), set[int]()
        parents = self._changed_companies(since)
        source = self._linked_of(entity, parents, whole=since is None)
        for records in source:
            yield _new(records, scope, seen)
        if since is not None and len(parents) < len(scope):
            for records in self.reader.changed(entity, since):
                yield _new(records, scope, seen)
        if since is not None:
            known = {i for p in parents for i in self.companies.linked[entity].get(p, ())}
            self._changed[entity, since] = seen | known

    def _linked_of(self, entity: str, parents: list[int], *, whole: bool) -> Iterator[list[Record]]:
        if not parents:
            return
        linked = [i for p in parents for i in self.companies.linked[entity].get(p, ())]
        size = self.settings.batch_sizes["contacts"]
        self.client.metrics.unbatched(len(parents))
        if whole and self.linked_strategy(entity, len(parents), len(linked))[0] == "scan":
            yield from self._scan(entity, set(parents))
            return
        account = self.reader.account
        if self.by_company_id(entity, len(parents), len(linked)):
            name = _company_filter(entity)
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

    def by_company_id(self, entity: str, parents: int, linked: int) -> bool:
        """Whether contacts or leads are asked for by their companies, else by the ids that the companies name.

        What the filter does is tried with contacts; it is the same for both lists. Else the cheaper way is taken.
        """
        honours = self.reader.account.honours
        seen = {honours.get(_company_filter(e)) for e in ("contacts", "leads")}
        if honours.get(_company_filter(entity)) is False or seen == {False, None}:
            return False
        if honours.get(f"filter[id] of {entity}") is False or (entity == "contacts" and True not in seen):
            return True
        return -(-parents // self.settings.batch_sizes["contacts"]) < -(-linked // IDS_IN_A_REQUEST)

    def linked_strategy(self, entity: str, parents: int, linked: int) -> tuple[str, Costs]:
        """How contacts or leads of so many companies are read, and why; `linked` are their ids, all known.

        A list that holds them has at least a page for 250 of them: 200 ids a request are never twice as many, and
        nothing is asked about its length.
        """
        if self.by_company_id(entity, parents, linked):
            batches = -(-parents // self.settings.batch_sizes["contacts"])
        elif self.reader.account.honours.get(f"filter[id] of {entity}") is False:
            return "scan", Costs(0, max(1, self._known_pages(entity) or 0), parents)
        else:
            batches = -(-linked // IDS_IN_A_REQUEST)
        least = -(-linked // self.settings.page_size)
        ask = partial(self.pages, entity) if batches > 2 * max(1, least) else lambda enough: enough
        known = self._known_pages(entity)
        return choose(self.settings.child_strategy, batches, parents, ask if known is None else lambda _: known)

    def _by(self, entity: str, parameter: str, ids: list[int], size: int, belongs: Any) -> Iterator[list[Record]]:
        def left(since: int) -> list[float]:
            return self.reader.vanished(entity, since, LINKS)

        return Batches(self.client, LISTINGS[entity], parameter, belongs, size, left).read(ids)

    def _scan(self, entity: str, parents: set[int]) -> Iterator[list[Record]]:
        total = 0
        for records in self.reader.changed(entity, None):
            total += len(records)
            yield [r for r in records if names_any(r, parents)]
        self.totals[entity] = total

    def strategy(self, name: str, parents: int) -> tuple[str, Costs]:
        """How notes or tasks of so many parents are read from a list, and why."""
        stream = LISTINGS[name].stream
        size = self.settings.batch_sizes[stream]
        return choose(self.settings.child_strategy, -(-parents // size), parents, partial(self.pages, name))

    def _known_pages(self, name: str) -> int | None:
        total = self.totals.get(name)
        return None if total is None else max(1, -(-total // self.settings.page_size))

    def pages(self, name: str, enough: int) -> int:
        """Pages of a whole list: as the last scan counted them, or `enough` if there are that many or more, by one
        request for that page."""
        known = self._known_pages(name)
        if known is not None:
            return known
        asked = [("limit", str(self.settings.page_size)), ("page", str(enough))]
        there = self.client.get(request_for(LISTINGS[name], asked)).records(LISTINGS[name].key)
        return enough if there else max(1, enough - 1)

    # -- notes and tasks -------------------------------------------------------------------------------------------

    def hanging(self, listing: str, since: int | None) -> Iterator[list[Record]]:
        """Notes or tasks in scope, of one list."""
        entity = LISTINGS[listing].entity_type
        yield from self._hanging(listing, ENTITIES if entity is None else (entity,), since)

    def _hanging(self, name: str, entities: tuple[str, ...], since: int | None) -> Iterator[list[Record]]:
        """What hangs on entities in scope: all of those that changed, and of the others what changed itself."""
        scopes = {entity: self.ids(entity) for entity in entities}
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
        scan = whole and self.strategy(name, count)[0] == "scan"
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
        self.totals[name] = total

    def _batches_of_parents(self, name: str, entity: str, ids: list[int]) -> Iterator[list[Record]]:
        listing = LISTINGS[name]

        def belongs(record: Record, batch: set[int]) -> bool:
            return _hangs_on(record, {entity: batch}, entity)

        extra = (("filter[entity_type]", entity),) if name == "tasks" else ()
        left = partial(self.reader.vanished, listing.stream)
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


def _company_filter(entity: str) -> str:
    return f"filter[company_id] of {entity}"


def _hangs_on(record: Record, parents: Mapping[str, Collection[int]], only: str | None) -> bool:
    """Whether a note or task hangs on one of these; notes don't say on what kind of entity, their list does."""
    return whole(record.get("entity_id")) in parents.get(str(record.get("entity_type", only)), ())
