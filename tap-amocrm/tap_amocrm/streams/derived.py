"""Links between entities, and stages of pipelines: entries of a list that another stream's records embed.

An owner's entries leave right behind the owner, so that whatever interrupts a run, both are in the target or neither.
One that is gone gets a last version, as a deleted record does in its own stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from tap_amocrm.api.records import normalise
from tap_amocrm.declarations import Embedded
from tap_amocrm.moments import rfc3339_now
from tap_amocrm.shapes import Record, entries, record_id
from tap_amocrm.state import StreamBookmark
from tap_amocrm.streams.amo_tap import AmoTap
from tap_amocrm.streams.base import AmoStream, ReadPage
from tap_amocrm.streams.outgoing import Derived, Follower
from tap_amocrm.streams.sent_links import Links, SentLinks, packed

# Parts of the state's links after which they become one: a following process adds one with each turn.
MOST_PARTS = 200


class DerivedStream(AmoStream):
    """Reads nothing itself: the stream of the owners hands its records over."""

    def __init__(self, tap: AmoTap) -> None:
        super().__init__(tap)
        self._announced = False
        self._rows = 0
        self._seen: set[int] = set()
        # What has been written since the last STATE.
        self._written: Links = {}

    @property
    def _embedded(self) -> Embedded:
        assert self.declared.embedded is not None
        return self.declared.embedded

    def follower_of(self, parent: str) -> Follower:
        """What makes the records of this stream out of a parent's."""
        del parent
        return self

    @cached_property
    def links(self) -> SentLinks:
        """What the target holds."""
        try:
            return SentLinks(self.kept.links or ())
        except ValueError:
            self.logger.warning(
                "The state's links of %s can't be read; links that were removed since then are not marked.", self.name
            )
            self.kept.links = None
            return SentLinks()

    def read_pages(self, since: int | None) -> Iterator[ReadPage]:
        """Nothing: what there was has left with the owners."""
        del since
        yield from ()

    def derive(self, records: Iterable[Record]) -> Derived:
        """The stream's records of some owners, and last versions of those that are gone."""
        rows: list[Record] = []
        sent: Links = {}
        for record in records:
            owner, found = record_id(record), entries(record, self._embedded.name)
            if not owner or found is None:
                continue
            self._seen.add(owner)
            by_id = {i: entry for entry in found if (i := record_id(entry))}
            rows += [self._row(record, owner, i, entry) for i, entry in by_id.items()]
            rows += self._replace(owner, tuple(by_id), record["account_id"], rfc3339_now())
            sent[owner] = tuple(by_id)
        return Derived(self, rows, sent)

    def _row(self, record: Record, owner: int, entry_id: int, entry: Record) -> Record:
        """An entry of an owner as a record."""
        embedded, account_id = self._embedded, record["account_id"]
        if not embedded.entry:
            return {**normalise(entry, account_id), **self._key(owner, entry_id), "is_deleted": False}
        row = {**self._key(owner, entry_id), "account_id": account_id}
        row |= {name: entry.get(name) for name in embedded.keeps}
        return {**row, "updated_at": record.get("updated_at"), "is_deleted": False}

    def _key(self, owner: int, entry_id: int) -> Record:
        embedded = self._embedded
        if not embedded.entry:
            return {"id": entry_id, embedded.owner: owner}
        ids = {embedded.owner: owner, embedded.entry: entry_id}
        return {"id": ":".join(str(ids[name]) for name in embedded.key), **ids}

    def _replace(self, owner: int, left: tuple[int, ...], account_id: int, moment: Any) -> list[Record]:
        """Last versions of an owner's entries that are not among those that are left."""
        last: Record = {"account_id": account_id, "is_deleted": True, "_sdc_deleted_at": moment}
        if self._embedded.entry:
            last["updated_at"] = moment
        return [{**self._key(owner, i), **last} for i in self.links.replace(owner, left)]

    def begin_owners(self) -> None:
        """The owners are read once more."""
        self._seen.clear()

    def begin_again(self) -> None:
        """Not all that was derived has left: what the target holds is what the state says."""
        super().begin_again()
        self.__dict__.pop("links", None)
        self._written.clear()
        self._seen.clear()

    def mark_unseen(self) -> None:
        """All owners have been read: those that did not come have no entries any more.

        An empty list is not believed: nothing is marked then.
        """
        if self._seen:
            self._leave({owner: () for owner in self.links.owners() if owner not in self._seen}, rfc3339_now())

    def forget(self, stream: str, gone: Mapping[int, Any]) -> None:
        """Records of a stream were deleted or merged away: mark the links that name them.

        Args:
            stream: Their stream.
            gone: When each was deleted, by ID.
        """
        if stream in self.declared.parents:
            for owner, moment in gone.items():
                self._leave({owner: ()}, moment)
        elif stream == self._embedded.of:
            for owner in list(self.links.owners_of(gone)):
                before = self.links.entries(owner)
                moment = max(str(gone[i]) for i in before if i in gone)
                self._leave({owner: tuple(i for i in before if i not in gone)}, moment)

    def _leave(self, left: Links, moment: Any) -> None:
        """Write last versions of what is not left of some owners' entries."""
        account_id = self.amo.run.account.id
        rows = [row for owner, ids in left.items() for row in self._replace(owner, ids, account_id, moment)]
        if rows:
            self.write(rows)
            self.written(left)
            self.keep_position()

    def write(self, records: list[Record]) -> None:
        """Write records; the SCHEMA comes before the first of them."""
        self.announce()
        self._rows += len(records)
        super().write(records)

    def encoded(self, records: list[Record]) -> bytes:
        """Records as messages, to be written behind those of their owners."""
        self._rows += len(records)
        return super().encoded(records)

    def announce(self) -> None:
        """Write the SCHEMA, if that has not been done."""
        if not self._announced:
            self.write_schema()

    def holds_schema_back(self) -> bool:
        """The SCHEMA leaves once: before the first owner, or in the stream's own turn."""
        announced, self._announced = self._announced, True
        return announced

    def follow(self, owner: StreamBookmark) -> None:
        """Take over the bookmark of the owners: up to there this stream is what its owners are."""
        kept = self.kept
        kept.replication_key, kept.replication_key_value = owner.replication_key, owner.replication_key_value
        kept.scope = owner.scope
        self.save()

    def written(self, sent: Links) -> None:
        """The entries of these owners have been written as they are now."""
        self._written.update(sent)

    def keep_position(self) -> None:
        """Put into the state what has been written since the last time."""
        if self._written:
            parts = [*(self.kept.links or ()), packed(self._written)]
            self.kept.links = parts if len(parts) < MOST_PARTS else [self.links.packed()]
            self._written.clear()
            self.save()

    def write_pages(self) -> Iterator[int]:
        """Nothing more to write; gives the number of records that left with their owners."""
        yield from super().write_pages()
        yield self._rows

    def _move_bookmark(self) -> None:
        """All owners have been read: what the state keeps becomes one part."""
        self._written.clear()
        if self.kept.links or self.links.owners():
            self.kept.links = [self.links.packed()]
            self.save()
