"""Polymorphic links for a proposed mapping: pairs of columns (type and id) as Rails, Django and Odoo have them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from target_crm.mapping import words
from target_crm.mapping.found_tables import Found, split_words

# What notes and tasks can be about.
_TARGETS = ("companies", "contacts", "leads")


@dataclass(frozen=True)
class PolymorphicLink:
    """The column of the id, that of the type, and the former's words in a mapping."""

    column: str
    type_column: str
    words: dict[str, Any]


def find_link(
    table: Found, chosen: Mapping[str, Found], content_types: Mapping[tuple[str, str], int], taken: Collection[str]
) -> PolymorphicLink | None:
    """The pair of columns by which this table's rows belong to companies, contacts or deals; None without one."""
    targets = {stream: chosen[stream] for stream in _TARGETS if stream in chosen}
    for column, kind, style in _pairs(table):
        if column in taken or kind in taken or column in table.facts.references:
            continue
        types = {stream: _type(style, target, content_types) for stream, target in targets.items()}
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
    if style == "rails":
        return "".join(word.capitalize() for word in split_words(target.name))
    model = split_words(target.name)[-1]
    of_table = [number for (app, name), number in content_types.items() if f"{app}_{name}" == target.name]
    of_model = [number for (_, name), number in content_types.items() if name == model]
    found = of_table or of_model
    return found[0] if len(found) == 1 else None


def _fits(table: Found, column: str, targets: Mapping[str, Found]) -> bool:
    family = table.columns[column].family
    keys = {target.columns[target.key].family for target in targets.values() if target.key in target.columns}
    return family == "text" or keys == {family}
