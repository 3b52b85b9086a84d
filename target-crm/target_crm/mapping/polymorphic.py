"""Polymorphic links for a proposed mapping: pairs of columns (type and id) as Rails, Laravel, Django, Odoo, Frappe and
SugarCRM have them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from target_crm.mapping import words
from target_crm.mapping.catalogue import Connection, few_values, if_readable
from target_crm.mapping.found_tables import Found, split_words

# What notes and tasks can be about.
_TARGETS = ("companies", "contacts", "leads")


@dataclass(frozen=True)
class PolymorphicLink:
    """The column of the id, that of the type, and the former's words in a mapping."""

    column: str
    type_column: str
    words: dict[str, Any]


@dataclass(frozen=True)
class KnownTypes:
    """What columns of types may hold: Django's numbers of its models, and what rows hold already."""

    connection: Connection
    content_types: Mapping[tuple[str, str], int]

    def held(self, table: Found, column: str) -> list[str]:
        """Types that rows of the table hold."""
        unseen: list[str] = []
        return if_readable(
            self.connection, lambda: few_values(self.connection, table.schema, table.name, column), unseen
        )


def find_link(
    table: Found, chosen: Mapping[str, Found], known_types: KnownTypes, taken: Collection[str]
) -> PolymorphicLink | None:
    """The pair of columns by which this table's rows belong to companies, contacts or deals; None without one."""
    targets = {stream: chosen[stream] for stream in _TARGETS if stream in chosen}
    for column, kind, style in _pairs(table):
        if column in taken or kind in taken or column in table.facts.references:
            continue
        held = known_types.held(table, kind) if style == "rails" else []
        spelling = _spelling(held, targets.values())
        types = {
            stream: spelling.of(target) if spelling else _type(style, target, known_types.content_types)
            for stream, target in targets.items()
        }
        known = {stream: name for stream, name in types.items() if name is not None}
        if known and _fits(table, column, targets):
            given: dict[str, Any] = {"from": "entity_id", "link": known, "type_column": kind}
            if table.columns[column].not_null or table.columns[kind].not_null:
                given["required"] = "skip"
            return PolymorphicLink(column, kind, given)
    return None


def _pairs(table: Found) -> list[tuple[str, str, str]]:
    """Pairs of id and type, with the framework that names them so."""
    columns = table.columns
    found = [("res_id", kind, "odoo") for kind in ("res_model", "model") if {"res_id", kind} <= columns.keys()]
    found += [
        (name, "reference_doctype", "frappe")
        for name in ("reference_docname", "reference_name")
        if {name, "reference_doctype"} <= columns.keys()
    ]
    if {"object_id", "content_type_id"} <= columns.keys():
        found.append(("object_id", "content_type_id", "django"))
    for name in columns:
        kind = f"{name.removesuffix('_id')}_type"
        if name.endswith("_id") and kind in columns and columns[kind].family in words.TEXT:
            found.append((name, kind, "rails"))
    return found


def _type(style: str, target: Found, content_types: Mapping[tuple[str, str], int]) -> str | int | None:
    """What the column of the type holds for rows of that table."""
    if style == "odoo":
        return target.name.replace("_", ".")
    if style == "frappe":
        return target.name.removeprefix("tab")
    if style == "rails":
        return _model(target)
    model = split_words(target.name)[-1]
    of_table = [number for (app, name), number in content_types.items() if f"{app}_{name}" == target.name]
    of_model = [number for (_, name), number in content_types.items() if name == model]
    found = of_table or of_model
    return found[0] if len(found) == 1 else None


def _model(target: Found) -> str:
    """What Rails calls the rows of a table: `crm_accounts` are CrmAccount."""
    return "".join(word.capitalize() for word in split_words(target.name))


@dataclass(frozen=True)
class _Spelling:
    """How the rows that are there write types: a namespace before the name, the model's or the table's name."""

    before: str
    write: Callable[[Found], str]

    def of(self, target: Found) -> str:
        """The type of the table's rows."""
        return self.before + self.write(target)


_WAYS: tuple[Callable[[Found], str], ...] = (
    _model,
    lambda target: _model(target).lower(),
    lambda target: "".join(word.capitalize() for word in target.name.split("_")),
    lambda target: target.name,
)


def _spelling(held: Iterable[str], targets: Iterable[Found]) -> _Spelling | None:
    """The spelling in which the first known type is written; None where none is known."""
    known = list(targets)
    for kind in held:
        # App\Models\Account of Laravel.
        short = re.split(r"[\\:./]", kind)[-1]
        for write in _WAYS:
            if any(write(target) == short for target in known):
                return _Spelling(kind.removesuffix(short), write)
    return None


def _fits(table: Found, column: str, targets: Mapping[str, Found]) -> bool:
    family = table.columns[column].family
    keys = {target.columns[target.key].family for target in targets.values() if target.key in target.columns}
    return family == "text" or keys == {family}
