"""Settings from TAP_AMOCRM_... variables. No `.env` is read: it could name another account than the caller gave."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tap_amocrm.config.setting_names import PREFIX

_TRUTHS = ("true", "1", "yes", "on")
_FALSEHOODS = ("false", "0", "no", "off")


def from_variables(variables: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that variables give, as the kinds that the schema of the settings requires.

    An empty variable is as good as none. Text of another kind stays, so that validation names the setting.
    """
    found: dict[str, Any] = {}
    for name, definition in schema["properties"].items():
        text = variables.get(PREFIX + name.upper())
        if text:
            found[name] = _typed(definition.get("type", ()), text)
    return found


def _typed(kinds: str | list[str], text: str) -> Any:
    if "boolean" in kinds:
        word = text.strip().lower()
        return True if word in _TRUTHS else False if word in _FALSEHOODS else text
    if "integer" in kinds and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", text):
        return int(text)
    if "array" in kinds or "object" in kinds:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return _numbers(text) if "array" in kinds else text
    return text


def _numbers(text: str) -> Any:
    """Ids written without brackets: `5000003, 5000004`."""
    parts = [part.strip() for part in text.split(",")]
    return [int(part) for part in parts] if all(part.isascii() and part.isdigit() for part in parts) else text
