"""What webhooks have brought already: an event about one of these changes is not a reason to read a list."""

from __future__ import annotations

from collections.abc import Iterable

from tap_amocrm.shapes import Record, record_id, seconds

# Events are looked at for a minute; nothing older is asked for.
_SECONDS = 120


class Brought:
    """The records that were read by their IDs lately, and the second up to which each was read with all its changes.

    A second change in the same second, whose webhook is lost, is found by the next reading of the list.
    """

    def __init__(self) -> None:
        self._until: dict[tuple[str, int], int] = {}

    def note(self, name: str, records: Iterable[Record], now: float) -> None:
        """Records of a list have been read.

        Args:
            name: The list.
            records: As the API gives them.
            now: The service's time, Unix seconds: clients may set a record's own to any.
        """
        for record in records:
            self._until[name, record_id(record)] = min(seconds(record, "updated_at"), int(now))
        if len(self._until) > 1000:
            self._until = {key: at for key, at in self._until.items() if at > now - _SECONDS}

    def has(self, name: str, identity: int | None, at: int) -> bool:
        """Whether a record of a list was read with what happened to it at a second."""
        return identity is not None and self._until.get((name, identity), -1) >= at
