"""Which versions of records have left already: what a reading finds once more, looking back, need not leave again."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from tap_amocrm.shapes import Record
from tap_amocrm.singer_io.writer import encode

Key = tuple[Any, Any]


class Versions:
    """The last version of each record that has left, of those that recent readings of a stream have shown.

    What two readings in a row do not show is forgotten: memory is that of the records which changed within
    `lookback_seconds`.

    Args:
        of_parents: Whether IDs are unique only together with `entity_type`.
    """

    def __init__(self, *, of_parents: bool) -> None:
        self._of_parents = of_parents
        self._before: dict[Key, bytes] = {}
        self._now: dict[Key, bytes] = {}

    def __len__(self) -> int:
        return len(self._before) + len(self._now)

    def begin(self) -> None:
        """A reading begins."""
        self._before, self._now = self._now, {}

    def forget(self) -> None:
        """Not all that was read has left: let everything leave once more."""
        self._before, self._now = {}, {}

    def fresh(self, records: list[Record]) -> list[Record]:
        """Those records whose last version that left was another one; they leave now."""
        found = []
        for record in records:
            key, version = self._key(record), _version(record)
            if self._now.get(key, self._before.get(key)) != version:
                found.append(record)
            self._now[key] = version
        return found

    def _key(self, record: Record) -> Key:
        return (record.get("entity_type") if self._of_parents else None, record.get("id"))


def _version(record: Record) -> bytes:
    return blake2b(encode(record), digest_size=16).digest()
