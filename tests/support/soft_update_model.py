"""The soft update as a model: what the CRM must hold after any sequence of syncs, edits and deletions on both sides.

Written from docs/soft-update.md alone, row by row, without a look at the merge: a mistake in one of them shows as a
difference. Values of links are tokens (stream, amo id, how many rows of that id there have been) in place of keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Token = tuple[str, int, int]


def is_empty(value: Any) -> bool:
    """NULL, blank text, an empty list."""
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _phone(value: Any) -> Any:
    digits = "".join(c for c in str(value) if c.isdigit())
    return "7" + digits[1:] if len(digits) == 11 and digits[0] == "8" else digits or value


NORMAL: dict[str, Callable[[Any], Any]] = {
    "text": lambda v: v.strip(),
    "number": lambda v: v,
    "boolean": lambda v: v,
    "time": lambda v: v if isinstance(v, datetime) else datetime.fromisoformat(v),
    "array": lambda v: tuple(sorted(set(v))),
    "phone": _phone,
    "email": lambda v: v.strip().lower(),
    "link": lambda v: v,
}


def _exact(value: Any) -> Any:
    """A value as the journal spells it."""
    return datetime.fromisoformat(value) if isinstance(value, str) and value[:2] == "20" and "T" in value else value


@dataclass(frozen=True)
class Column:
    """A column of the model: how its values compare, and the stream that it links to."""

    kind: str
    link: str | None = None


COLUMNS: dict[str, dict[str, Column]] = {
    "companies": {"name": Column("text"), "employees_count": Column("number")},
    "contacts": {
        "last_name": Column("text"),
        "tags": Column("array"),
        "phone": Column("phone"),
        "email": Column("email"),
        "company_id": Column("link", "companies"),
    },
    "tasks": {
        "due_at": Column("time"),
        "is_completed": Column("boolean"),
        "company_id": Column("link", "companies"),
        "contact_id": Column("link", "contacts"),
    },
}
SETS = {"contacts": ("phones", "emails")}


@dataclass
class Rules:
    """A mapping's say: policies, cleared values, returns."""

    default: str = "soft"
    policies: dict[tuple[str, str], str] = field(default_factory=dict)
    respected: frozenset[tuple[str, str]] = frozenset()
    resurrect: dict[str, str] = field(default_factory=dict)

    def policy(self, stream: str, column: str) -> str:
        """The policy of a column."""
        return self.policies.get((stream, column), self.default)


@dataclass
class Item:
    """A row of a set; `key` is None for what a person added, `came` is what amoCRM said of it last."""

    value: str | None
    comment: str | None
    type: str | None
    position: int | None
    key: str | None = None
    came: tuple[Any, ...] | None = None

    @property
    def data(self) -> tuple[Any, ...]:
        """What a person can edit."""
        return self.value, self.comment, self.type, self.position


@dataclass
class Row:
    """A row: what it holds, its base, version and mark, the record that it came from."""

    token: Token
    ours: dict[str, Any]
    base: dict[str, Any]
    version: int
    record: dict[str, Any]
    deleted: int | None = None
    items: dict[str, list[Item]] = field(default_factory=dict)
    bases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    conflicts: list[tuple[str, Any, Any]] = field(default_factory=list)
    # By column what amoCRM sent before: the bases that there have been.
    former: dict[str, list[Any]] = field(default_factory=dict)


def decide(policy: str, respected: bool, normal: Callable[[Any], Any], base: Any, ours: Any, theirs: Any) -> str:
    """The truth table for one column of a row that exists: any of w (write theirs), m (base moves), c (conflict)."""
    if is_empty(theirs):
        return ""  # row 4
    moves = "m" if is_empty(base) or normal(base) != normal(theirs) else ""
    if is_empty(ours):
        if policy == "crm_wins":
            return moves
        if respected and policy in ("soft", "fill_empty") and not moves:
            return ""
        return "w" + moves  # row 2
    if normal(ours) == normal(theirs):
        return moves  # row 6 and its like
    if policy == "amo_wins":
        return "w" + moves
    if policy in ("crm_wins", "fill_empty"):
        return moves
    if not is_empty(base) and normal(ours) == normal(base):
        return "w" + moves  # row 3
    return "cm" if moves else ""  # rows 7 and 8; row 5


class Model:
    """All rows. Records are dictionaries with `id`, `version`, values by column (links as amo ids) and items by set."""

    def __init__(self) -> None:
        self.rules = Rules()
        self.rows: dict[tuple[str, int], Row] = {}
        self.versions: dict[tuple[str, int], int] = {}
        self.graves: dict[tuple[str, int], int] = {}
        self.born: dict[tuple[str, int], int] = {}

    def sync(self, stream: str, record: dict[str, Any]) -> None:
        """One record comes."""
        key = (stream, record["id"])
        row = self.rows.get(key)
        if row is not None:
            if record["version"] >= row.version:
                self._merge(stream, row, record)
        elif key not in self.versions or self._returns(stream, key, record["version"]):
            self._insert(stream, key, record)

    def _returns(self, stream: str, key: tuple[str, int], version: int) -> bool:
        how = self.rules.resurrect.get(stream, "never")
        return how == "always" or (how == "changed" and version > self.versions[key])

    def _theirs(self, stream: str, name: str, record: dict[str, Any]) -> Any:
        value, link = record.get(name), COLUMNS[stream][name].link
        if link is None or value is None:
            return value
        parent = self.rows.get((link, value))
        return parent.token if parent else None

    def _insert(self, stream: str, key: tuple[str, int], record: dict[str, Any]) -> None:
        self.born[key] = self.born.get(key, 0) + 1
        values = {name: self._theirs(stream, name, record) for name in COLUMNS[stream]}
        base = {name: value for name, value in values.items() if not is_empty(value)}
        row = Row((*key, self.born[key]), values, base, record["version"], record)
        grave = self.graves.get(key)
        if grave is not None and record["version"] < grave:
            row.deleted = grave
        else:
            self.graves.pop(key, None)
        for name in SETS.get(stream, ()):
            came = record.get(name)
            row.items[name] = [Item(*data, key=k, came=data) for k, data in came or ()]
            row.bases[name] = tuple(k for k, _ in came or ())
        self.rows[key] = row
        self.versions[key] = record["version"]
        self._link_children(stream, row)

    def _link_children(self, stream: str, parent: Row) -> None:
        """Links that waited for this row."""
        for (child, _), row in self.rows.items():
            for name, column in COLUMNS[child].items():
                if column.link == stream and row.record.get(name) == parent.token[1]:
                    self._cell(child, row, name, parent.token, late=True)

    def _merge(self, stream: str, row: Row, record: dict[str, Any]) -> None:
        row.version = self.versions[row.token[:2]] = record["version"]
        row.record = record
        key = row.token[:2]
        if row.deleted == self.graves.get(key) and row.deleted is not None and record["version"] >= row.deleted:
            row.deleted = None
        if self.graves.get(row.token[:2], record["version"] + 1) <= record["version"]:
            del self.graves[row.token[:2]]
        for name in COLUMNS[stream]:
            self._cell(stream, row, name, self._theirs(stream, name, record))
        for name in SETS.get(stream, ()):
            if name in record:
                self._merge_set(row, name, record[name])

    def _cell(self, stream: str, row: Row, name: str, theirs: Any, *, late: bool = False) -> None:
        normal = NORMAL[COLUMNS[stream][name].kind]
        policy, base, ours = self.rules.policy(stream, name), row.base.get(name), row.ours[name]
        if late and policy == "crm_wins" and is_empty(base):
            policy = "fill_empty"  # the insertion's own value, which was unknown then
        done = decide(policy, (stream, name) in self.rules.respected, normal, base, ours, theirs)
        protected = done == "" and policy == "soft" and not late and not any(map(is_empty, (base, ours, theirs)))
        if protected and normal(ours) != normal(theirs) and self._is_stale(row, name, normal, theirs):
            done = "c"
        if "w" in done:
            row.ours[name] = theirs
        if "c" in done:
            row.conflicts.append((name, ours, theirs))
        if "m" in done:
            if not is_empty(base):
                row.former.setdefault(name, []).append(base)
            row.base[name] = theirs

    @staticmethod
    def _is_stale(row: Row, name: str, normal: Callable[[Any], Any], theirs: Any) -> bool:
        """Whether ours is what amoCRM had sent before, and this pair of values has not been a conflict yet."""
        ours = row.ours[name]
        if not any(normal(value) == normal(ours) for value in row.former.get(name, ())):
            return False
        return not any(
            column == name and _exact(mine) == _exact(ours) and _exact(other) == _exact(theirs)
            for column, mine, other in row.conflicts
        )

    @staticmethod
    def _merge_set(row: Row, name: str, came: list[tuple[str, tuple[Any, ...]]]) -> None:
        items, base, theirs = row.items[name], row.bases[name], dict(came)
        items[:] = [i for i in items if i.key not in base or i.key in theirs or i.data != i.came]
        for item in items:
            if item.key in theirs and item.data == item.came:
                item.value, item.comment, item.type, item.position = item.came = theirs[item.key]
        normal = NORMAL["phone" if name == "phones" else "email"]
        for key, data in came:
            held = any(i.key == key or (data[0] and i.value and normal(i.value) == normal(data[0])) for i in items)
            if key not in base and not held:
                items.append(Item(*data, key=key, came=data))
        row.bases[name] = tuple(theirs)

    def remove(self, key: tuple[str, int]) -> None:
        """A person deletes a row; what points at it is emptied, as the foreign keys say."""
        row = self.rows.pop(key, None)
        if row is None:
            return
        for other in self.rows.values():
            for name, value in other.ours.items():
                if value == row.token:
                    other.ours[name] = None

    def mark(self, key: tuple[str, int], version: int | None) -> None:
        """A person sets or takes off the mark of deletion."""
        if key in self.rows:
            self.rows[key].deleted = version

    def bury(self, key: tuple[str, int], version: int) -> None:
        """AmoCRM deletes a record. A person's mark stays; one that a person took off comes back with a new deletion."""
        known, row = self.graves.get(key), self.rows.get(key)
        self.graves[key] = max(version, self.graves.get(key, version))
        if row is None or (row.deleted != known and (row.deleted is not None or version <= (known or 0))):
            return
        if row.version <= version:
            row.deleted = max(version, row.deleted or version)

    def restore(self, key: tuple[str, int], version: int) -> None:
        """AmoCRM brings a record back; an older restore than the deletion says nothing."""
        row, known = self.rows.get(key), self.graves.get(key)
        if self.graves.get(key, version) <= version:
            self.graves.pop(key, None)
            if row is not None and row.deleted == known:
                row.deleted = None
