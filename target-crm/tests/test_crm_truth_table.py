"""Each row of the truth table of docs/soft-update.md, through three and more syncs, for every kind of column."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest


def _cf(code: str, value: Any) -> dict[str, Any]:
    fields = [{"field_id": 1, "field_code": code, "field_name": code, "values": [{"value": value}]}]
    return {"custom_fields_values": None if value in (None, "") else fields}


def _tags(value: list[str] | None) -> dict[str, Any]:
    return {"_embedded": {"tags": [{"id": n, "name": v} for n, v in enumerate(value or [])]}}


def _moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).astimezone(timezone.utc)


class Kind:
    """A kind of column: how amoCRM sends a value, what the column then holds, and three values."""

    def __init__(self, stream, column, send, values, edited, empties=(None,), held=lambda v: v):
        self.stream, self.column, self.send, self.values = stream, column, send, values
        self.edited, self.empties, self.held = edited, empties, held


KINDS = {
    "text": Kind("contacts", "last_name", lambda v: {"last_name": v}, ("Иванов", "Петров"), "Сидоров", (None, "")),
    "number": Kind("leads", "price", lambda v: {"price": v}, (100, 250), 999),
    "integer field": Kind(
        "companies",
        "employees_count",
        lambda v: _cf("EMPLOYEES_COUNT", v),
        ("10", "20"),
        15,
        held=lambda v: v and int(v),
    ),
    "time": Kind(
        "tasks",
        "due_at",
        lambda v: {"complete_till": v},
        ("2026-03-01T10:00:00+00:00", "2026-04-01T10:00:00+03:00"),
        datetime(2027, 1, 1, tzinfo=timezone.utc),
        held=_moment,
    ),
    "array": Kind("companies", "tags", _tags, (["vip"], ["a", "b"]), ["mine"], (None, []), held=lambda v: v or None),
    "phone": Kind(
        "contacts",
        "phone",
        lambda v: _cf("PHONE", v),
        ("8 (916) 123-45-67", "+7 495 123-45-67"),
        "+79990001122",
        (None, ""),
        held=lambda v: v and {"8": "+79161234567", "+": "+74951234567"}[v[0]],
    ),
    "email": Kind(
        "contacts",
        "email",
        lambda v: _cf("EMAIL", v),
        ("A@Example.ru", "b@example.ru"),
        "c@example.ru",
        (None, ""),
        held=lambda v: v and v.lower(),
    ),
    "json": Kind(
        "notes",
        "params",
        lambda v: {"params": v},
        ({"text": "a"}, {"text": "b", "n": [1]}),
        '{"text": "c"}',
        (None, {}, []),
        held=lambda v: v or None,
    ),
}


@pytest.fixture(params=KINDS, ids=lambda k: k.replace(" ", "-"))
def cell(request, crm):
    return Cell(crm, KINDS[request.param])


class Cell:
    """One column of one row, between amoCRM and a person."""

    def __init__(self, crm, kind):
        self.crm, self.kind = crm, kind
        self.first, self.second = kind.values

    def sync(self, value, **settings):
        return self.crm.sync(self.kind.stream, self.kind.send(value), **settings)

    def edit(self, value):
        cast = "::jsonb" if self.kind.column == "params" and value is not None else ""
        self.crm.execute(f"UPDATE {self.kind.stream} SET {self.kind.column} = %s{cast}", value)

    @property
    def value(self):
        value = self.crm.row(self.kind.stream)[self.kind.column]
        return value or None if isinstance(value, (list, str)) else value

    @property
    def base(self):
        raw = self.crm.row(self.kind.stream)["raw_fields"]["amo_values"].get(self.kind.column)
        if raw is not None and self.kind.column == "due_at":
            return _moment(raw)
        return raw

    def holds(self, value, base):
        def plain(v):
            return int(v) if isinstance(v, str) and v.isdigit() and self.kind.column == "employees_count" else v

        assert self.value == value
        assert plain(self.base) == base

    @property
    def conflicts(self):
        return [c for c in self.crm.conflicts() if c["column_name"] == self.kind.column]

    @property
    def edited(self):
        value = self.kind.edited
        return {"text": "c"} if self.kind.column == "params" else value


def test_row_1_new_row_takes_theirs_whatever_it_is(cell):
    for value in (cell.first, *cell.kind.empties):
        cell.crm.execute("DROP SCHEMA IF EXISTS " + cell.crm.schema + " CASCADE")
        cell.sync(value)
        held = cell.kind.held(value) or None
        cell.holds(held, held)
        for _ in range(2):
            cell.sync(value)
            cell.holds(held, held)
        assert not cell.conflicts


def test_row_2_empty_field_is_filled_whatever_the_base(cell):
    first, second = cell.kind.held(cell.first), cell.kind.held(cell.second)
    for empty in (None,):
        cell.sync(empty)
        cell.holds(None, None)
    cell.sync(cell.first)  # base empty
    cell.holds(first, first)
    cell.edit(None)
    cell.sync(cell.first)  # base = theirs
    cell.holds(first, first)
    cell.edit(None)
    cell.sync(cell.second)  # base ≠ theirs
    cell.holds(second, second)
    assert not cell.conflicts


def test_row_3_untouched_value_follows_amocrm(cell):
    first, second = cell.kind.held(cell.first), cell.kind.held(cell.second)
    cell.sync(cell.first)
    cell.holds(first, first)
    cell.sync(cell.second)
    cell.holds(second, second)
    cell.sync(cell.first)
    cell.holds(first, first)
    assert not cell.conflicts


def test_row_4_nothing_sent_changes_nothing(cell):
    first = cell.kind.held(cell.first)
    cell.sync(cell.first)
    for empty in cell.kind.empties:
        cell.sync(empty)
        cell.holds(first, first)
    cell.edit(cell.kind.edited)
    for empty in cell.kind.empties:
        cell.sync(empty)
        cell.holds(cell.edited, first)
    assert not cell.conflicts


def test_row_5_manual_edit_outlives_syncs_that_bring_the_base(cell):
    first = cell.kind.held(cell.first)
    cell.sync(cell.first)
    cell.edit(cell.kind.edited)
    for _ in range(4):
        counts = cell.sync(cell.first)
        cell.holds(cell.edited, first)
        assert counts["kept"] == 1
    assert not cell.conflicts


def test_row_6_both_sides_changed_to_the_same(cell):
    second = cell.kind.held(cell.second)
    cell.sync(cell.first)
    cell.sync(cell.first)
    edited = '{"text": "b", "n": [1]}' if cell.kind.column == "params" else second
    cell.edit(edited)
    cell.sync(cell.second)
    cell.holds(second, second)
    cell.sync(cell.first)  # the base moved, so this is row 3
    cell.holds(cell.kind.held(cell.first), cell.kind.held(cell.first))
    assert not cell.conflicts


def test_row_7_conflict_keeps_ours_and_is_recorded_once(cell):
    second = cell.kind.held(cell.second)
    cell.sync(cell.first)
    cell.edit(cell.kind.edited)
    cell.sync(cell.second)
    cell.holds(cell.edited, second)
    assert len(cell.conflicts) == 1
    for _ in range(2):  # row 5 from now on
        cell.sync(cell.second)
        cell.holds(cell.edited, second)
    assert len(cell.conflicts) == 1
    cell.sync(cell.first)  # a new value of amoCRM is a new conflict and supersedes the old one
    cell.holds(cell.edited, cell.kind.held(cell.first))
    assert [c["resolution"] for c in cell.conflicts] == ["superseded", None]


def test_row_8_filled_by_hand_before_amocrm_sent_anything(cell):
    first = cell.kind.held(cell.first)
    cell.sync(None)
    cell.edit(cell.kind.edited)
    cell.sync(None)
    cell.holds(cell.edited, None)
    cell.sync(cell.first)
    cell.holds(cell.edited, first)
    for _ in range(2):
        cell.sync(cell.first)
    cell.holds(cell.edited, first)
    assert len(cell.conflicts) == 1


def test_conflict_holds_the_three_values(crm):
    crm.sync("leads", {"price": 1})
    crm.execute("UPDATE leads SET price = 2")
    crm.sync("leads", {"price": 3})
    (conflict,) = crm.conflicts()
    assert (conflict["base_value"], conflict["crm_value"], conflict["amo_value"]) == (1, 2, 3)
    assert conflict["table_name"] == "leads"
    assert conflict["row_id"] == str(crm.row("leads")["id"])
    assert conflict["resolved_at"] is None


@pytest.mark.parametrize(
    ("stream", "column", "edited", "send"),
    [
        ("contacts", "phone", "8 (916) 123-45-67", _cf("PHONE", "+7 916 123 45 67")),
        ("contacts", "email", " Ivan@Example.RU", _cf("EMAIL", "ivan@example.ru")),
        ("contacts", "last_name", " Иванов ", {"last_name": "Иванов"}),
        ("companies", "tags", ["b", "a"], _tags(["a", "b"])),
    ],
)
def test_another_spelling_is_not_an_edit_and_no_conflict(crm, stream, column, edited, send):
    crm.sync(stream, send)
    crm.execute(f"UPDATE {stream} SET {column} = %s", edited)
    counts = crm.sync(stream, send)
    assert counts["kept"] == 0
    assert crm.row(stream)[column] == edited
    assert not crm.conflicts()
