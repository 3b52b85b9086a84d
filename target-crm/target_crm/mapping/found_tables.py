"""The tables of an existing database, and how their names and those of their columns are read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from target_crm.mapping.catalogue import Connection, Facts, LiveColumn, read_columns_of, read_facts_of

_SKIPPED = re.compile(r"^(pg_|django_|sync_|alembic|celery|auth_(?!user$)|schema_migrations|ir_|ar_internal_)")
_TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^(pg_|information_schema$)'
    AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY(%(schemas)s)) ORDER BY 1, 2
"""
# Fewer columns with the same first word are a coincidence.
_LEAST_PREFIXED = 4


@dataclass(frozen=True)
class Found:
    """A table of the database. `named`: columns without a foreign key that are called after the key of one other table
    (`account_id`: accounts), with its schema and name."""

    schema: str
    name: str
    columns: dict[str, LiveColumn]
    facts: Facts
    named: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """As a mapping names it."""
        return f"{self.schema}.{self.name}"

    @property
    def place(self) -> tuple[str, str]:
        """Its schema and name."""
        return self.schema, self.name

    @property
    def key(self) -> str:
        """The primary key's column (of a compound one the last)."""
        return self.facts.primary[-1] if self.facts.primary else "id"

    @cached_property
    def only_links(self) -> bool:
        """Whether it holds nothing but which rows of other tables belong together."""
        own = {*self.facts.references, *self.named}
        rest = self.columns.keys() - own - {self.key}
        return len(own) > 1 and all(self.columns[name].family == "timestamp" for name in rest)

    @cached_property
    def own_values(self) -> frozenset[str]:
        """The columns in which no two rows may hold the same."""
        return frozenset(name for unique in self.facts.distinct if len(unique) == 1 for name in unique)

    def points_by(self, column: str) -> tuple[str, str] | None:
        """The table that a column points to, by its foreign key or by its name."""
        return self.facts.references.get(column) or self.named.get(column)

    @cached_property
    def prefix(self) -> str | None:
        """The word that most of the columns begin with, as in `cust_name`, `cust_phone`."""
        first = Counter(name.partition("_")[0].lower() for name in self.columns if "_" in name)
        word, count = next(iter(first.most_common(1)), ("", 0))
        return word if count >= _LEAST_PREFIXED and count >= 0.6 * len(self.columns) else None


def split_words(name: str) -> list[str]:
    """The words of a name, lower-case, English ones in the singular: `CrmCompanies` gives crm, company."""
    spaced = re.sub(r"(?<=[a-zа-яё0-9])(?=[A-ZА-ЯЁ])", "_", name)
    found = [w for w in re.split(r"[^0-9a-zа-яё]+", spaced.lower()) if w]
    parts = [_singular(w) for w in found]
    if len(parts) > 1 and parts[-1] != parts[-2] and len(parts[-2]) > 3 and parts[-1].startswith(parts[-2]):
        # Django: the model CompanyNote of the app companies is companies_companynote.
        parts[-1] = parts[-1].removeprefix(parts[-2])
    return parts


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.fullmatch(r"[a-z]+(ss|x|ch|sh)es", word):
        return word[:-2]
    return word[:-1] if re.fullmatch(r"[a-z]+[^s]s", word) and len(word) > 3 else word


def is_called(name: str, known: Iterable[str]) -> bool:
    """Whether the name is one of the known words; `*` at a word's end stands for any ending."""
    return any(name == w or (w.endswith("*") and name.startswith(w[:-1])) for w in known)


def column_names(column: str, table: Found) -> set[str]:
    """The ways to read a column's name: as it is, without `_id`, without the table's own name in front."""
    spaced = re.sub(r"(?<=[a-zа-яё0-9])(?=[A-ZА-ЯЁ])", "_", column)
    name = re.sub(r"[^0-9a-zа-яё]+", "_", spaced.lower()).strip("_")
    names = {name, re.sub(r"_?(id|name)$", "", name) or name}
    own = [*split_words(table.name)[-1:], *([table.prefix] if table.prefix else [])]
    for word in (*own, *(w + "s" for w in own)):
        names |= {n.removeprefix(word + "_") for n in tuple(names)}
    return names


def pick(table: Found, known: Sequence[str], families: Iterable[str] | None, taken: Iterable[str]) -> str | None:
    """The table's column that is called so and of one of those kinds; names count in their order."""
    free = [c for c in table.columns.values() if c.name not in taken and (families is None or c.family in families)]
    for word in known:
        for column in free:
            if not column.generated and any(is_called(n, (word,)) for n in column_names(column.name, table)):
                return column.name
    return None


def read_tables(connection: Connection, schemas: Sequence[str] | None) -> list[Found]:
    """The tables of these schemas, or of all, without those of the loader and of frameworks."""
    rows = connection.execute(_TABLES.encode(), {"schemas": list(schemas) if schemas else None}).fetchall()
    places = [(schema, name) for schema, name in rows if not _SKIPPED.match(name)]
    columns, facts = read_columns_of(connection, places), read_facts_of(connection, places)
    found = [Found(*place, columns[place], facts[place]) for place in places]
    by_words = _by_words(found)
    return [replace(table, named=_named(table, by_words)) for table in found]


def _by_words(tables: Iterable[Found]) -> dict[tuple[str, ...], list[Found]]:
    """Tables by the words of their names, and by the last ones: `crm_accounts` is an account, too."""
    found: dict[tuple[str, ...], list[Found]] = {}
    for table in tables:
        parts = split_words(table.name)
        for start in range(len(parts)):
            found.setdefault(tuple(parts[start:]), []).append(table)
    return found


def _named(table: Found, by_words: Mapping[tuple[str, ...], list[Found]]) -> dict[str, tuple[str, str]]:
    """The columns that are called after the key of exactly one other table, and are of its kind."""
    found: dict[str, tuple[str, str]] = {}
    for column in table.columns.values():
        if column.name in table.facts.references or not is_id(column.name):
            continue
        parts = tuple(split_words(column.name)[:-1])
        called = by_words.get(parts, ())
        exact = [one for one in called if len(split_words(one.name)) == len(parts)]
        others = [one for one in exact or called if same_kind(column, one.columns.get(one.key))]
        if len(others) == 1 and others[0].place != table.place:
            found[column.name] = others[0].place
    return found


def is_id(name: str) -> bool:
    """Whether a column is called like the key of another row: `account_id`, `accountId`."""
    return re.search("(?<=[a-z0-9])(?:_id|Id)$", name) is not None


def same_kind(column: LiveColumn, key: LiveColumn | None) -> bool:
    """Whether a column can hold that key: texts of one length, numbers of any."""
    return key is not None and column.family == key.family and column.length == key.length


def pointing(table: Found, target: Found) -> str | None:
    """The one column by which a table points to another: by foreign key, or without one by name and type."""
    by_key = [c for c, to in table.facts.references.items() if to == target.place]
    if by_key:
        return by_key[0] if len(by_key) == 1 else None
    by_name = [name for name, to in table.named.items() if to == target.place]
    return by_name[0] if len(by_name) == 1 else None
