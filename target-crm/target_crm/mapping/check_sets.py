"""Checks the related tables of a table, whose rows hold its phones and e-mail addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from target_crm.mapping import fits
from target_crm.mapping.catalogue import Facts, LiveColumn, LiveTable
from target_crm.mapping.findings import Findings
from target_crm.mapping.model import ItemSet, Table
from target_crm.normalise import LONGEST

# What each role of a related table's columns holds, and whether an item may have none of it.
_SET_FAMILIES = {"value": "text", "comment": "text", "type": "text", "position": "integer", "source": "text"}
# A text that is not a number or an address goes to comment; most items have no comment; amoCRM may send no type.
_MAY_BE_EMPTY = frozenset({"value", "comment", "type"})
# The longest that amoCRM lets people type into such a field, and its longest kind.
_SET_LENGTHS = {"comment": 255, "type": 16, "source": 16}


def check_set(
    findings: Findings, table: Table, item_set: ItemSet, parent: LiveTable
) -> tuple[LiveTable, ItemSet] | None:
    """A related table with its set, prepared for loading; None if the table can't be used."""
    opened = findings.open(table, item_set.relation, item_set.line)
    if opened is None:
        return None
    live, facts = opened
    roles = {f"columns.{role}": name for role, name in item_set.columns.items()}
    roles |= {"parent": item_set.parent, "service.raw_fields": item_set.raw_fields, "service.id": item_set.id}
    roles |= {f"service.{r}": n for r in ("created_at", "updated_at") if (n := getattr(item_set, r)) is not None}
    for role, name in roles.items():
        column = live.columns.get(name)
        if column is None and findings.is_planned(live, name):
            continue
        if column is None:
            needed = role in ("parent", "service.id", "service.raw_fields", "columns.value")
            findings.problem(
                item_set.line,
                f"table {live.name} has no column {name} ({role} of set {item_set.name}); add it, or name another"
                + ("." if needed else ", or null for none."),
            )
        else:
            _check_column(findings, item_set, live, role, column)
    if item_set.parent in live.columns and table.id in parent.columns:
        findings.points_at(item_set.line, live, item_set.parent, table, facts)
    _check_key(findings, item_set, live, facts)
    _check_required(findings, item_set, live, roles.values())
    blank = frozenset(
        role for role, name in item_set.columns.items() if name in live.columns and live.columns[name].not_null
    )
    return live, replace(item_set, defaults=findings.defaults(item_set, live, facts), blank=blank & _MAY_BE_EMPTY)


def _check_column(findings: Findings, item_set: ItemSet, live: LiveTable, role: str, column: LiveColumn) -> None:
    kind, _, name = role.partition(".")
    wanted = {"service.raw_fields": "json", "service.created_at": "timestamp", "service.updated_at": "timestamp"}
    family = wanted.get(role) if kind != "columns" else _SET_FAMILIES[name]
    what = f"column {live.name}.{column.name} ({role} of set {item_set.name})"
    if family and column.family != family:
        said = {"json": "jsonb", "timestamp": "timestamptz"}.get(family, family)
        findings.problem(item_set.line, f"{what} must be {said}, it is {column.type_sql}; change its type.")
    elif column.generated and role != "service.id":
        findings.problem(item_set.line, f"{what} is filled by the database alone; name another.")
    if kind == "columns":
        least = fits.SHORTEST[item_set.item] if name == "value" else _SET_LENGTHS.get(name)
        longest = LONGEST[item_set.item] if name == "value" else least
        if least and column.length and column.length < least:
            findings.problem(
                item_set.line, f"{what} holds {column.length} characters, {longest} may come; make it longer."
            )


def _check_key(findings: Findings, item_set: ItemSet, live: LiveTable, facts: Facts) -> None:
    identity = live.columns.get(item_set.id)
    if identity is None:
        return
    what = f"column {live.name}.{item_set.id} (service.id of set {item_set.name})"
    if not any(item_set.id in unique for unique in facts.unique):
        findings.problem(item_set.line, f"{what} is not unique; name the table's primary key.")
    if identity.required and not findings.is_planned(live, item_set.id):
        findings.problem(item_set.line, f"{what} gets no value from the database; give it a default or an identity.")


def _check_required(findings: Findings, item_set: ItemSet, live: LiveTable, used: Iterable[str]) -> None:
    known = {*used, *item_set.defaults}
    for column in live.columns.values():
        if column.required and column.name not in known:
            findings.problem(
                item_set.line,
                f"column {live.name}.{column.name} is NOT NULL without a default and nothing fills it; give it a "
                f"value under the defaults of set {item_set.name}.",
            )
    for name in sorted(set(used) & item_set.defaults.keys()):
        findings.problem(
            item_set.default_lines.get(name, item_set.line),
            f"column {name} is used by set {item_set.name} already; remove it from defaults.",
        )
