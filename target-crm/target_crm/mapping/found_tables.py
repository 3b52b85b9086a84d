"""The tables of an existing database, and how their names and those of their columns are read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
    return [Found(*place, columns[place], facts[place]) for place in places]
