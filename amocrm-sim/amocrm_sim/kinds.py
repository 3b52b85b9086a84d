"""Records of one kind: made-up ones underneath, changed ones on top, indexes built when first asked for."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any

from amocrm_sim.records import ENTITIES, Account, Record


def companies_of(record: Record) -> list[int]:
    """Ids of the companies that a contact or lead names, the first of them its own."""
    embedded = record["_embedded"]
    return [c["id"] for c in embedded.get("companies") or ()] if isinstance(embedded, dict) else []


class Kind:
    """Records of one kind: `ids` in order, `changed` over the made-up ones."""

    def __init__(self, account: Account, name: str, size: int) -> None:
        self.account, self.name, self.size = account, name, size
        self.first = account.first[name]
        self.ids: list[int] = list(range(self.first, self.first + size))
        self.changed: dict[int, Record] = {}
        self.gone: dict[int, Record] = {}
        self.next_id = self.first + size
        self.version = 0
        self._by_time: list[int] | None = None
        self._by_parent: dict[tuple[str | None, int | None], list[int]] | None = None

    def exists(self, record_id: int) -> bool:
        """Whether the record is there and not deleted."""
        place = bisect_left(self.ids, record_id)
        return place < len(self.ids) and self.ids[place] == record_id

    def get(self, record_id: int) -> Record:
        """The whole record; the caller must not change it."""
        found = self.changed.get(record_id)
        return found if found is not None else self.account.record(self.name, record_id - self.first)

    def updated_at(self, record_id: int) -> int:
        """The record's time without computing the record."""
        found = self.changed.get(record_id)
        return found["updated_at"] if found is not None else self.account.times(self.name, record_id - self.first)[1]

    def responsible(self, record_id: int) -> int:
        """The responsible user's id without computing the record."""
        found = self.changed.get(record_id)
        if found is not None:
            return int(found["responsible_user_id"])
        return self.account.user(self.account.bits(self.name, record_id - self.first))

    def parents(self, record_id: int) -> Sequence[tuple[str | None, int | None]]:
        """All that the record belongs to: entity of a note or task, companies of a contact or lead."""
        found = self.changed.get(record_id)
        if self.name in ENTITIES:
            if found is None:
                companies: Sequence[int] = self.account.companies_of(self.name, record_id - self.first)
            else:
                companies = companies_of(found)
            return [("companies", i) for i in companies] or (("companies", None),)
        if found is None:
            return (self.account.parent_of(self.name, record_id - self.first),)
        entity = found.get("entity_type") or (self.name.split("/")[0] if "/" in self.name else None)
        return ((entity, found.get("entity_id")),)

    def parent(self, record_id: int) -> tuple[str | None, int | None]:
        """What the record belongs to first."""
        return self.parents(record_id)[0]

    def by_time(self) -> list[int]:
        """`updated_at << 40 | id`, sorted."""
        if self._by_time is None:
            self._by_time = sorted(self.updated_at(i) << 40 | i for i in self.ids)
        return self._by_time

    def children_of(self, entity: str | None, parent_id: int | None) -> list[int]:
        """Ids of the records that belong to a parent, in order."""
        if self._by_parent is None:
            self._by_parent = {}
            for record_id in self.ids:
                for parent in self.parents(record_id):
                    self._by_parent.setdefault(parent, []).append(record_id)
        return self._by_parent.get((entity, parent_id), [])

    def put(self, record: Record) -> None:
        """Write a record, new or changed."""
        record_id = record["id"]
        if self.exists(record_id):
            self._forget_time(record_id)
        else:
            insort(self.ids, record_id)
            self.next_id = max(self.next_id, record_id + 1)
        self.changed[record_id] = record
        if self._by_time is not None:
            insort(self._by_time, record["updated_at"] << 40 | record_id)
        self._by_parent = None
        self.version += 1

    def remove(self, record_id: int) -> None:
        """Take a record out of the lists; it can be put back."""
        self._forget_time(record_id)
        self.gone[record_id] = self.get(record_id)
        del self.ids[bisect_left(self.ids, record_id)]
        self._by_parent = None
        self.version += 1

    def _forget_time(self, record_id: int) -> None:
        if self._by_time is not None:
            key = self.updated_at(record_id) << 40 | record_id
            del self._by_time[bisect_left(self._by_time, key)]


def overlay(record: Record, fields: dict[str, Any]) -> None:
    """Write fields over a record; `_embedded` key by key."""
    for key, value in fields.items():
        if key == "_embedded":
            record["_embedded"] = {**(record.get("_embedded") or {}), **value}
        else:
            record[key] = value
