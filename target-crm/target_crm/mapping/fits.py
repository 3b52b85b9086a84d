"""Whether a column can take what the mapping sends to it: types, lengths, choices, constraints, fixed values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from target_crm.mapping.catalogue import Connection, LiveColumn
from target_crm.mapping.model import Column
from target_crm.normalise import LONGEST, TRANSFORMS, Context

# The families of columns that can take what a transformation yields; text, for those that are not listed.
_TAKES: dict[str, set[str]] = {
    "text": {"text", "enum", "uuid", "other"},
    "integer": {"integer", "number", "text"},
    "number": {"number", "text"},
    "boolean": {"boolean", "text"},
    "timestamp": {"timestamp", "text"},
    "date": {"date", "text"},
    "list": {"array", "json"},
    "json": {"json", "text"},
}
# A number or an address that is cut is another one: what is longer than its column is left out, with a warning. Shorter
# columns than these would leave out usual values, too: +7 and ten digits, and one more; the longest ИНН.
SHORTEST = {"phone": 13, "email": 50, "inn": 12}
# Families whose columns know by themselves how to read a value.
_READ_BY_TYPE = ("text", "enum", "integer", "number", "boolean", "timestamp", "date", "array", "json")
_DEFAULT_TRANSFORM = {"array": "list", "enum": "text"}
# Columns that can hold what a name becomes under `values`.
_FOR_CHOICES = ("enum", "integer", "number", "boolean", "uuid")


# Fewer characters of chance than these would meet twice.
_SHORTEST_KEY, _UUID_LENGTH = 16, 36


def new_key(live: LiveColumn) -> str | None:
    """SQL that makes new keys of a column's kind; None where it has to be an identity, or is too short for chance."""
    if live.family == "uuid":
        return "gen_random_uuid()"
    if live.family != "text":
        return None
    if live.length is None or live.length >= _UUID_LENGTH:
        return "gen_random_uuid()::text"
    return f"left(replace(gen_random_uuid()::text, '-', ''), {live.length})" if live.length >= _SHORTEST_KEY else None


def takers(transform: str) -> set[str]:
    """The families of columns that can take what a transformation yields."""
    return _TAKES.get(transform, {"text"})


def type_problems(column: Column, live: LiveColumn, where: str) -> Iterator[str]:
    """What keeps the column from taking the values of its source, each as a sentence with the remedy."""
    what = f"column {where}.{column.name} is {live.type_sql}"
    if live.host is not None:
        if column.source or column.required:
            yield (
                f"column {where}.{column.name} is a key inside a jsonb column, which takes values alone; take link, "
                "lookup, via and required out, or map a column."
            )
        return
    if live.generated:
        yield (
            f"column {where}.{column.name} is filled by the database alone (generated, or an identity); "
            "remove it from the mapping."
        )
        return
    if not live.comparable:
        better = "jsonb" if live.type_sql == "json" else "text"
        yield f"{what}, whose values can't be compared; make it {better}, or map another column."
        return
    if column.link or column.links or column.via:
        return
    if column.lookup:
        if live.family not in ("text", *(_FOR_CHOICES if column.values else ())):
            yield (
                f"{what}; a name needs text. Change the column's type, list under values what each name becomes, or "
                "remove the lookup to store the ID."
            )
        return
    if column.factor is not None and live.family not in ("integer", "number", "text"):
        yield f"{what}, but factor gives a number; remove factor, or make it numeric."
        return
    if column.join is not None and live.family != "text":
        yield f"{what}, but join makes a text of several values; remove join, or map a text column."
        return
    if column.transform is None and live.family not in _READ_BY_TYPE:
        yield (
            f"{what}, which no transformation is made for; map a text column, or write transform: text if amoCRM's "
            "text is what that type reads."
        )
    elif column.transform is not None and live.family not in takers(column.transform):
        able = ", ".join(sorted(takers(column.transform) - {"other"}))
        yield (
            f"{what} and can't take what transform {column.transform} gives; change the transform, or the column's "
            f"type (one of: {able})."
        )
    elif live.family == "enum" and column.values is None:
        yield (
            f"{what}, an enum of {', '.join(live.labels)}; list under values which of them each choice of amoCRM "
            'becomes ("*" for all others).'
        )
    yield from length_problems(column.transform, live, f"column {where}.{column.name}")


def length_problems(kind: str | None, live: LiveColumn, what: str) -> Iterator[str]:
    """What would not fit and may not be cut."""
    if kind in SHORTEST and live.length and live.length < SHORTEST[kind]:
        article = "an" if kind in ("email", "inn") else "a"
        yield f"{what} holds {live.length} characters, {article} {kind} may have {LONGEST[kind]}; make it longer."


def choice_problems(
    connection: Connection, column: Column, live: LiveColumn, checks: Sequence[tuple[str, str]], where: str
) -> Iterator[str]:
    """Which of the mapping's own `values` the column refuses."""
    transform = column.transform or _DEFAULT_TRANSFORM.get(
        live.family, live.family if live.family in TRANSFORMS else "text"
    )
    for said, given in (column.values or {}).items():
        if given is None:
            continue
        try:
            value = TRANSFORMS[transform]([given], Context())
        except (ValueError, OverflowError) as error:
            reason = str(error).rstrip(".")
            yield f"values of {where}.{column.name}: {said} becomes {given!r}, but {reason}; correct it."
            continue
        # What comes out empty is not written (defaults fill it on insert).
        problem = value_problem(connection, value, live, checks) if value is not None else None
        if problem:
            yield f"values of {where}.{column.name}: {said} becomes {given!r}, but {problem}; correct it."


def prepared(value: Any, live: LiveColumn) -> Any:
    """A fixed value as a statement or a COPY passes it to a column of that type: JSON goes as text."""
    return json.dumps(value, ensure_ascii=False) if live.family == "json" and value is not None else value


def value_problem(
    connection: Connection, value: Any, live: LiveColumn, checks: Sequence[tuple[str, str]]
) -> str | None:
    """Why the column refuses this value, None when it takes it. Asks the database; writes nothing."""
    if value is None:
        return "the column is NOT NULL" if live.not_null else None
    if live.generated:
        return "the database fills that column alone"
    if isinstance(value, (dict, list)) and live.family not in ("json", "array"):
        return f"the column is {live.type_sql} and takes one plain value"
    if live.labels and str(value) not in live.labels:
        return f"the column's enum has only {', '.join(live.labels)}"
    if live.length and len(str(value)) > live.length:
        return f"the column holds {live.length} characters"
    literal = sql.SQL("{}::{}").format(
        sql.Literal(prepared(str(value) if live.family in ("text", "enum") else value, live)), sql.SQL(live.type_sql)
    )
    try:
        with connection.transaction():
            for name, expression in (("", "true"), *checks):
                row = connection.execute(
                    sql.SQL("SELECT ({}) FROM (SELECT {} AS {}) AS t").format(
                        sql.SQL(expression), literal, sql.Identifier(live.name)
                    )
                ).fetchone()
                if row == (False,):
                    return f"the constraint {name} refuses it: {expression}"
    except psycopg.Error as error:
        return f"the database says: {error.diag.message_primary or error}"
    return None
