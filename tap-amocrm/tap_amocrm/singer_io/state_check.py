"""Whether a state is one of this tap, before anything is read by it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pendulum

from tap_amocrm.config.json_file import parse_json_object
from tap_amocrm.errors import FileError, StateError
from tap_amocrm.shapes import whole

logger = logging.getLogger("tap-amocrm")
_EXAMPLE = '{"bookmarks": {...}}'
# Where states are found inside other things.
_WRAPPED = {"value": "a STATE message", "singer_state": "a state of Meltano"}


def parsed_state(name: str, text: str) -> dict[str, Any]:
    """The state that a text holds.

    Raises:
        StateError: it holds none.
    """
    try:
        return parse_json_object(name, text, _EXAMPLE)
    except FileError as error:
        msg = f"{error} Give the last STATE of a run, or leave --state out to read everything."
        raise StateError(msg) from None


def check_state(state: Mapping[str, Any]) -> None:
    """See that bookmarks can be read.

    Raises:
        StateError: one can't; names the place.
    """
    for key, what in _WRAPPED.items():
        if "bookmarks" not in state and isinstance(state.get(key), dict):
            msg = f"The state is wrapped in {what}: give what it holds under {key!r} alone."
            raise StateError(msg)
    bookmarks = state.get("bookmarks", {})
    if not isinstance(bookmarks, dict):
        _refuse("bookmarks", bookmarks, "an object")
    for stream, bookmark in bookmarks.items():
        where = f"bookmarks.{stream}"
        if not isinstance(bookmark, dict):
            _refuse(where, bookmark, "an object")
        value = bookmark.get("replication_key_value")
        if value is not None and not _is_time(value):
            _refuse(f"{where}.replication_key_value", value, "an RFC 3339 time such as 2026-01-31T00:00:00Z")
        for name in ("walked", "settling"):
            window = bookmark.get(name)
            if window is not None and not (_is_list_of_numbers(window) and len(window) == 2):
                _refuse(f"{where}.{name}", window, "a list of two times in Unix seconds")
        if not isinstance(bookmark.get("seen", []), (list, type(None))):
            _refuse(f"{where}.seen", bookmark["seen"], "a list of ids")


def good_memory(memory: Any) -> dict[str, Any]:
    """The tap's own memory out of a state, without what can't be read: that costs requests, nothing else."""
    if memory is None:
        return {}
    found = {k: v for k, v in memory.items() if _is_good(k, v)} if isinstance(memory, dict) else {}
    if not isinstance(memory, dict) or len(found) < len(memory):
        lost = sorted(set(memory) - set(found)) if isinstance(memory, dict) else ["all"]
        logger.warning("The state's part tap_amocrm can't be read (%s): it is made again.", ", ".join(map(str, lost)))
    return found


def _is_good(name: str, value: Any) -> bool:
    if name == "definitions":
        return isinstance(value, dict) and all(
            isinstance(v, dict) and isinstance(v.get("read_at"), int) and _is_list_of_ids(v.get("ids"))
            for v in value.values()
        )
    if name == "lists":
        return isinstance(value, dict) and all(_is_list_of_numbers(v) and len(v) == 2 for v in value.values())
    if name in ("honours", "totals"):
        kind = bool if name == "honours" else int
        return isinstance(value, dict) and all(isinstance(v, kind) for v in value.values())
    if name == "scope":
        return isinstance(value, dict) and all(isinstance(value.get(k), str) for k in ("digest", "companies"))
    return value is None or isinstance(value, int) if name == "requests" else True


def _is_list_of_ids(value: Any) -> bool:
    """Ids of users, or pairs of an entity's kind and an id of a field."""
    return isinstance(value, list) and all(
        isinstance(v, (int, str))
        or (isinstance(v, list) and len(v) == 2 and all(isinstance(x, (int, str, type(None))) for x in v))
        for v in value
    )


def _is_list_of_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) in (int, float) and whole(v) is not None for v in value)


def _is_time(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return isinstance(pendulum.parse(value), datetime)
    except (ValueError, OverflowError):
        return False


def _refuse(where: str, value: Any, wanted: str) -> None:
    msg = (
        f"The state's {where} is {str(value)[:60]!r} and must be {wanted}. Give the last STATE of a run, or "
        "none to read everything."
    )
    raise StateError(msg)
