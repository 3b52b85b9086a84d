"""The rules by which records of one stream are compared with the rows of its table."""

from __future__ import annotations

from dataclasses import dataclass

from target_crm.mapping.check import LiveTable
from target_crm.mapping.model import Column, ItemSet, Table
from target_crm.normalise.match_keys import DIGITS, EMAIL, INN, NUMBER, PHONE, SEVERAL, TEXT

# Streams whose records are somebody or some firm: a second row of the same is a duplicate.
_OF_SOMEBODY = ("companies", "contacts", "customers", "users")
_BY_TRANSFORM = {"phone": PHONE, "email": EMAIL, "inn": INN, "digits": DIGITS}


@dataclass(frozen=True, eq=False)
class Part:
    """What is compared: values of these columns and of these sets, all of one kind.

    Phones and e-mails of a record may be in any of the columns and sets of their kind, on either side.
    """

    kind: str
    columns: tuple[Column, ...] = ()
    sets: tuple[ItemSet, ...] = ()

    @property
    def place(self) -> tuple[str, ...]:
        """What tells parts apart: the kind, and the column where there is one."""
        return (self.kind,) if self.kind in SEVERAL else (self.kind, *(c.name for c in self.columns))


@dataclass(frozen=True, eq=False)
class Rule:
    """One rule: all its parts must agree. `number` is its place; those that are `implied` only warn."""

    number: int
    name: str
    parts: tuple[Part, ...]
    implied: bool = False

    @property
    def is_several(self) -> bool:
        """Whether a record may hold several values, so that another one is not a contradiction by itself."""
        return len(self.parts) == 1 and self.parts[0].kind in SEVERAL

    @property
    def is_plain_text(self) -> bool:
        """Whether it compares by text alone, which two may share by chance."""
        return all(part.kind == TEXT for part in self.parts)


def rules_of(live: LiveTable) -> tuple[Rule, ...]:
    """The rules of the mapping, the strongest first, then those by which rows that look the same are distinguished."""
    table = live.mapping
    named = [(", ".join(names), tuple(_part(live, name) for name in names), False) for names in table.match]
    known = {tuple(part.place for part in parts) for _, parts, _ in named}
    if table.stream in _OF_SOMEBODY and not table.match_only:
        named += [(name, parts, True) for name, parts in _implied(live) if tuple(p.place for p in parts) not in known]
    return tuple(Rule(number, name, parts, implied) for number, (name, parts, implied) in enumerate(named))


def kind_of(column: Column, live: LiveTable) -> str:
    """By what values of a column are compared."""
    kind = _BY_TRANSFORM.get(column.transform or "")
    if kind is not None:
        return kind
    return NUMBER if live.columns[column.name].family in ("integer", "number") else TEXT


def _part(live: LiveTable, name: str) -> Part:
    table = live.mapping
    column = next((c for c in table.columns if c.name == name), None)
    if column is None:
        return _all_of(table, next(s.item for s in table.sets if s.name == name))
    kind = kind_of(column, live)
    return _all_of(table, kind) if kind in SEVERAL else Part(kind, (column,))


def _all_of(table: Table, kind: str) -> Part:
    return Part(
        kind,
        tuple(c for c in table.columns if c.transform == kind),
        tuple(s for s in table.sets if s.item == kind),
    )


def _implied(live: LiveTable) -> list[tuple[str, tuple[Part, ...]]]:
    table = live.mapping
    found: list[tuple[str, tuple[Part, ...]]] = [
        (c.name, (Part(INN, (c,)),)) for c in table.columns if c.transform == "inn"
    ]
    for kind in (PHONE, EMAIL):
        part = _all_of(table, kind)
        if part.columns or part.sets:
            found.append((kind, (part,)))
    names = _names(table)
    if names:
        found.append((", ".join(c.name for c in names), tuple(Part(TEXT, (c,)) for c in names)))
    return found


def _names(table: Table) -> list[Column]:
    """The columns that hold what a record is called: the whole name, or its two parts."""
    whole = [
        c
        for c in table.columns
        if c.path == ("name",) and c.transform in (None, "text") and not (c.values or c.template)
    ]
    if whole:
        return whole[:1]
    first = next((c for c in table.columns if c.transform == "first_name" or c.path == ("first_name",)), None)
    last = next((c for c in table.columns if c.path == ("last_name",)), None)
    return [first, last] if first is not None and last is not None else []
