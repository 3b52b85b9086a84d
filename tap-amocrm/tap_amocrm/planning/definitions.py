"""Users, custom fields and tags, which not every run reads again: those of an earlier run are valid for some time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from tap_amocrm.declarations import CUSTOM_FIELDS, DECLARATIONS, USERS
from tap_amocrm.shapes import Record, items, record_id, text, whole
from tap_amocrm.state import RememberedList

# Of these the ids are remembered; of the others only when they were read.
_WATCHED = tuple(d.name for d in DECLARATIONS if d.remembered and d.named_by)
# Servers of one service may differ so much.
_SKEW = 5.0
logger = logging.getLogger("tap-amocrm")


class Definitions:
    """Remembers in the state when each list was read and which ids it held.

    A record that names an id which is not among them makes the list be read again, in the same run.

    Args:
        memory: Its part of the state.
        lifetime: Seconds for which a list is good.
        now: The earliest time that it can be at the service, and the smallest that it has sent in this run, Unix
            seconds; None where it sends none.
    """

    def __init__(
        self, memory: dict[str, RememberedList], lifetime: int, now: Callable[[], tuple[float, float] | None]
    ) -> None:
        self._memory, self._lifetime, self._now = memory, lifetime, now
        # What was decided of each list, once for the whole run.
        self._good_lists: dict[str, bool] = {}
        # Lists that were read in this run and whose records may not have left yet.
        self._read: dict[str, RememberedList] = {}
        self._known: dict[str, set[Any]] = {}
        self._strange: dict[str, set[Any]] = {}
        # Lists read in this run: what they lack no list shows (users who left, say).
        self._fresh: set[str] = set()

    def pages(self, name: str, read: Callable[[], Iterator[list[Record]]]) -> Iterator[list[Record]]:
        """The list's pages, or none while it is good."""
        if self.is_good(name):
            self._known[name] = {_key(k) for k in self._memory[name].ids}
            return
        yield from self._remembered(name, read())

    def is_good(self, name: str) -> bool:
        """Whether the list is not read in its turn, since that of an earlier run still holds."""
        if name not in self._good_lists:
            remembered = self._memory.get(name)
            self._good_lists[name] = bool(remembered and self._lifetime and self._good(name, remembered.read_at))
        return self._good_lists[name]

    def _good(self, name: str, read_at: float) -> bool:
        """Whether a list that was read at a time need not be read again."""
        now = self._now()
        if now is None:
            return False
        earliest, smallest = now
        if read_at > smallest + _SKEW:
            logger.warning(
                "%s: the time of the last reading is later than amoCRM's clock; the list is read again.", name
            )
            return False
        return earliest - read_at < self._lifetime

    def again(self, name: str, read: Callable[[], Iterator[list[Record]]]) -> Iterator[list[Record]]:
        """Read a list for which an unknown id turned up. What it does not show either is not asked for again."""
        known = self._memory.get(name)
        self._good_lists[name] = False
        strange = self._strange.pop(name, set()) | {_key(k) for k in (known.ids if known else ())}
        yield from self._remembered(name, read())
        if name in self._read:
            self._read[name].ids = sorted({*map(_key, self._read[name].ids), *strange}, key=str)

    def _remembered(self, name: str, source: Iterator[list[Record]]) -> Iterator[list[Record]]:
        ids: list[Any] = []
        come = 0
        for records in source:
            come += len(records)
            if name in _WATCHED:
                ids += [
                    record_id(r) if name == USERS.name else [text(r.get("entity_type")), record_id(r)] for r in records
                ]
            yield records
        if come:
            now = self._now()
            self._read[name] = RememberedList(int(now[0]) if now else 0, ids)
            self._known[name] = {_key(k) for k in ids}
            self._fresh.add(name)

    def written(self, name: str) -> None:
        """All records of a list have left: the next run need not read it, if it is good for so long."""
        if name in self._read:
            self._memory[name] = self._read[name]

    def watch(self, stream: str, records: list[Record]) -> None:
        """Look for ids that the remembered lists do not hold."""
        if not self._known:
            return
        users, fields = self._known.get(USERS.name), self._known.get(CUSTOM_FIELDS.name)
        for record in records:
            if users is not None:
                for name in USERS.named_by:
                    value = whole(record.get(name))
                    if value and value not in users:
                        self._note(USERS.name, value)
            if fields is not None:
                for field in (f for name in CUSTOM_FIELDS.named_by for f in items(record.get(name))):
                    field_id = whole(field.get("field_id"))
                    if field_id is not None and (stream, field_id) not in fields:
                        self._note(CUSTOM_FIELDS.name, (stream, field_id))

    @property
    def unknown(self) -> list[str]:
        """Lists that lack an id which some record names."""
        return sorted(self._strange)

    def _note(self, name: str, key: Any) -> None:
        self._known[name].add(key)
        if name in self._fresh:
            self._read[name].ids.append(key)
        else:
            self._strange.setdefault(name, set()).add(key)


def _key(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
