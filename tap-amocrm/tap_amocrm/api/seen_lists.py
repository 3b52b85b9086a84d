"""What earlier runs saw in each list, so that an empty answer is believed only where it can be true."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tap_amocrm.shapes import Record, record_id, whole
from tap_amocrm.state import SeenList

logger = logging.getLogger("tap-amocrm")
# More records of one second are not read again only to see that the list is there.
_MOST_IN_A_SECOND = 20
_EMPTY = SeenList(0, 0)


def time_of(record: Mapping[str, Any], name: str = "updated_at") -> int | None:
    """A record's time in Unix seconds; None where it holds none."""
    return whole(record.get(name))


class Lists:
    """For each list its newest time and how many records have it, kept in the state.

    Reading that begins at that time finds at least one record, so that nothing as an answer is a fault. `doubted` are
    the lists that answered nothing in this run although they hold records: their bookmarks must not move.
    """

    def __init__(self, memory: dict[str, SeenList]) -> None:
        self._memory = memory
        self.doubted: set[str] = set()

    def known_empty(self, name: str) -> bool:
        """Whether the whole list was read and held no record: all of it is read again, which costs nothing."""
        return self._memory.get(name) == _EMPTY

    def anchor(self, name: str) -> int | None:
        """A time from which the list holds a few records at least; None where none is known."""
        newest, count = self._memory.get(name, _EMPTY)
        return newest if newest and count <= _MOST_IN_A_SECOND else None

    def holds_records(self, name: str) -> bool:
        """Whether records of the list have been seen."""
        return bool(self._memory.get(name, _EMPTY).newest)

    def seen(
        self, name: str, pages: Iterable[list[Record]], now: float, field: str = "updated_at"
    ) -> Iterator[list[Record]]:
        """Pages as they come; what they show is remembered.

        Args:
            name: Of the list.
            pages: Of its records.
            now: The service's time, Unix seconds; later times are not those of changes.
            field: The property with a record's time.
        """
        newest, counted = self._memory.get(name, _EMPTY)
        ids: set[Any] = set()
        for records in pages:
            for record in records:
                at = time_of(record, field)
                if at is None or at > now or at < newest:
                    continue
                if at > newest:
                    newest, ids = at, set()
                ids.add(record_id(record))
            if newest:  # also where reading is interrupted: the next run continues behind these pages
                self._memory[name] = SeenList(newest, len(ids) or counted)
            yield records

    def doubt(self, name: str) -> None:
        """Note that a list that held records answered nothing."""
        if name not in self.doubted:
            self.doubted.add(name)
            logger.warning(
                "%s: amoCRM returned an empty list, although the list held records before. The bookmark does not "
                "move; the next run reads it again.",
                name,
            )

    def note(self, name: str, newest: int) -> None:
        """The list's newest record has this time."""
        self._memory[name] = SeenList(newest, 1)

    def forget(self, name: str) -> None:
        """The records of the newest time are gone."""
        self._memory.pop(name, None)

    def empty(self, name: str) -> None:
        """The list holds no record: the next run reads all of it."""
        self._memory[name] = _EMPTY
