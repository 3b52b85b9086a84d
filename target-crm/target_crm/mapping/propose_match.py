"""`match` for a proposed mapping: by what amoCRM's records are recognised in the rows that a table has already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from target_crm.mapping import words
from target_crm.mapping.catalogue import Connection, has_equal_rows, has_rows, holds_other_than_numbers, if_readable
from target_crm.mapping.found_tables import Found
from target_crm.mapping.propose import Proposed

# The strongest first, after an id: a firm has one ИНН, several may share a phone.
_BY_TRANSFORM = ("inn", "phone", "email")
_OF_SOMEBODY = ("companies", "contacts")


def propose_match(connection: Connection, proposals: Iterable[Proposed]) -> list[tuple[str, str, str]]:
    """Give the proposals of tables that have rows their rules, the strongest first.

    Returns:
        Existing rows that are not recognised: stream, rows, why.

    Raises:
        psycopg.OperationalError: the database is gone; tables that the role may not read count as empty.
    """
    remarks: list[tuple[str, str, str]] = []
    for proposed in proposals:
        if not _may_have_rows(connection, proposed.table):
            # Employees are found by their addresses whenever they come.
            proposed.match = _of_users(proposed) if proposed.stream == "users" else []
            remarks += _without_rule(proposed)
            continue
        _drop_foreign_ids(connection, proposed)
        proposed.match = _of_users(proposed) if proposed.stream == "users" else _of_rows(connection, proposed)
        remarks += _without_rule(proposed) if proposed.match_only else _remarks(proposed)
    return remarks


def _without_rule(proposed: Proposed) -> Iterator[tuple[str, str, str]]:
    """Employees whom nothing recognises."""
    if proposed.match_only and not proposed.match:
        yield (
            proposed.stream,
            f"rows of {proposed.table.full_name}",
            "no column by which an employee is recognised (an e-mail, a name), so that all links to employees stay "
            "empty; map one under columns, and name it under match",
        )


def _may_have_rows(connection: Connection, table: Found) -> bool:
    return if_readable(connection, lambda: has_rows(connection, table.schema, table.name), otherwise=False)


def _drop_foreign_ids(connection: Connection, proposed: Proposed) -> None:
    """A column whose values are not numbers holds the ids of another source."""
    table, name = proposed.table, proposed.external
    if name is None or table.columns[name].family != "text":
        return
    if holds_other_than_numbers(connection, table.schema, table.name, name):
        del proposed.columns[name]
        proposed.external = None
        proposed.doubtful[name] = "holds ids that are not amoCRM's"


def _of_users(proposed: Proposed) -> list[str | list[str]]:
    by_id = [name for name in proposed.columns if name == proposed.external]
    called = [_with(proposed, {"from": source}) for source in ("email", "name")]
    return [*by_id, *(name for names in called for name in names)]


def _of_rows(connection: Connection, proposed: Proposed) -> list[str | list[str]]:
    rules: list[str | list[str]] = [proposed.external] if proposed.external else []
    for transform in _BY_TRANSFORM:
        named = [name for name, source in proposed.columns.items() if source.get("transform") == transform]
        named += [one.name for one in proposed.sets if one.item == transform]
        # One name is enough: phones and e-mails are looked for in all columns and related tables of their kind.
        rules += named[:1]
    # What no two rows may share tells them apart in this CRM.
    rules += [
        name
        for name, source in proposed.columns.items()
        if name in proposed.table.own_values and source.get("from") == "name" and proposed.stream in _OF_SOMEBODY
    ]
    if proposed.stream == "companies":
        rules += _by_name_and_city(connection, proposed)
    return rules


def _by_name_and_city(connection: Connection, proposed: Proposed) -> list[list[str]]:
    """Name and city together, where no two rows share both."""
    names, cities = _with(proposed, {"from": "name"}), _with(proposed, words.CITY.source)
    if not names or not cities:
        return []
    pair = [names[0], cities[0]]
    return [] if has_equal_rows(connection, proposed.table.schema, proposed.table.name, pair) else [pair]


def _with(proposed: Proposed, source: dict[str, Any]) -> list[str]:
    """The columns with that source, whatever else is said of it."""
    return [name for name, given in proposed.columns.items() if given.items() >= source.items()]


def _remarks(proposed: Proposed) -> Iterator[tuple[str, str, str]]:
    table, key = proposed.table, proposed.key
    rows = f"rows of {table.full_name}"
    if not proposed.match and "amo_id" in proposed.missing:
        yield (
            proposed.stream,
            rows,
            "no column by which one is recognised (an id of amoCRM, ИНН, phone, e-mail); every record gets a new row",
        )
    if key["account"] in proposed.missing and "amo_id" not in proposed.missing:
        yield (
            proposed.stream,
            rows,
            f"those that have {key['amo_id']} are recognised once {key['account']} is filled, too; put the account's "
            "number there before the first load",
        )
