"""Records that changed without their `updated_at`: restored, merged into, linked; with the notes and tasks on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from tap_amocrm.api.records import names_any
from tap_amocrm.declarations import LISTINGS
from tap_amocrm.errors import ApiError
from tap_amocrm.http.client import Ask
from tap_amocrm.planning.scope_costs import IDS_IN_A_REQUEST
from tap_amocrm.planning.scope_membership import ScopeMembership
from tap_amocrm.reading.id_batches import Batches
from tap_amocrm.reading.keyset_scan import FilterIgnoredError
from tap_amocrm.reading.reader import Reader
from tap_amocrm.shapes import Record, has_id_among, record_id, text, whole
from tap_amocrm.singer_io.prefetch import as_they_come

# A record that does not exist: amoCRM answers 204 or 404.
_GONE = 404


class ByIds:
    """Reads records by id; with a scope only those in it."""

    def __init__(self, reader: Reader, scope: ScopeMembership | None) -> None:
        self.reader, self.client, self.scope = reader, reader.client, scope

    def read(
        self, with_children: Mapping[str, set[int]], alone: Mapping[str, set[int]]
    ) -> Iterator[tuple[str, list[Record]]]:
        """Pairs of list and records: entities and behind them their notes and tasks; others `alone`."""
        reads = [partial(self._read, name, sorted(ids), hanging=True) for name, ids in with_children.items()]
        reads += [partial(self._read, name, sorted(ids), hanging=False) for name, ids in alone.items()]
        yield from self._at_once(reads)

    def _read(self, entity: str, wanted: list[int], *, hanging: bool) -> Iterator[tuple[str, list[Record]]]:
        found: set[int] = set()
        for records in self._entities(entity, wanted):
            inside = [r for r in records if self._in_scope(entity, r)]
            found.update(i for i in map(record_id, inside) if i)
            yield entity, inside
        if hanging and found:
            names = (f"{entity}/notes", "tasks")
            yield from self._at_once([partial(self._hanging, name, entity, sorted(found)) for name in names])

    def _at_once(
        self, reads: Sequence[Callable[[], Iterator[tuple[str, list[Record]]]]]
    ) -> Iterator[tuple[str, list[Record]]]:
        """Read side by side what does not ask for the scope, which is read by one at a time."""
        if self.scope is None and reads:
            yield from as_they_come(reads)
        else:
            for read in reads:
                yield from read()

    def listed(self, name: str, ids: list[int]) -> list[list[Record]] | None:
        """Records of any list by their IDs; None where this account does not filter the list by them."""
        what = f"filter[id] of {name}"
        if self.reader.account.honours.get(what) is False:
            return None
        left = partial(self.reader.removal_times, LISTINGS[name].stream)
        source = Batches(self.client, LISTINGS[name], "filter[id][]", has_id_among, IDS_IN_A_REQUEST, left)
        try:
            return list(source.read(ids))
        except FilterIgnoredError:
            self.reader.account.ignores(what, "what webhooks name is found by polling")
            return None

    def _in_scope(self, entity: str, record: Record) -> bool:
        if self.scope is None:
            return True
        companies = self.scope.ids("companies")
        return record_id(record) in companies if entity == "companies" else names_any(record, companies)

    def _entities(self, entity: str, ids: list[int]) -> Iterator[list[Record]]:
        name = f"filter[id] of {entity}"
        if self.reader.account.honours.get(name) is not False and len(ids) > 1:
            try:
                left = partial(self.reader.removal_times, entity)
                yield from Batches(
                    self.client, LISTINGS[entity], "filter[id][]", has_id_among, IDS_IN_A_REQUEST, left
                ).read(ids)
            except FilterIgnoredError:
                self.reader.account.ignores(name, "they are read one by one")
            else:
                return
        listing = LISTINGS[entity]
        for wanted in ids:
            try:
                page = self.client.get(Ask(listing.stream, f"{listing.path}/{wanted}", listing.params))
            except ApiError as error:
                if error.status != _GONE:
                    raise
                continue
            if record_id(dict(page.body)):
                yield [dict(page.body)]

    def _hanging(self, name: str, entity: str, ids: list[int]) -> Iterator[tuple[str, list[Record]]]:
        listing, wanted = LISTINGS[name], set(ids)
        extra = (("filter[entity_type]", entity),) if name == "tasks" else ()

        def belongs(record: Record, batch: set[int]) -> bool:
            return whole(record.get("entity_id")) in batch and text(record.get("entity_type", entity)) == entity

        size = self.client.settings.batch_sizes[listing.stream]
        left = partial(self.reader.removal_times, listing.stream)
        try:
            batches = Batches(self.client, listing, "filter[entity_id][]", belongs, size, left, extra)
            for records in batches.read(ids):
                yield name, records
        except FilterIgnoredError:
            for records in self.reader.changed(name, None):
                yield name, [r for r in records if belongs(r, wanted)]
