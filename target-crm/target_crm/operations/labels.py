"""What tables and columns are called on pages, in the report and in lists, in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from psycopg import sql

from target_crm.mapping.model import Column, Table
from target_crm.operations.session import Session, column_of
from target_crm.presentation.texts import LANGUAGES
from target_crm.presentation.texts.labels import COLUMNS, FIELD_CODES, PROPERTIES, STREAMS

S = sql.SQL


class Labels:
    """Names of tables and columns.

    A column is called as the mapping's `label` says, as the catalogue calls columns of its name, as the account calls
    the custom field that it is taken from, or by its own name in plain words. No name of the database is returned.

    Args:
        session: The CRM.
        language: One of `LANGUAGES`.
    """

    def __init__(self, session: Session, language: str) -> None:
        self._session, self._place = session, LANGUAGES.index(language)

    def table(self, name: str, *, many: bool = False) -> str:
        """A record of a table, or with `many` all of them: Contact, Contacts; Contact · Phones for a set's table."""
        live, item_set = self._session.tables.get(name), self._session.sets.get(name)
        if item_set is not None:
            owner = self.table(item_set.parent.mapping.table)
            return f"{owner} · {self._known(item_set.item_set.name, item_set.parent.mapping.stream)}"
        stream = live.mapping.stream if live is not None else name.rpartition(".")[2]
        return self.stream(stream, many=many)

    def stream(self, stream: str, *, many: bool = False) -> str:
        """A record of a stream, or with `many` all of them."""
        known = STREAMS.get(stream)
        return known[many][self._place] if known else _in_words(stream)

    def column(self, table: str, name: str) -> str:
        """A column of a table, or the set of that name."""
        live = self._session.tables.get(table)
        if live is None:
            item_set = self._session.sets.get(table)
            roles = {v: k for k, v in item_set.item_set.columns.items()} if item_set else {}
            return self._known(roles.get(name, name), "")
        mapping = live.mapping
        column = column_of(mapping, name)
        if column is None:
            service = {v: k for k, v in mapping.service.items() if v}
            role = service.get(name) or {
                mapping.id: "id",
                mapping.account: "amo_account_id",
                mapping.amo_id: "amo_id",
            }.get(name)
            return self._known(role or name, mapping.stream)
        return self._mapped(mapping, column)

    def cell(self, table: str, name: str) -> str:
        """A column with its table: Contact · First name."""
        return f"{self.table(table)} · {self.column(table, name)}"

    def _mapped(self, mapping: Table, column: Column) -> str:
        if column.label:
            return column.label
        if f"{mapping.stream}.{column.name}" in COLUMNS or column.name in COLUMNS:
            return self._known(column.name, mapping.stream)
        of_account = self._of_account(mapping.stream, column)
        if of_account:
            return of_account
        last = column.path[-1].rpartition(".")[2].removesuffix("[]") if column.path else ""
        for known in (PROPERTIES.get(last, last), *(FIELD_CODES.get(str(f), "") for f in column.fields)):
            if f"{mapping.stream}.{known}" in COLUMNS or known in COLUMNS:
                return self._known(known, mapping.stream)
        named = next((f for f in column.fields if isinstance(f, str) and not f.isupper()), None)
        return named or _in_words(column.name)

    def _known(self, name: str, stream: str) -> str:
        found = COLUMNS.get(f"{stream}.{name}") or COLUMNS.get(name)
        return found[self._place] if found else _in_words(name)

    def _of_account(self, stream: str, column: Column) -> str | None:
        for field in column.fields:
            for source in ("field", "field_code"):
                found = self._fields.get((source, f"{stream}:{field}"))
                if found:
                    return found
        return None

    @cached_property
    def _fields(self) -> dict[tuple[str, str], str]:
        rows = self._session.rows(
            S("SELECT source, ref, name FROM {} WHERE source IN ('field', 'field_code')").format(
                self._session.control("sync_lookups")
            )
        )
        return {(row["source"], row["ref"]): row["name"] for row in rows}


def _in_words(name: str) -> str:
    """A name of the database in plain words: `vip_level` is "Vip level"."""
    words = name.rpartition(".")[2].replace("_", " ").strip()
    words = words[: -len(" id")] if words.endswith(" id") and len(words) > len(" id") else words
    return words[:1].upper() + words[1:] if words else name


def hidden_columns(session: Session) -> set[str]:
    """Columns of whole rows that tell a person nothing: keys, documents, times of writing."""
    hidden = {"source"}
    for live in session.tables.values():
        hidden |= {
            live.mapping.id,
            live.mapping.account or "",
            live.mapping.amo_id or "",
            *filter(None, live.mapping.service.values()),
        }
    for item_set in session.sets.values():
        s = item_set.item_set
        hidden |= {s.id, s.raw_fields, s.created_at or "", s.updated_at or ""}
    return hidden


def in_natural_order(session: Session, counts: Mapping[str, Any]) -> dict[str, Any]:
    """What is known by table, in the natural order of the tables; jsonb keeps none."""
    return {table: counts[table] for table in natural_order(session, counts)}


def natural_order(session: Session, tables: Iterable[str]) -> list[str]:
    """Tables as people name them: companies, contacts, leads, tasks, notes, users; a set's table after its parent's."""
    streams, mapped = list(STREAMS), list(session.tables)

    def place(table: str) -> tuple[int, int, int, str]:
        item_set = session.sets.get(table)
        parent = item_set.parent.mapping.table if item_set else table
        live = session.tables.get(parent)
        stream = live.mapping.stream if live is not None else parent
        first = streams.index(stream) if stream in streams else len(streams)
        return first, mapped.index(parent) if parent in mapped else len(mapped), int(item_set is not None), table

    return sorted(tables, key=place)
