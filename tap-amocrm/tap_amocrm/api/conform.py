"""Scalars as a stream's schema declares them, where the service writes the same value in another way.

The service writes numbers as text, booleans as 0 and 1, and nothing as `false`, `""` or `[]` (PHP). Loaders that check
records against the schema stop at those. A value that is no other way of writing the declared type stays as it came.
"""

from __future__ import annotations

import math
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


class Conformer:
    """Brings the scalars of one stream's records to the types of its schema.

    Args:
        schema: The stream's JSON schema. Properties of several types, and times, are left alone.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._rules: list[tuple[str, frozenset[type], Convert]] = []
        for name, definition in schema["properties"].items():
            types = definition.get("type")
            kinds = [kind for kind in ([types] if isinstance(types, str) else types or ()) if kind != "null"]
            if len(kinds) == 1 and kinds[0] in _FITTING and "format" not in definition:
                self._rules.append((name, *_FITTING[kinds[0]]))

    def __call__(self, records: Iterable[Record]) -> None:
        """Convert in place."""
        for record in records:
            for name, fitting, convert in self._rules:
                value = record.get(name)
                if value is not None and type(value) not in fitting:
                    record[name] = convert(value)
