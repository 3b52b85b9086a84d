"""Reads which records a record links to through a join table."""

from __future__ import annotations

from typing import Any

from target_crm.errors import CellError
from target_crm.mapping.model import Through
from target_crm.normalise.custom_fields import flat, is_empty
from target_crm.normalise.numbers import as_integer, source_number
from target_crm.records.decoder import Record, RecordDecoder

_BIGINT = 1 << 63


class LinkReader:
    """Reads one join table's ids."""

    def __init__(self, through: Through, decoder: RecordDecoder) -> None:
        self.through = through
        self._read = decoder.reader(through.path[0])
        self._find_missing = decoder.missing(through.path)
        self._is_list = "[" in through.path[0]
        self._read_entity = decoder.reader("entity_type") if through.when_entity else None

    def read(self, record: Record) -> list[int] | None:
        """The ids, each once; None where the record says nothing of them.

        Raises:
            CellError: one of them is not an id.
        """
        if self._find_missing([record]):
            return None
        if self._read_entity and self._read_entity([record]) != [self.through.when_entity]:
            return []
        (value,) = self._read([record])
        if value is None and self._is_list:
            return None
        given = flat(value if isinstance(value, list) else [value])
        return list(dict.fromkeys(number for one in given if (number := self._number(one)) is not None))

    def _number(self, value: Any) -> int | None:
        if is_empty(value):
            return None
        if self.through.numbers_text:
            return source_number(value)
        try:
            number = as_integer(value)
        except ValueError:
            raise CellError("W_NOT_AN_ID", value=value) from None
        return number if 0 < number < _BIGINT else None
