"""Scalars as a stream's schema declares them, where the service writes the same value in another way.

The service writes numbers as text, booleans as 0 and 1, and nothing as `false`, `""` or `[]` (PHP). Loaders that check
records against the schema stop at those. A value that can't be converted stays as received,
and the schema that goes before it is made wider by its type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tap_amocrm.shapes import Record, whole

Convert = Callable[[Any], Any]
_NOTHING: tuple[Any, ...] = ("", [], {})
_BOOLEANS = {0: False, 1: True, "0": False, "1": True, "false": False, "true": True}


def _is_nothing(value: Any) -> bool:
    return value is False or value in _NOTHING


def integer(value: Any) -> Any:
    """A whole number written as text or as a float."""
    if _is_nothing(value):
        return None
    number = whole(value)
    return value if number is None else number


def number(value: Any) -> Any:
    """A number written as text; a float that JSON can't write stays as it is."""
    if _is_nothing(value):
        return None
    found = whole(value)
    if found is not None or not isinstance(value, str):
        return value if found is None else found
    # Only digits with one point: float() would also take 1_000, nan and text in other scripts.
    plain = value.strip()
    if plain.isascii() and plain.lstrip("-").replace(".", "", 1).isdigit():
        found_float = float(plain)
        return found_float if math.isfinite(found_float) else value
    return value


def boolean(value: Any) -> Any:
    """A boolean written as 0 and 1, also as text."""
    if isinstance(value, (int, float, str)):
        return None if value == "" else _BOOLEANS.get(value, value)
    return None if value in _NOTHING else value


def string(value: Any) -> Any:
    """Text written as a number."""
    if value is False or value in ([], {}):
        return None
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


_FITTING: dict[str, tuple[frozenset[type], Convert]] = {
    "integer": (frozenset({int}), integer),
    "number": (frozenset({int, float}), number),
    "boolean": (frozenset({bool}), boolean),
    "string": (frozenset({str}), string),
}


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_TIME = "date-time"
_KINDS: dict[type, str] = {
    bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object",
}  # fmt: skip


class Conformer:
    """Brings the scalars of one stream's records to the types of its schema.

    Args:
        schema: The stream's JSON schema.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._rules: list[tuple[str, frozenset[type], Convert]] = []
        self._times: list[str] = []
        # Of each property the types of values that did not fit; a text instead of a time is one.
        self._odd: dict[str, set[str]] = {}
        for name, definition in schema["properties"].items():
            kinds = _kinds(definition)
            if definition.get("format") == _TIME:
                self._times.append(name)
            elif len(kinds) == 1 and kinds[0] in _FITTING:
                self._rules.append((name, *_FITTING[kinds[0]]))
            elif kinds and not {"object", "array"} & set(kinds):
                fitting = frozenset[type]().union(*(_FITTING[kind][0] for kind in kinds))
                self._rules.append((name, fitting, _as_it_is))

    def __call__(self, records: Iterable[Record]) -> bool:
        """Convert in place; whether values came that the schema has been too narrow for."""
        wider = False
        for record in records:
            for name, fitting, convert in self._rules:
                value = record.get(name)
                if value is not None and type(value) not in fitting:
                    value = record[name] = convert(value)
                    if value is not None and type(value) not in fitting:
                        wider |= self._note(name, value)
            for name in self._times:
                value = record.get(name)
                if value is not None and not (value.__class__ is str and _RFC3339.fullmatch(value)):
                    wider |= self._note(name, value)
        return wider

    def _note(self, name: str, value: Any) -> bool:
        known, kind = self._odd.setdefault(name, set()), _KINDS[type(value)]
        if kind in known:
            return False
        known.add(kind)
        return True

    def within(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A stream's schema, wide enough for all values that came so far."""
        properties = schema["properties"]
        wider = {name: _widened(properties[name], kinds) for name, kinds in self._odd.items() if name in properties}
        return {**schema, "properties": {**properties, **wider}} if wider else schema


def _as_it_is(value: Any) -> Any:
    return value


def _kinds(definition: Mapping[str, Any]) -> list[str]:
    """The types that a property is declared of, null aside."""
    types = definition.get("type")
    return [kind for kind in ([types] if isinstance(types, str) else types or ()) if kind != "null"]


def _widened(definition: Mapping[str, Any], odd: set[str]) -> dict[str, Any]:
    known = _kinds(definition)
    kept = {name: value for name, value in definition.items() if name != "format" or "string" not in odd}
    return {**kept, "type": [*known, *sorted(odd.difference(known)), "null"]}
