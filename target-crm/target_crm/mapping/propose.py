"""A first mapping for a database that is there already: which table, which column, by names, types and foreign keys.

Nothing is certain here; `proposal` writes it down as text for a person to correct. Reads the catalogue only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from target_crm.mapping import fits, words
from target_crm.mapping.catalogue import Connection, Facts, LiveColumn, read_columns, read_facts
from target_crm.mapping.model import Column

_SKIPPED = re.compile(r"^(pg_|django_|sync_|alembic|celery|auth_(?!user$)|schema_migrations)")
_TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^(pg_|information_schema$)'
    AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY(%(schemas)s)) ORDER BY 1, 2
"""
_ZERO: dict[str, Any] = {
    "text": "", "boolean": False, "integer": 0, "number": 0, "timestamp": "now", "date": "now", "array": [], "json": {},
}  # fmt: skip
# Columns of these kinds can hold amoCRM's ids.
_IDS = frozenset({"integer", "text"})
# What fills new keys in, of tables whose application does so itself.
_KEY_DEFAULTS = {"uuid": "gen_random_uuid()", "text": "gen_random_uuid()::text"}
# A name alone is enough to take a table; a few known columns make up for a doubtful name.
_LEAST_SCORE = 2.0
_LAST_WORD, _FIRST_WORD, _KNOWN_COLUMN = 3.0, 1.5, 0.2


@dataclass(frozen=True)
class Found:
    """A table of the database."""

    schema: str
    name: str
    columns: dict[str, LiveColumn]
    facts: Facts

    @property
    def full_name(self) -> str:
        """As a mapping names it."""
        return f"{self.schema}.{self.name}"

    @property
    def key(self) -> str:
        """The primary key's column (of a compound one the last)."""
        return self.facts.primary[-1] if self.facts.primary else "id"


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


def split_words(name: str) -> list[str]:
    """The words of a name, lower-case, English ones in the singular: `CrmCompanies` gives crm, company."""
    spaced = re.sub(r"(?<=[a-zа-яё0-9])(?=[A-ZА-ЯЁ])", "_", name)
    found = [w for w in re.split(r"[^0-9a-zа-яё]+", spaced.lower()) if w]
    return [_singular(w) for w in found]


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.fullmatch(r"[a-z]+(ss|x|ch|sh)es", word):
        return word[:-2]
    return word[:-1] if re.fullmatch(r"[a-z]+[^s]s", word) and len(word) > 3 else word


def is_called(name: str, known: Iterable[str]) -> bool:
    """Whether the name is one of the known words; `*` at a word's end stands for any ending."""
    return any(name == w or (w.endswith("*") and name.startswith(w[:-1])) for w in known)


def _column_names(column: str, table: Found) -> set[str]:
    """The ways to read a column's name: as it is, without `_id`, without the table's own name in front."""
    spaced = re.sub(r"(?<=[a-zа-яё0-9])(?=[A-ZА-ЯЁ])", "_", column)
    name = re.sub(r"[^0-9a-zа-яё]+", "_", spaced.lower()).strip("_")
    names = {name, re.sub(r"_?(id|name)$", "", name) or name}
    own = split_words(table.name)[-1:]
    for word in (*own, *(w + "s" for w in own)):
        names |= {n.removeprefix(word + "_") for n in tuple(names)}
    return names


def pick(table: Found, known: Sequence[str], families: Iterable[str] | None, taken: Iterable[str]) -> str | None:
    """The table's column that is called so and of one of those kinds; names count in their order."""
    free = [c for c in table.columns.values() if c.name not in taken and (families is None or c.family in families)]
    for word in known:
        for column in free:
            if not column.generated and any(is_called(n, (word,)) for n in _column_names(column.name, table)):
                return column.name
    return None


def read_tables(connection: Connection, schemas: Sequence[str] | None) -> list[Found]:
    """The tables of these schemas, or of all, without those of the loader and of frameworks."""
    rows = connection.execute(_TABLES.encode(), {"schemas": list(schemas) if schemas else None}).fetchall()
    return [
        Found(schema, name, read_columns(connection, schema, name), read_facts(connection, schema, name))
        for schema, name in rows
        if not _SKIPPED.match(name)
    ]


def _goes_with_another(parts: Sequence[str]) -> bool:
    """Whether the name says that the table belongs to another one. English has the main word last, Russian first."""
    first_counts = re.match("[а-яё]", parts[0]) is not None
    for word in words.NOT_A_TABLE:
        if parts[-1].startswith(word) or parts[-1].endswith(word) or (first_counts and parts[0].startswith(word)):
            return True
    return False


def score(stream: str, table: Found) -> float:
    """How much a table looks like the stream's: by the words of its name, then by how many columns are known."""
    parts, known = split_words(table.name), words.TABLES[stream]
    if not parts or _goes_with_another(parts):
        return 0.0
    if is_called(parts[-1], known):
        named = _LAST_WORD
    elif is_called(parts[0], known) and not any(is_called(parts[-1], w) for w in words.TABLES.values()):
        named = _FIRST_WORD
    else:
        return 0.0
    # The commonest name first: of `companies` and `clients` the former.
    rank = next((n for n, w in enumerate(known) if is_called(parts[-1], (w,))), len(known))
    columns = sum(pick(table, m.words, m.families, ()) is not None for m in words.COLUMNS[stream])
    has_amo_id = pick(table, words.EXTERNAL_ID[stream], _IDS, ()) is not None
    return named + _KNOWN_COLUMN * columns - rank / 100 + 0.5 * has_amo_id


def choose_tables(tables: Sequence[Found]) -> dict[str, tuple[Found, list[str]]]:
    """The best table for each stream that has one, and the names of the runners-up; no table serves twice."""
    ranked = sorted(
        ((score(stream, table), stream, table) for stream in words.TABLES for table in tables),
        key=lambda x: -x[0],
    )
    chosen: dict[str, tuple[Found, list[str]]] = {}
    used: set[str] = set()
    for value, stream, table in ranked:
        if value < _LEAST_SCORE:
            continue
        if stream in chosen:
            if table.full_name not in used:
                chosen[stream][1].append(table.full_name)
        elif table.full_name not in used:
            chosen[stream] = (table, [])
            used.add(table.full_name)
    return {stream: chosen[stream] for stream in words.TABLES if stream in chosen}


class _Proposer:
    """Fills in one stream's proposal; `chosen` are the tables of all streams."""

    def __init__(self, chosen: dict[str, tuple[Found, list[str]]], stream: str) -> None:
        self.chosen = chosen
        table, others = chosen[stream]
        self.table, self.stream = table, stream
        self.proposed = Proposed(stream, table, others)

    @property
    def taken(self) -> set[str]:
        p = self.proposed
        return {*p.key.values(), *(v for v in p.service.values() if v), *p.columns, *p.doubtful}

    def fill(self) -> Proposed:
        p = self.proposed
        p.key["id"] = self.table.key
        amo_id = pick(self.table, words.AMO_ID, {"integer"}, ())
        p.match_only = self.stream == "users" and amo_id is None
        if not p.match_only:
            self.keys(amo_id)
        self.external()
        self.links()
        self.values()
        if p.match_only:
            p.columns = {n: s for n, s in p.columns.items() if s["from"] in ("id", "email", "name")}
            return p
        lists = {name for name, source in p.columns.items() if source.get("transform") == "list"}
        p.defaults = _defaults(self.table, self.taken, set(p.columns) - {p.external}, lists)
        p.unmapped = [c.name for c in self.table.columns.values() if c.name not in self.taken]
        return p

    def keys(self, amo_id: str | None) -> None:
        p = self.proposed
        account = pick(self.table, words.ACCOUNT, None, ())
        for role, found, name in (("account", account, "amo_account_id"), ("amo_id", amo_id, "amo_id")):
            p.key[role] = found or name
            if found is None:
                p.missing[name] = "bigint"
        identity = self.table.columns.get(self.table.key)
        if identity is not None and identity.required:
            p.key_default = _KEY_DEFAULTS.get(identity.family)
        pair = frozenset((p.key["account"], p.key["amo_id"]))
        p.add_unique = pair not in self.table.facts.unique
        for role, (families, known) in words.SERVICE.items():
            found = pick(self.table, known, families, self.taken)
            p.service[role] = found
            if found is None and role not in ("created_at", "updated_at"):
                p.service[role] = role
                p.missing[role] = "jsonb NOT NULL DEFAULT '{}'" if role == "raw_fields" else "timestamptz"

    def external(self) -> None:
        """The column in which another importer kept amoCRM's ids, or meant to."""
        p = self.proposed
        name = pick(self.table, words.EXTERNAL_ID[self.stream], _IDS, {*self.taken, *self.table.facts.references})
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
            by_key = [
                name
                for name, to in self.table.facts.references.items()
                if to == (target.schema, target.name) and name not in self.taken
            ]
            named = [n for n in by_key if any(is_called(x, link.words) for x in _column_names(n, self.table))]
            found = next(iter(named or ([] if link.words else by_key)), None)
            key = target.columns.get(target.key)
            if found is None and key is not None:
                called = link.words or words.TABLES[link.stream]
                found = pick(self.table, called, {key.family}, {*self.taken, *self.table.facts.references})
            if found is not None:
                p.columns[found] = link.source

    def values(self) -> None:
        p = self.proposed
        for meaning in words.COLUMNS[self.stream]:
            name = pick(self.table, meaning.words, meaning.families, self.taken)
            if name is None:
                near = pick(self.table, meaning.words, None, {*self.taken, *self.table.facts.references})
                if near is None:
                    p.unused.append(_told(meaning.source))
                    continue
                column = self.table.columns[near]
                labels = f" ({', '.join(column.labels)})" if column.labels else ""
                p.doubtful[near] = f"is {column.type_sql}{labels}; amoCRM has {_told(meaning.source)}"
                continue
            problem = next(iter(self.problems(name, meaning)), None)
            if problem is None:
                is_whole = meaning.whole is not None and self.table.columns[name].family == "integer"
                p.columns[name] = meaning.whole if is_whole and meaning.whole else meaning.source
            else:
                p.doubtful[name] = problem

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
        wanted = column.not_null and (column.name in mapped or (column.required and column.name not in taken))
        if not wanted or column.generated or column.name in table.facts.references:
            continue
        if any(column.name in unique for unique in table.facts.distinct if len(unique) == 1):
            # The same value in all rows is not a value for it.
            continue
        if column.labels:
            found[column.name] = column.labels[0]
        elif column.name in lists:
            found[column.name] = []
        elif column.family == "boolean" and re.search("active|актив|enabled|visible", column.name.lower()):
            found[column.name] = True
        elif column.family in _ZERO:
            found[column.name] = _ZERO[column.family]
    return found


def default_values(table: Found, taken: set[str]) -> dict[str, Any]:
    """Values for those columns of a table that nothing fills."""
    return _defaults(table, taken, set(), set())


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
            owner = next(
                (c for c, to in table.facts.references.items() if to == (owner_table.schema, owner_table.name)), None
            )
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
    chosen = choose_tables(tables)
    proposals = [_Proposer(chosen, stream).fill() for stream in chosen]
    used = {p.table.full_name for p in proposals}
    for proposed in proposals:
        if proposed.stream in ("companies", "contacts"):
            proposed.sets = _sets(proposed, tables, used)
    return proposals
