"""The account's content: made-up records underneath, changes on top, indexes built when first asked for."""

from __future__ import annotations

import json
import time
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from amocrm_sim import words as w
from amocrm_sim.records import (
    ACCOUNT_ID,
    BRANCH_FIELD,
    ENTITIES,
    EPOCH,
    FIELD,
    FIRST_ID,
    FIRST_USER,
    INN_FIELD,
    SOURCE_FIELD,
    USERS,
    Account,
    Record,
)

SINGULAR = {"companies": "company", "contacts": "contact", "leads": "lead", "customers": "customer", "tasks": "task"}
_CACHED_LISTS = 64


class Kind:
    """Records of one kind: `ids` in order, `changed` over the made-up ones."""

    def __init__(self, account: Account, name: str, size: int) -> None:
        self.account, self.name, self.size = account, name, size
        self.first = FIRST_ID[name]
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

    def parent(self, record_id: int) -> tuple[str | None, int | None]:
        """What the record hangs on: entity of a note or task, company of a contact or lead."""
        found = self.changed.get(record_id)
        if self.name in ENTITIES:
            if found is None:
                return "companies", self.account.company_of(self.name, record_id - self.first)
            companies = found["_embedded"].get("companies") or [{"id": None}]
            return "companies", companies[0]["id"]
        if found is None:
            return self.account.parent_of(self.name, record_id - self.first)
        entity = found.get("entity_type") or (self.name.split("/")[0] if "/" in self.name else None)
        return entity, found.get("entity_id")

    def by_time(self) -> list[int]:
        """`updated_at << 40 | id`, sorted."""
        if self._by_time is None:
            self._by_time = sorted(self.updated_at(i) << 40 | i for i in self.ids)
        return self._by_time

    def children_of(self, entity: str | None, parent_id: int | None) -> list[int]:
        """Ids of the records that hang on a parent, in order."""
        if self._by_parent is None:
            self._by_parent = {}
            for record_id in self.ids:
                self._by_parent.setdefault(self.parent(record_id), []).append(record_id)
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


class Store:
    """All kinds, the events, and every way in which the account changes.

    `journal` is a file that keeps the changes, so that the account outlives the process.
    """

    def __init__(
        self, seed: int, sizes: dict[str, int], clock_offset: float = 0.0, journal: Path | None = None
    ) -> None:
        total = sizes["notes"]
        parts = {"companies/notes": total * 3 // 10, "contacts/notes": total * 5 // 10}
        parts["leads/notes"] = total - sum(parts.values())
        self.account = Account(seed, sizes)
        names = {k: sizes[k] for k in ("companies", "contacts", "leads", "tasks", "customers")} | parts
        self.kinds = {name: Kind(self.account, name, size) for name, size in names.items()}
        self.clock_offset = clock_offset
        # What vanished together with an entity, to come back with it.
        self.hidden_with: dict[tuple[str, int], list[tuple[str, int]]] = {}
        self.events: list[Record] = []
        self.statics = _statics()
        self._lists: OrderedDict[Any, tuple[int, list[int]]] = OrderedDict()
        self._replaying: int | None = None
        self._journal = None
        if journal is not None:
            self._replay(journal)
            self._journal = journal.open("a", encoding="utf-8")

    def now(self) -> int:
        """The server's clock, Unix seconds."""
        return self._replaying if self._replaying is not None else int(time.time() + self.clock_offset)

    def cached(self, kind: Kind, key: Any, build: Callable[[], list[int]]) -> list[int]:
        """A list of ids, computed once for as long as the kind does not change."""
        found = self._lists.get((kind.name, key))
        if found is not None and found[0] == kind.version:
            self._lists.move_to_end((kind.name, key))
            return found[1]
        ids = build()
        self._lists[kind.name, key] = (kind.version, ids)
        if len(self._lists) > _CACHED_LISTS:
            self._lists.popitem(last=False)
        return ids

    # -- changes ---------------------------------------------------------------------------------------------------

    def _replay(self, journal: Path) -> None:
        if not journal.exists():
            return
        for line in journal.read_text("utf-8").splitlines():
            entry = json.loads(line)
            self._replaying = entry["at"]
            self.change(entry["action"], entry["body"])
        self._replaying = None

    def change(self, action: str, body: Record) -> Any:
        """Do one of create, update, delete, restore, merge, link.

        Raises:
            KeyError: an unknown action, kind or record.
        """
        if self._journal is not None and self._replaying is None:
            self._journal.write(json.dumps({"at": self.now(), "action": action, "body": body}) + "\n")
            self._journal.flush()
        actions: dict[str, Callable[..., Any]] = {
            "create": self.create,
            "update": self.update,
            "delete": self.delete,
            "restore": self.restore,
            "merge": self.merge,
            "link": self.link,
        }
        return actions[action](**body)

    def event(
        self, kind: str, entity: str, entity_id: int, after: Iterable[Record] = (), before: Iterable[Record] = ()
    ) -> None:
        """Add an event; ids sort by time as ULIDs do."""
        number = len(self.events) + 1
        self.events.append(
            {
                "id": f"01{self.now():010x}{number:014x}",
                "type": kind,
                "entity_id": entity_id,
                "entity_type": entity,
                "created_by": FIRST_USER,
                "created_at": self.now(),
                "value_after": list(after),
                "value_before": list(before),
                "account_id": ACCOUNT_ID,
            }
        )

    def create(
        self, kind: str, fields: Record | None = None, count: int = 1, updated_at: int | None = None
    ) -> list[int]:
        """New records, copied from a made-up one and overwritten by `fields`."""
        store, made = self.kinds[kind], []
        for _ in range(count):
            record_id = store.next_id
            record = self.account.record(kind, record_id - store.first)
            record |= {"created_at": self.now(), "updated_at": updated_at or self.now()}
            if kind.endswith("/notes"):
                record["entity_id"] = None
            _overlay(record, fields or {})
            record["id"] = record_id
            store.put(record)
            self._created(kind, record)
            made.append(record_id)
        return made

    def _created(self, kind: str, record: Record) -> None:
        if kind.endswith("/notes"):
            entity = SINGULAR[kind.split("/")[0]]
            self.event("common_note_added", entity, record["entity_id"] or 0, [{"note": {"id": record["id"]}}])
        else:
            self.event(f"{SINGULAR[kind]}_added", SINGULAR[kind], record["id"])

    def update(
        self, kind: str, ids: list[int], fields: Record | None = None, updated_at: int | None = None, touch: bool = True
    ) -> list[int]:
        """Change records. `updated_at` sets their time to any value, `touch: false` leaves it."""
        store = self.kinds[kind]
        for record_id in ids:
            if not store.exists(record_id):
                raise KeyError(record_id)
            record = json.loads(json.dumps(store.get(record_id)))
            _overlay(record, fields or {})
            if touch:
                record["updated_at"] = updated_at if updated_at is not None else self.now()
            store.put(record)
        return ids

    def delete(self, kind: str, ids: list[int]) -> list[int]:
        """Delete records; their notes and tasks vanish with them, without events of their own."""
        store = self.kinds[kind]
        for record_id in ids:
            if not store.exists(record_id):
                raise KeyError(record_id)
            entity_id = store.parent(record_id)[1] if kind.endswith("/notes") else None
            store.remove(record_id)
            if kind.endswith("/notes"):
                entity = SINGULAR[kind.split("/")[0]]
                self.event("common_note_deleted", entity, entity_id or 0, (), [{"note": {"id": record_id}}])
                continue
            self.event(f"{SINGULAR[kind]}_deleted", SINGULAR[kind], record_id)
            if kind in ENTITIES:
                hidden = self.hidden_with.setdefault((kind, record_id), [])
                for child_kind in (f"{kind}/notes", "tasks"):
                    for child in list(self.kinds[child_kind].children_of(kind, record_id)):
                        self.kinds[child_kind].remove(child)
                        hidden.append((child_kind, child))
        return ids

    def restore(self, kind: str, ids: list[int]) -> list[int]:
        """Bring deleted records back with their old ids and times, and what hung on them."""
        store = self.kinds[kind]
        for record_id in ids:
            store.put(store.gone.pop(record_id))
            for child_kind, child in self.hidden_with.pop((kind, record_id), ()):
                self.kinds[child_kind].put(self.kinds[child_kind].gone.pop(child))
            self.event(f"{SINGULAR[kind]}_restored", SINGULAR[kind], record_id)
        return ids

    def merge(self, kind: str, into: int, ids: list[int]) -> list[int]:
        """Merge records into a survivor; what hangs on the losers moves over and keeps its id."""
        store = self.kinds[kind]
        for record_id in ids:
            for child_kind in (f"{kind}/notes", "tasks"):
                children = self.kinds[child_kind]
                for child in list(children.children_of(kind, record_id)):
                    self.update(child_kind, [child], {"entity_id": into}, touch=False)
            if kind == "companies":
                for child_kind in ("contacts", "leads"):
                    for child in list(self.kinds[child_kind].children_of(kind, record_id)):
                        self.link(child_kind, child, into)
            store.remove(record_id)
            merged = [{"link": {"entity": {"type": SINGULAR[kind], "id": record_id}}}]
            self.event("entity_merged", SINGULAR[kind], into, merged)
        self.update(kind, [into])
        return [into]

    def link(self, kind: str, id: int, company_id: int | None, touch: str = "child") -> list[int]:
        """Give a contact or lead another company, or none.

        `touch` says whose `updated_at` changes (it is not documented): `child`, `company` (the old and the new one),
        or `both`.
        """
        companies = [{"id": company_id}] if company_id else []
        before = self.kinds[kind].parent(id)[1]
        self.update(kind, [id], {"_embedded": {"companies": companies}}, touch=touch in ("child", "both"))
        if touch in ("company", "both"):
            self.update("companies", [c for c in (before, company_id) if c and self.kinds["companies"].exists(c)])
        name = "entity_linked" if company_id else "entity_unlinked"
        self.event(name, SINGULAR[kind], id, [{"link": {"entity": {"type": "company", "id": company_id}}}])
        return [id]

    def linked(self, entity: str, ids: Iterable[int]) -> dict[int, Record]:
        """For companies: contacts and leads of each; for leads: contacts; as `_embedded` names them."""
        result: dict[int, Record] = {}
        for record_id in ids:
            found: Record = {}
            if entity == "companies":
                for child in ("contacts", "leads"):
                    found[child] = [{"id": i} for i in self.kinds[child].children_of("companies", record_id)]
            result[record_id] = found
        return result


def _overlay(record: Record, fields: Record) -> None:
    for key, value in fields.items():
        if key == "_embedded":
            record["_embedded"] = {**(record.get("_embedded") or {}), **value}
        else:
            record[key] = value


def _definition(
    field_id: int, name: str, kind: str, code: str | None, entity: str, enums: list[str] | None = None, first: int = 0
) -> Record:
    return {
        "id": field_id, "name": name, "type": kind, "code": code, "sort": field_id % 1000, "group_id": None,
        "entity_type": entity, "account_id": ACCOUNT_ID, "is_api_only": False, "is_computed": False,
        "is_predefined": code is not None, "is_deletable": code is None, "required_statuses": [],
        "hidden_statuses": [], "remind": None, "currency": None, "chained_lists": None, "tracking_callback": None,
        "search_in": None, "nested": None,
        "enums": [{"id": first + n, "value": v, "sort": n, "code": None} for n, v in enumerate(enums)] if enums else None,
    }  # fmt: skip


def _users() -> list[Record]:
    rights = {"view": "A", "edit": "A", "add": "A", "delete": "A", "export": "A"}
    users = []
    for n in range(USERS):
        user_rights = {k: dict(rights) for k in ("leads", "contacts", "companies", "tasks")}
        user_rights |= {"mail_access": False, "catalog_access": False, "is_admin": n == 0, "is_free": False}  # type: ignore[dict-item]
        user_rights |= {"is_active": n != USERS - 1, "group_id": None, "role_id": None, "status_rights": []}  # type: ignore[dict-item]
        name = f"{w.FIRST[n % len(w.FIRST)]} {w.LAST[n % len(w.LAST)]}"
        embedded: Record = {"roles": [], "groups": []}
        users.append(
            {
                "id": FIRST_USER + n,
                "name": name,
                "email": f"user{n}@firma.ru",
                "lang": "ru",
                "rights": user_rights,
                "_embedded": embedded,
            }
        )
    return users


def _pipelines() -> list[Record]:
    pipelines = []
    for n, (name, statuses) in enumerate(w.PIPELINES):
        made = [
            {
                "id": 8_000_001 + 100 * n + k,
                "name": s,
                "sort": 10 * (k + 1),
                "is_editable": True,
                "pipeline_id": 7_000_001 + n,
                "color": "#fffeb2",
                "type": 0,
                "account_id": ACCOUNT_ID,
            }
            for k, s in enumerate(statuses)
        ]
        made += [
            {
                "id": i,
                "name": s,
                "sort": 10_000 + i,
                "is_editable": False,
                "pipeline_id": 7_000_001 + n,
                "color": "#CCFF66",
                "type": 0,
                "account_id": ACCOUNT_ID,
            }
            for i, s in ((142, "Успешно реализовано"), (143, "Закрыто и не реализовано"))
        ]
        pipelines.append(
            {
                "id": 7_000_001 + n,
                "name": name,
                "sort": n + 1,
                "is_main": n == 0,
                "is_unsorted_on": True,
                "is_archive": False,
                "account_id": ACCOUNT_ID,
                "_embedded": {"statuses": made},
            }
        )
    return pipelines


def _statics() -> dict[str, list[Record]]:
    """Users, pipelines, field definitions, tags, reasons of loss: the small lists."""
    fields = {
        "companies": [
            _definition(BRANCH_FIELD, "Филиал", "select", None, "companies", list(w.BRANCHES), 900),
            _definition(INN_FIELD, "ИНН", "text", None, "companies"),
        ],
        "contacts": [_definition(SOURCE_FIELD, "Источник", "select", None, "contacts", list(w.SOURCES), 950)],
        "leads": [_definition(700_020, "Дата поставки", "date", None, "leads")],
        "customers": [],
    }
    for code, kind in (("PHONE", "multitext"), ("EMAIL", "multitext"), ("WEB", "url"), ("ADDRESS", "textarea")):
        fields["companies"].append(_definition(FIELD[code], code.title(), kind, code, "companies"))
    for code, kind in (("POSITION", "text"), ("PHONE", "multitext"), ("EMAIL", "multitext")):
        fields["contacts"].append(_definition(FIELD[code] + 1000, code.title(), kind, code, "contacts"))
    result: dict[str, list[Record]] = {f"{e}/custom_fields": f for e, f in fields.items()}
    for shift, entity in enumerate((*ENTITIES, "customers")):
        result[f"{entity}/tags"] = [
            {"id": 3_000_001 + 1000 * shift + n, "name": t, "color": None} for n, t in enumerate(w.TAGS)
        ]
    reasons = [
        {"id": 6_000_001 + n, "name": r, "sort": n, "created_at": EPOCH, "updated_at": EPOCH}
        for n, r in enumerate(w.LOSS_REASONS)
    ]
    return result | {"users": _users(), "leads/pipelines": _pipelines(), "leads/loss_reasons": reasons}


def encode(value: Any) -> bytes:
    """JSON; lone surrogates as escapes, which strict encoders refuse."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, ValueError):
        return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()
