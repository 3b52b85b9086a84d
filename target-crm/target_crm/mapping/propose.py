"""A first mapping for an existing database: which table, which column, by names, types and foreign keys.

Nothing is certain here; `proposal` writes it down as text for a person to correct. Reads the catalogue only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from target_crm.mapping import fits, words
from target_crm.mapping.catalogue import Connection, LiveColumn, if_readable, read_content_types
from target_crm.mapping.found_tables import (
    Found,
    column_names,
    is_called,
    is_id,
    pick,
    pointing,
    read_tables,
    same_kind,
)
from target_crm.mapping.model import Column
from target_crm.mapping.polymorphic import KnownTypes, find_link
from target_crm.mapping.table_choice import choose_tables, find_tenants, only_rows

# Documents called so hold lists.
_LISTS = "(phones|emails|numbers|addresses|tags|labels|items|contacts|watchers|members|links|urls)$"
_ZERO: dict[str, Any] = {
    "text": "", "boolean": False, "integer": 0, "number": 0, "timestamp": "now", "date": "now", "array": [],
}  # fmt: skip


@dataclass
class ProposedSet:
    """A related table of phones or e-mails."""

    name: str
    table: Found
    parent: str
    item: str
    columns: dict[str, str | None]
    service: dict[str, str | None]
    defaults: dict[str, Any]
    missing: dict[str, str]


@dataclass
class Proposed:
    """What is proposed for one stream.

    `missing`: columns to add, with their types; `doubtful`: why a column is left out; `unmapped`: columns that nothing
    is known for; `unused`: what amoCRM sends and no column is there for.
    """

    stream: str
    table: Found
    others: list[str]
    match_only: bool = False
    match: list[str | list[str]] = field(default_factory=list)
    # The column that holds amoCRM's ids beside the key.
    external: str | None = None
    # The column that tells this stream's rows from those of another one in the same table, and its value.
    mark: tuple[str, bool] | None = None
    # The column that says what a polymorphic link points to.
    type_column: str | None = None
    # Columns that have to name a row of another table (a tenant), and those tables.
    tenants: dict[str, str] = field(default_factory=dict)
    key: dict[str, str] = field(default_factory=dict)
    service: dict[str, str | None] = field(default_factory=dict)
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    doubtful: dict[str, str] = field(default_factory=dict)
    unmapped: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    add_unique: bool = False
    # The default that the primary key lacks, as SQL.
    key_default: str | None = None
    sets: list[ProposedSet] = field(default_factory=list)

    @property
    def is_about_records(self) -> bool:
        """Whether a column says to which record a note or a task belongs."""
        return any(source.get("from") == "entity_id" for source in self.columns.values())


class _Proposer:
    """Fills in one stream's proposal; `chosen` are the tables of all streams."""

    def __init__(
        self,
        chosen: dict[str, tuple[Found, list[str]]],
        stream: str,
        tenants: dict[tuple[str, str], Any],
        types: KnownTypes,
    ) -> None:
        self.chosen, self.tenants, self.types = chosen, tenants, types
        table, others = chosen[stream]
        self.table, self.stream = table, stream
        self.proposed = Proposed(stream, table, others)

    @property
    def taken(self) -> set[str]:
        p = self.proposed
        marks = {p.mark[0]} if p.mark else set()
        return {
            *marks,
            *([p.type_column] if p.type_column else []),
            *p.key.values(),
            *(v for v in p.service.values() if v),
            *p.columns,
            *p.doubtful,
        }

    def fill(self) -> Proposed:
        p = self.proposed
        p.key["id"] = self.table.key
        amo_id = pick(self.table, words.AMO_ID, {"integer"}, ())
        p.match_only = self.stream == "users" and amo_id is None
        if not p.match_only:
            self.keys(amo_id)
        self.external()
        self.shared()
        self.links()
        about = self.stream in ("notes", "tasks")
        link = find_link(self.table, self.tables, self.types, self.taken) if about else None
        if link is not None:
            p.columns[link.column] = link.words
            p.type_column = link.type_column
        self.values()
        self.whole_names()
        if p.match_only:
            p.columns = {n: s for n, s in p.columns.items() if s["from"] in ("id", "email", "name")}
            return p
        lists = {name for name, source in p.columns.items() if source.get("transform") == "list"}
        linked = {name for name, source in p.columns.items() if "link" in source}
        p.defaults = _defaults(self.table, self.taken, set(p.columns) - linked - {p.external}, lists)
        p.defaults |= self.tenant_defaults()
        if p.mark:
            p.defaults[p.mark[0]] = p.mark[1]
        p.unmapped = [c.name for c in self.table.columns.values() if c.name not in self.taken]
        return p

    def tenant_defaults(self) -> dict[str, Any]:
        """The only tenant, or the only row of another table, in columns that have to name one."""
        p, found = self.proposed, {}
        for name, column in self.table.columns.items():
            place = self.table.points_by(name)
            if place not in self.tenants or name in self.taken or not column.required:
                continue
            p.tenants[name] = ".".join(place)
            if self.tenants[place] is not None:
                found[name] = self.tenants[place]
        return found

    def keys(self, amo_id: str | None) -> None:
        p = self.proposed
        account = pick(self.table, words.ACCOUNT, None, ())
        for role, found, name in (("account", account, "amo_account_id"), ("amo_id", amo_id, "amo_id")):
            p.key[role] = found or name
            if found is None:
                p.missing[name] = "bigint"
        p.key_default = lacking_key_default(self.table)
        pair = frozenset((p.key["account"], p.key["amo_id"]))
        p.add_unique = pair not in self.table.facts.unique
        for role, (families, known) in words.SERVICE.items():
            found = pick(self.table, known, families, self.taken)
            p.service[role] = found
            if found is None and role not in ("created_at", "updated_at"):
                p.service[role] = role
                p.missing[role] = "jsonb NOT NULL DEFAULT '{}'" if role == "raw_fields" else "timestamptz"

    def shared(self) -> None:
        """What tells firms from people where one table holds both; it is part of what is unique then."""
        other = {"companies": "contacts", "contacts": "companies"}.get(self.stream)
        if other is not None and other in self.chosen and self.chosen[other][0] is self.table:
            self.proposed.mark = ("is_company", self.stream == "companies")

    def external(self) -> None:
        """The column in which another importer kept amoCRM's ids, or meant to."""
        p = self.proposed
        name = pick(self.table, words.EXTERNAL_ID[self.stream], words.IDS, {*self.taken, *self.table.facts.references})
        if name is not None:
            is_text = self.table.columns[name].family == "text"
            p.external = name
            p.columns[name] = {"from": "id", "transform": "text"} if is_text else {"from": "id"}

    def links(self) -> None:
        """Columns that point to another stream's table: by foreign key, or without one by name and type."""
        p = self.proposed
        for link in words.LINKS[self.stream]:
            if link.stream not in self.chosen:
                continue
            target = self.chosen[link.stream][0]
            own_keys = self.table.facts.references.items()
            by_key = [name for name, to in own_keys if to == target.place and name not in self.taken]
            if link.stream != "users":
                by_key = [n for n in by_key if not self.is_staff(n)]
            named = [n for w in link.words for n in by_key
                     if any(is_called(x, (w,)) for x in column_names(n, self.table))]  # fmt: skip
            found = next(iter(named or ([] if link.words else by_key)), None)
            key = target.columns.get(target.key)
            if found is None and key is not None:
                called = link.words or words.TABLES[link.stream]
                unlike = {c.name for c in self.table.columns.values() if not self.may_point(c, target)}
                found = pick(self.table, called, {key.family}, {*self.taken, *self.table.facts.references, *unlike})
            if found is not None:
                p.columns[found] = self.waiting(found, link)

    def may_point(self, column: LiveColumn, target: Found) -> bool:
        """Whether a column without a foreign key can hold the target's key, and is called after no other table."""
        if re.search("(?<=[a-z0-9])(?:_name|Name)$", column.name) or not same_kind(column, target.columns[target.key]):
            return False
        return self.table.named.get(column.name, target.place) == target.place

    @property
    def tables(self) -> dict[str, Found]:
        return {stream: table for stream, (table, _) in self.chosen.items()}

    def waiting(self, column: str, link: words.Link) -> dict[str, Any]:
        """The link's source; a record whose firm, person or deal has to be there waits for it."""
        is_needed = self.table.columns[column].not_null and link.stream != "users"
        return link.source | ({"required": "wait"} if is_needed else {})

    def is_staff(self, column: str) -> bool:
        return any(is_called(name, words.STAFF_WORDS) for name in column_names(column, self.table))

    def values(self) -> None:
        p = self.proposed
        signs_in = words.NO_NAMES & self.table.columns.keys() if self.stream == "users" else set()
        for meaning in words.COLUMNS[self.stream]:
            others = signs_in if meaning.source == {"from": "name"} else set()
            name = pick(self.table, meaning.words, meaning.families, {*self.taken, *others})
            if name is None:
                near = pick(self.table, meaning.words, None, {*self.taken, *others, *self.table.facts.references})
                if near is None:
                    if not meaning.extra:
                        p.unused.append(_told(meaning.source))
                    continue
                if meaning.extra:
                    continue
                column = self.table.columns[near]
                labels = f" ({', '.join(column.labels)})" if column.labels else ""
                p.doubtful[near] = f"is {column.type_sql}{labels}; amoCRM has {_told(meaning.source)}"
                continue
            problem = next(iter(self.problems(name, meaning)), None)
            if problem is None:
                is_whole = meaning.whole is not None and self.table.columns[name].family == "integer"
                source = meaning.whole if is_whole and meaning.whole else meaning.source
                # Two records without it could not both be rows.
                is_needed = self.table.columns[name].not_null and name in self.table.own_values and not p.match_only
                p.columns[name] = source | ({"required": "skip"} if is_needed else {})
            else:
                p.doubtful[name] = problem

    def whole_names(self) -> None:
        """One column for a person's name takes all of it."""
        p = self.proposed
        first = next((n for n, given in p.columns.items() if given.get("transform") == "first_name"), None)
        if first is None or any(given.get("from") == "last_name" for given in p.columns.values()):
            return
        if not any(is_called(n, words.FIRST_NAMES) for n in column_names(first, self.table)):
            p.columns[first] = {"from": "name"}

    def problems(self, name: str, meaning: words.Meaning) -> Iterable[str]:
        source = meaning.source
        column = Column(name, transform=source.get("transform"), lookup=source.get("lookup"))
        return fits.type_problems(column, self.table.columns[name], self.table.name)


def _told(source: dict[str, Any]) -> str:
    given = source.get("from") or source["field"]
    return str(given[0] if isinstance(given, list) else given)


def _defaults(table: Found, taken: set[str], mapped: set[str], lists: set[str]) -> dict[str, Any]:
    """Values for NOT NULL columns that amoCRM may leave empty, or that nothing fills. Keys can't be guessed."""
    found: dict[str, Any] = {}
    for column in table.columns.values():
        is_free = column.required and column.name not in taken and not is_id(column.name)
        if not (column.not_null and (column.name in mapped or is_free)):
            continue
        if column.generated or column.name in table.facts.references:
            continue
        if column.name in table.own_values:
            # The same value in all rows is not a value for it.
            continue
        if column.labels:
            found[column.name] = column.labels[0]
        elif column.name in lists:
            found[column.name] = []
        elif column.family == "boolean" and re.search("active|актив|enabled|visible", column.name.lower()):
            found[column.name] = True
        elif column.family in ("json", "other") and column.type_sql in ("json", "jsonb"):
            empty: Any = [] if re.search(_LISTS, column.name.lower()) else {}
            found[column.name] = empty if column.family == "json" else {"sql": f"'{json.dumps(empty)}'::json"}
        elif column.family in _ZERO:
            found[column.name] = _ZERO[column.family]
    return found


def default_values(table: Found, taken: set[str]) -> dict[str, Any]:
    """Values for those columns of a table that nothing fills."""
    return _defaults(table, taken, set(), set())


def lacking_key_default(table: Found) -> str | None:
    """The default, as SQL, of a primary key that the application makes; None where the database makes it."""
    identity = table.columns.get(table.key)
    return fits.new_key(identity) if identity is not None and identity.required else None


def _proposed_set(table: Found, item: str, owner: str) -> ProposedSet | None:
    """A related table as a set, None when it has no column for the value."""
    value = pick(table, words.SET_COLUMNS[item], words.TEXT, {owner, table.key})
    if value is None:
        return None
    columns: dict[str, str | None] = {"value": value}
    taken = {owner, table.key, value}
    for role in ("comment", "type", "position", "source"):
        families = {"integer"} if role == "position" else words.TEXT
        columns[role] = pick(table, words.SET_COLUMNS[role], families, taken)
        taken.add(columns[role] or "")
    service: dict[str, str | None] = {"id": table.key}
    for role in ("raw_fields", "created_at", "updated_at"):
        families, known = words.SERVICE[role]
        service[role] = pick(table, known, families, taken)
    missing: dict[str, str] = {}
    if service["raw_fields"] is None:
        service["raw_fields"] = "raw_fields"
        missing["raw_fields"] = "jsonb NOT NULL DEFAULT '{}'"
    used = {*taken, *(v for v in service.values() if v)}
    defaults = _defaults(table, used, set(), set())
    return ProposedSet(f"{item}s", table, owner, item, columns, service, defaults, missing)


def _sets(proposed: Proposed, tables: Sequence[Found], used: set[str]) -> list[ProposedSet]:
    """Tables of phones and e-mails that point to this stream's table."""
    found: list[ProposedSet] = []
    owner_table = proposed.table
    for item, parts in words.SETS.items():
        for table in tables:
            owner = pointing(table, owner_table)
            if owner is None or table.full_name in used or not any(p in table.name.lower() for p in parts):
                continue
            made = _proposed_set(table, item, owner)
            if made is not None:
                found.append(made)
                used.add(table.full_name)
                break
    return found


def propose(connection: Connection, schemas: Sequence[str] | None = None) -> list[Proposed]:
    """What each of amoCRM's streams might go to, in the order in which links point backwards."""
    tables = read_tables(connection, schemas)
    tenants = find_tenants(connection, tables)
    chosen = choose_tables([table for table in tables if (table.schema, table.name) not in tenants])
    no_types: dict[tuple[str, str], int] = {}
    content_types = if_readable(connection, lambda: read_content_types(connection, schemas), no_types)
    owners = only_rows(connection, chosen, tables) | tenants
    types = KnownTypes(connection, content_types)
    proposals = [_Proposer(chosen, stream, owners, types).fill() for stream in chosen]
    used = {p.table.full_name for p in proposals}
    for proposed in proposals:
        if proposed.stream in ("companies", "contacts"):
            proposed.sets = _sets(proposed, tables, used)
    return proposals
