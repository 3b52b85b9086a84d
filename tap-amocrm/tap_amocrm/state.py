"""What the tap keeps in the Singer state: a bookmark for each stream, and its own memory between runs.

These classes are the only code that knows the keys of the state. Reading is strict for bookmarks, where a mistake would
lose records, and for names of columns; it is forgiving for the rest of the memory, whose loss only costs requests.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, NamedTuple

from tap_amocrm.errors import StateError
from tap_amocrm.moments import parse_moment
from tap_amocrm.positions import ListPosition, PageBoundary, packed_boundaries, unpacked_boundaries
from tap_amocrm.shapes import whole

logger = logging.getLogger("tap-amocrm")
# The tap's own memory, beside the streams' bookmarks.
MEMORY_KEY = "tap_amocrm"
_BOOKMARKS = "bookmarks"
# Where states are found inside other things.
_WRAPPED = {"value": "a STATE message", "singer_state": "a state of Meltano"}
# A time window in Unix seconds.
Window = list[int]


@dataclass
class Unfinished:
    """A reading that has not come to its end.

    Args:
        began: When it began, Unix seconds of the service: where the bookmark moves when it ends.
        since: The second from which on it reads, None for everything.
        scope: The digest of the scope that it reads.
        lists: How far each list has been read.
    """

    began: int
    since: int | None
    scope: str
    lists: dict[str, ListPosition] = field(default_factory=dict)

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Unfinished | None:
        """The reading in a state; raises KeyError, TypeError, ValueError or AttributeError where it can't be read."""
        if document is None:
            return None
        lists = {name: ListPosition.from_json(position) for name, position in document["lists"].items()}
        since = document.get("since")
        return cls(_whole(document["began"]), None if since is None else _whole(since), _text(document["scope"]), lists)

    def to_json(self) -> dict[str, Any]:
        """The reading as the state keeps it."""
        lists = {name: position.to_json() for name, position in self.lists.items()}
        return {"began": self.began, "since": self.since, "scope": self.scope, "lists": lists}


@dataclass
class StreamBookmark:
    """One stream's part of the state.

    Args:
        replication_key: The property that the bookmark is compared with.
        replication_key_value: The bookmark, RFC 3339.
        scope: The digest of the scope that the stream was read with.
        walked: The time window of a full scan whose page boundaries are not checked yet.
        settling: The time window of the last full scan, in which events may still come late.
        seen: The events behind the bookmark that are known (`deleted_records`).
        unfinished: How far a reading that was interrupted has come.
        boundaries: The page boundaries of `walked`, packed, by list.
        links: Which links have been sent, packed (`tap_amocrm.streams.sent_links`); later parts win over earlier ones.
        owners: The same for each stream of owners, where there are several (`file_links`).
    """

    replication_key: str | None = None
    replication_key_value: str | None = None
    scope: str | None = None
    walked: Window | None = None
    settling: Window | None = None
    seen: list[str] | None = None
    unfinished: Unfinished | None = None
    boundaries: dict[str, str] | None = None
    links: list[str] | None = None
    owners: dict[str, dict[str, Any]] | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> StreamBookmark:
        """The bookmark in a stream's part of the state, checked by `check_state`.

        An interrupted reading whose position can't be read begins again.
        """
        kept = cls(**{f.name: document.get(f.name) for f in fields(cls)})
        try:
            kept.unfinished = Unfinished.from_json(document.get("unfinished"))
            kept.earlier_scans()
        except (AttributeError, KeyError, TypeError, ValueError):
            logger.warning("The state's position of an interrupted reading can't be read; the list is read again.")
            kept.unfinished = kept.boundaries = None
        return kept

    def earlier_scans(self) -> dict[str, tuple[PageBoundary, ...]]:
        """The page boundaries of full scans of earlier runs that are not checked yet, by list."""
        return {name: tuple(unpacked_boundaries(text)) for name, text in (self.boundaries or {}).items()}

    def keep_scans(self, unchecked: Mapping[str, tuple[PageBoundary, ...]]) -> None:
        """Keep the page boundaries of full scans that are still to be checked, by list."""
        times = [time for boundaries in unchecked.values() for b in boundaries for time in (b.since, b.until)]
        self.walked = [int(min(times)), int(max(times))] if times else None
        self.boundaries = {name: packed_boundaries(found) for name, found in unchecked.items()} or None

    def write(self, document: dict[str, Any]) -> None:
        """Write into a stream's part of the state.

        What is not there any more is written as null instead of left out: runners that merge a new state into the old
        one keep what the new one lacks.
        """
        for name, value in vars(self).items():
            if value is not None or name in document:
                document[name] = value.to_json() if isinstance(value, Unfinished) else value


class SeenList(NamedTuple):
    """The newest time that a list has shown, Unix seconds, and how many of its records have it; 0, 0 for an empty
    list."""

    newest: int
    records: int


@dataclass
class RememberedList:
    """When a list was read, Unix seconds, and which IDs it held: whole numbers, or pairs of entity type and number."""

    read_at: int
    ids: list[Any] = field(default_factory=list)


@dataclass
class RememberedScope:
    """The companies that were in scope, packed (`tap_amocrm.planning.scope_membership`), and the scope's digest."""

    digest: str
    companies: str


class FieldColumn(NamedTuple):
    """A custom field's column, kind and name; the column never changes."""

    column: str
    kind: str
    name: str


FieldColumns = dict[int, FieldColumn]


@dataclass
class TapMemory:
    """What a run leaves for the next one.

    Args:
        requests: How many requests the last complete run sent.
        definitions: Remembered lists by stream.
        honours: What filters were seen to do: supported or not.
        totals: How many records a list held when it was last read whole.
        scope: The companies in scope at the end of the last complete run.
        events_refused: Whether this user may not read events.
        lists: What earlier runs saw in each list.
        columns: Custom fields that have a column, by stream and ID: the column, the field's kind and name.
    """

    requests: int | None = None
    definitions: dict[str, RememberedList] = field(default_factory=dict)
    honours: dict[str, bool] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    scope: RememberedScope | None = None
    events_refused: bool = False
    lists: dict[str, SeenList] = field(default_factory=dict)
    columns: dict[str, FieldColumns] = field(default_factory=dict)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> TapMemory:
        """The memory in a state, without what can't be read."""
        document = state.get(MEMORY_KEY)
        memory = cls()
        if document is None:
            return memory
        lost = ["all"] if not isinstance(document, dict) else []
        for name, value in document.items() if isinstance(document, dict) else ():
            try:
                if name in _READ and value is not None:
                    setattr(memory, name, _READ[name](value))
            except (AttributeError, KeyError, TypeError, ValueError):
                lost.append(name)
        if lost:
            logger.warning(
                "The state's part tap_amocrm can't be read (%s); it is built again.", ", ".join(sorted(lost))
            )
        return memory

    def write(self, state: dict[str, Any]) -> None:
        """Write into a state. Other threads may continue adding to the memory meanwhile."""
        remembered = {n: {"read_at": r.read_at, "ids": list(r.ids)} for n, r in self.definitions.copy().items()}
        document: dict[str, Any] = {
            "requests": self.requests,
            "definitions": remembered,
            "honours": self.honours.copy(),
            "totals": self.totals.copy(),
            "scope": None if self.scope is None else vars(self.scope).copy(),
            "events_refused": self.events_refused or None,
            "lists": {name: list(seen) for name, seen in self.lists.copy().items()},
            "columns": {name: _written_columns(found) for name, found in self.columns.copy().items()} or None,
        }
        state[MEMORY_KEY] = {name: value for name, value in document.items() if value is not None}


def with_plain_numbers(value: Any) -> Any:
    """A state, or a part of it, as Python's own reader of JSON gives it: the SDK's makes decimals of fractions, which
    can't be written again."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: with_plain_numbers(part) for key, part in value.items()}
    return [with_plain_numbers(part) for part in value] if isinstance(value, list) else value


def check_state(state: Mapping[str, Any]) -> None:
    """See that bookmarks can be read.

    Raises:
        StateError: one can't; names the place.
    """
    for key, what in _WRAPPED.items():
        if _BOOKMARKS not in state and isinstance(state.get(key), dict):
            msg = f"The state is wrapped in {what}: pass only what it holds under {key!r}."
            raise StateError(msg, where=key)
    bookmarks = state.get(_BOOKMARKS, {})
    if not isinstance(bookmarks, dict):
        _refuse(_BOOKMARKS, bookmarks, "an object")
    for stream, bookmark in bookmarks.items():
        where = f"{_BOOKMARKS}.{stream}"
        if not isinstance(bookmark, dict):
            _refuse(where, bookmark, "an object")
        _check_bookmark(where, bookmark)
    _check_columns(state.get(MEMORY_KEY))


def _check_columns(memory: Any) -> None:
    """Names of columns are not built again: without them a renamed field would get another column."""
    columns = memory.get("columns") if isinstance(memory, dict) else None
    if columns is not None:
        try:
            _columns(columns)
        except (AttributeError, KeyError, TypeError, ValueError):
            _refuse(f"{MEMORY_KEY}.columns", columns, "columns by stream and ID of a custom field")


def _check_bookmark(where: str, bookmark: Mapping[str, Any]) -> None:
    value = bookmark.get("replication_key_value")
    if value is not None and not _is_time(value):
        _refuse(f"{where}.replication_key_value", value, "an RFC 3339 time such as 2026-01-31T00:00:00Z")
    for name in ("replication_key", "scope"):
        if not isinstance(bookmark.get(name), (str, type(None))):
            _refuse(f"{where}.{name}", bookmark[name], "a text")
    for name in ("walked", "settling"):
        window = bookmark.get(name)
        if window is not None and not (_is_list_of_numbers(window) and len(window) == 2):
            _refuse(f"{where}.{name}", window, "a list of two times in Unix seconds")
    owners = bookmark.get("owners")
    if owners is not None and not (isinstance(owners, dict) and all(isinstance(o, dict) for o in owners.values())):
        _refuse(f"{where}.owners", owners, "an object with a bookmark for each stream")
    for name, owner in (owners or {}).items():
        _check_bookmark(f"{where}.owners.{name}", owner)
    seen = bookmark.get("seen")
    if seen is not None and not (isinstance(seen, list) and all(isinstance(i, (str, int)) for i in seen)):
        _refuse(f"{where}.seen", seen, "a list of ids")


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _definitions(value: Any) -> dict[str, RememberedList]:
    return {name: RememberedList(_whole(v["read_at"]), _ids(v["ids"])) for name, v in value.items()}


def _ids(value: Any) -> list[Any]:
    """IDs of users, or pairs of an entity's kind and an ID of a field."""
    good = isinstance(value, list) and all(
        isinstance(v, (int, str))
        or (isinstance(v, list) and len(v) == 2 and all(isinstance(x, (int, str, type(None))) for x in v))
        for v in value
    )
    if not good:
        raise TypeError
    return list(value)


def _columns(value: Any) -> dict[str, FieldColumns]:
    return {stream: {int(i): _column(*c) for i, c in found.items()} for stream, found in value.items()}


def _column(*parts: Any) -> FieldColumn:
    if not all(isinstance(part, str) for part in parts):
        raise TypeError
    return FieldColumn(*parts)


def _written_columns(found: FieldColumns) -> dict[str, list[str]]:
    return {str(i): list(column) for i, column in found.copy().items()}


def _scope(value: Any) -> RememberedScope:
    digest, companies = value["digest"], value["companies"]
    if not isinstance(digest, str) or not isinstance(companies, str):
        raise TypeError
    return RememberedScope(digest, companies)


def _lists(value: Any) -> dict[str, SeenList]:
    if not all(_is_list_of_numbers(v) and len(v) == 2 for v in value.values()):
        raise TypeError
    return {name: SeenList(int(newest), int(count)) for name, (newest, count) in value.items()}


# How each part of the memory is read; they raise for what can't be.
_READ: dict[str, Any] = {
    "requests": _whole,
    "definitions": _definitions,
    "honours": lambda value: {name: _boolean(v) for name, v in value.items()},
    "totals": lambda value: {name: _whole(v) for name, v in value.items()},
    "scope": _scope,
    "events_refused": bool,
    "lists": _lists,
    "columns": _columns,
}


def _is_list_of_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) in (int, float) and whole(v) is not None for v in value)


def _is_time(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return parse_moment(value) is not None
    except (ValueError, OverflowError):
        return False


def _refuse(where: str, value: Any, expected: str) -> None:
    msg = (
        f"The state's {where} is {str(value)[:60]!r} and must be {expected}. Pass the last STATE of a run, or omit "
        f"the state to read everything."
    )
    raise StateError(msg, where=where)
