"""The text of a state file, before anything is read by it."""

from __future__ import annotations

from typing import Any

from tap_amocrm.config.json_file import parse_json_object
from tap_amocrm.errors import FileError, StateError

_EXAMPLE = '{"bookmarks": {...}}'


def parsed_state(name: str, text: str) -> dict[str, Any]:
    """The state that a text holds.

    Raises:
        StateError: it holds none.
    """
    try:
        return parse_json_object(name, text, _EXAMPLE)
    except FileError as error:
        msg = f"{error} Pass the last STATE of a run, or omit --state to read everything."
        raise StateError(msg, where=name) from None
