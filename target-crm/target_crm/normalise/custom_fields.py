"""Values of custom fields of all kinds, as text that a person can read and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from target_crm.normalise.addresses import is_address, joined_address
from target_crm.normalise.numbers import number_text
from target_crm.normalise.text import is_blank

# What names a thing, the best name first: legal entities, payers, suppliers and linked entities have name, files
# file_name, elements of lists nothing but their number.
_NAMES = ("name", "title", "file_name", "description", "text", "value", "catalog_element_id")
# What a person does not read: keys, icons and the like of objects without a name.
_TECHNICAL = frozenset(("id", "uuid", "file_uuid", "version_uuid", "icon", "icon_url", "uniq", "metadata", "_links"))
_DEEPEST = 20
_CONTAINERS = (list, dict)


def is_empty(value: Any) -> bool:
    """Whether there is nothing to write: null, a blank text, a list or an object without anything in it."""
    if value.__class__ is str:
        return is_blank(value)
    return value is None or (value.__class__ in _CONTAINERS and not value)


def flat(values: Sequence[Any]) -> list[Any]:
    """All that is there, lists of values (a path through a list) opened."""
    found: list[Any] = []
    for value in values:
        if value.__class__ is str:
            if not is_blank(value):
                found.append(value)
        elif value.__class__ is list:
            found += flat(value)
        elif not is_empty(value):
            found.append(value)
    return found


def readable(value: Any) -> str | None:
    """The value as text; the parts of several joined by a comma. None where there is nothing to read."""
    if isinstance(value, str):
        return None if is_blank(value) else value
    if value is None:
        return None
    if isinstance(value, bool):
        return "да" if value else "нет"
    if isinstance(value, list):
        return ", ".join(text for item in value if (text := readable(item))) or None
    return _named(value) if isinstance(value, Mapping) else number_text(value)


def _named(value: Mapping[str, Any]) -> str | None:
    if is_address(value):
        return joined_address(value)
    for key in _NAMES:
        name = value.get(key)
        if not is_empty(name):
            return readable(name) if "quantity" not in value else _item(str(readable(name)), value)
    return "; ".join(leaves(value)) or None


def _item(name: str, value: Mapping[str, Any]) -> str:
    """A line of an invoice: what, how many, at which price."""
    quantity = readable(value.get("quantity"))
    if quantity is None:
        return name
    unit, price = readable(value.get("unit_type")), readable(value.get("unit_price"))
    amount = quantity + (f" {unit}" if unit else "") + (f" × {price}" if price else "")
    return f"{name} ({amount})"


def leaves(value: Any, depth: int = 0) -> Iterator[str]:
    """All that can be read in a value of any shape, in its order; each text once in a row."""
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if str(key).lower() not in _TECHNICAL:
                yield from leaves(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, depth + 1)
    elif not isinstance(value, bool):
        text = readable(value)
        if text is not None:
            yield text
