"""Addresses of the field type smart_address: one value for each part, in any order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from target_crm.normalise.text import visible

# The order in which a letter carries them.
PARTS = ("address_line_1", "address_line_2", "city", "state", "zip", "country")


def is_address(value: Mapping[str, Any]) -> bool:
    """Whether all keys are parts of an address."""
    return bool(value) and all(key in PARTS for key in value)


def joined_address(value: Mapping[str, Any]) -> str | None:
    """The parts that are there, in postal order: street, city, region, code, country."""
    parts = (visible(str(value[part])) for part in PARTS if value.get(part) is not None)
    return ", ".join(part for part in parts if part) or None
