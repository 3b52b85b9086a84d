"""The account's content: made-up records underneath, changes on top, indexes built when first asked for."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from amocrm_sim import events
from amocrm_sim.directories import directories
from amocrm_sim.events import SINGULAR
from amocrm_sim.kinds import Kind, companies_of, overlay
from amocrm_sim.records import ACCOUNT_ID, CARDS, Account, Record
from amocrm_sim.records.seeds import of_account

_CACHED_LISTS = 64


class Store:
    """All kinds, the events, and every way in which the account changes.

    `journal` is a file that keeps the changes, so that the account outlives the process. A `plain` account has no odd
    shapes.
    """

    def __init__(
        self,
        seed: int,
        sizes: dict[str, int],
        clock_offset: float = 0.0,
        journal: Path | None = None,
        plain: bool = False,
        account_id: int = ACCOUNT_ID,
    ) -> None:
        total = sizes["notes"]
        parts = {"companies/notes": total * 3 // 10, "contacts/notes": total * 5 // 10}
        parts["leads/notes"] = total - sum(parts.values())
        parts["customers/notes"] = 0 if plain else sizes["customers"]
        self.plain = plain
        self.account = Account(seed, sizes, plain, account_id)
        names = {k: sizes[k] for k in ("companies", "contacts", "leads", "tasks", "customers")} | parts
        self.kinds = {name: Kind(self.account, name, size) for name, size in names.items()}
        self.clock_offset = clock_offset
        # What was deleted together with an entity, to come back with it.
        self.hidden_with: dict[tuple[str, int], list[tuple[str, int]]] = {}
        self.events: list[Record] = [] if plain else of_account(account_id, events.history(self.account))
        self.statics = of_account(account_id, directories(plain))
        # Takes every change: the list, what happened, the record.
        self.on_change: Callable[[str, str, Record], None] = lambda kind, action, record: None
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
        """Add an event."""
        number = len(self.events) + 1
        made = events.made(number, self.now(), kind, entity, entity_id, list(after), list(before))
        self.events.append(made | {"account_id": self.account.id})

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
            overlay(record, fields or {})
            record["id"] = record_id
            store.put(record)
            self._created(kind, record)
            self.on_change(kind, "note" if "/" in kind else "add", record)
            made.append(record_id)
        return made

    def _created(self, kind: str, record: Record) -> None:
        if kind.endswith("/notes"):
            entity = SINGULAR[kind.split("/")[0]]
            self.event(
                events.note_added(record, self.plain),
                entity,
                record["entity_id"] or 0,
                [{"note": {"id": record["id"]}}],
            )
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
            before = store.get(record_id)
            record = json.loads(json.dumps(before))
            overlay(record, fields or {})
            if touch:
                record["updated_at"] = updated_at if updated_at is not None else self.now()
            store.put(record)
            if "/" not in kind:  # the service calls nobody when a note is edited
                self.on_change(kind, _what(before, record), record)
            if not self.plain:
                for name, new, old in events.changes(kind, before, record):
                    self.event(name, SINGULAR[kind], record_id, new, old)
        return ids

    def delete(self, kind: str, ids: list[int]) -> list[int]:
        """Delete records; their notes and tasks are deleted with them, without their own events."""
        store = self.kinds[kind]
        for record_id in ids:
            if not store.exists(record_id):
                raise KeyError(record_id)
            entity_id = store.parent(record_id)[1] if kind.endswith("/notes") else None
            store.remove(record_id)
            if kind.endswith("/notes"):
                entity = SINGULAR[kind.split("/")[0]]
                values = [[], [{"note": {"id": record_id}}]]
                if not self.plain and record_id % 2:  # which side names the note is not settled
                    values.reverse()
                self.event("common_note_deleted", entity, entity_id or 0, *values)
                continue
            self.event(f"{SINGULAR[kind]}_deleted", SINGULAR[kind], record_id)
            self.on_change(kind, "delete", {"id": record_id})
            if kind in CARDS:
                hidden = self.hidden_with.setdefault((kind, record_id), [])
                for child_kind in (f"{kind}/notes", "tasks"):
                    for child in list(self.kinds[child_kind].children_of(kind, record_id)):
                        self.kinds[child_kind].remove(child)
                        hidden.append((child_kind, child))
        return ids

    def restore(self, kind: str, ids: list[int]) -> list[int]:
        """Bring deleted records back with their old ids and times, and what belonged to them."""
        store = self.kinds[kind]
        for record_id in ids:
            store.put(store.gone.pop(record_id))
            for child_kind, child in self.hidden_with.pop((kind, record_id), ()):
                self.kinds[child_kind].put(self.kinds[child_kind].gone.pop(child))
            self.event(f"{SINGULAR[kind]}_restored", SINGULAR[kind], record_id)
            self.on_change(kind, "restore", store.get(record_id))
        return ids

    def merge(self, kind: str, into: int, ids: list[int]) -> list[int]:
        """Merge records into a survivor; what belongs to the losers moves over and keeps its id."""
        store = self.kinds[kind]
        for record_id in ids:
            for child_kind in (f"{kind}/notes", "tasks"):
                children = self.kinds[child_kind]
                for child in list(children.children_of(kind, record_id)):
                    self.update(child_kind, [child], {"entity_id": into}, touch=False)
            if kind == "companies":
                for child_kind in ("contacts", "leads"):
                    for child in list(self.kinds[child_kind].children_of(kind, record_id)):
                        self._relink(child_kind, child, record_id, into)
            store.remove(record_id)
            merged = [{"link": {"entity": {"type": SINGULAR[kind], "id": record_id}}}]
            self.event("entity_merged", SINGULAR[kind], into, merged)
        self.update(kind, [into])
        return [into]

    def _relink(self, kind: str, record_id: int, old: int, new: int) -> None:
        """Replace one of a record's companies with the survivor of a merge."""
        companies = companies_of(self.kinds[kind].get(record_id))
        if companies == [old]:
            self.link(kind, record_id, new)
            return
        kept = list(dict.fromkeys(new if i == old else i for i in companies))
        self.update(kind, [record_id], {"_embedded": {"companies": [{"id": i} for i in kept]}})

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


def _what(old: Record, new: Record) -> str:
    """What webhooks call an update."""
    if old.get("status_id") != new.get("status_id"):
        return "status"
    return "update" if old.get("responsible_user_id") == new.get("responsible_user_id") else "responsible"


def encode(value: Any) -> bytes:
    """JSON; lone surrogates as escapes, which strict encoders refuse."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, ValueError):
        return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()
