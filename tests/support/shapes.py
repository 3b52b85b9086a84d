"""The shape of JSON records: which paths occur with which types, whatever the values are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

NAMES = {
    str: "text",
    bool: "boolean",
    int: "integer",
    float: "fraction",
    type(None): "null",
    list: "list",
    dict: "object",
}


def _paths(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        yield path, "list" if value else "empty list"
        for entry in value:
            kind = f"{entry['field_type']}" if isinstance(entry, dict) and "field_type" in entry else ""
            yield from _paths(entry, f"{path}[{kind}]")
    elif isinstance(value, dict):
        yield path, "object"
        for key, inner in value.items():
            if key in ("_links", "href"):
                yield f"{path}._links".lstrip("."), "object"
                continue
            name = f"{key}[{value['note_type']}]" if key == "params" and "note_type" in value else key
            yield from _paths(inner, f"{path}.{name}".lstrip("."))
    else:
        yield path, NAMES[type(value)]


def shapes(records: Iterable[Any]) -> dict[str, list[str]]:
    """Types by path over all records: `custom_fields_values[date].values[].value` has `integer` and `text`."""
    found: dict[str, set[str]] = {}
    for record in records:
        for path, kind in _paths(record, ""):
            if path:
                found.setdefault(path, set()).add(kind)
    return {path: sorted(kinds) for path, kinds in sorted(found.items())}
