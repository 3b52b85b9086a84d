"""The JSON Schema of settings, in the words of the SDK's `singer_sdk.typing`: importing that imports the whole SDK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

StringType = {"type": ["string", "null"]}
BooleanType = {"type": ["boolean", "null"]}
IntegerType = {"type": ["integer", "null"]}
# As text, too: Meltano 4.4 fails on a setting of kind decimal that comes from the environment.
NumberType = {"type": ["number", "string", "null"]}


def setting(
    name: str,
    kind: dict[str, Any],
    *,
    title: str,
    description: str,
    default: Any = None,
    secret: bool = False,
    allowed_values: Sequence[str] | None = None,
) -> tuple[str, dict[str, Any]]:
    """One setting as a property of an object's schema."""
    schema: dict[str, Any] = {**kind, "title": title}
    if default is not None:
        schema["default"] = default
    schema["description"] = description
    if secret:
        schema |= {"secret": True, "writeOnly": True}
    if allowed_values is not None:
        schema["enum"] = list(allowed_values)
    return name, schema
