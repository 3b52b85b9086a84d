"""The columns of all streams with custom fields (setting custom_fields: columns)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tap_amocrm.api.field_columns import Columns
from tap_amocrm.shapes import Record, record_id, text
from tap_amocrm.state import FieldColumns


class ColumnBook:
    """Hands out the columns of each stream, and takes definitions of fields.

    Args:
        memory: The columns of earlier runs by stream; new ones are added there.
        zone: The account's time zone; UTC where it is unknown.
    """

    def __init__(self, memory: dict[str, FieldColumns], zone: str) -> None:
        self._memory = memory
        try:
            self._zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._zone = timezone.utc  # type: ignore[assignment]
        self._columns: dict[str, Columns] = {}

    def of(self, stream: str) -> Columns:
        """The columns of a stream."""
        if stream not in self._columns:
            self._columns[stream] = Columns(stream, self._memory.setdefault(stream, {}), self._zone)
        return self._columns[stream]

    def knows(self, streams: Iterable[str]) -> bool:
        """Whether earlier runs have seen the fields of all these streams."""
        return all(self._memory.get(stream) for stream in streams)

    def define(self, fields: Iterable[Record]) -> None:
        """Take definitions over, older ones first: of two of one name the older keeps it."""
        for field in sorted(fields, key=record_id):
            self.of(text(field.get("entity_type"))).define(field)

    def warn(self) -> None:
        """Say which values were left out."""
        for columns in self._columns.values():
            columns.warn()
