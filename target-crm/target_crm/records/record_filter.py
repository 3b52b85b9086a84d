"""Which records the word `where` of the mapping lets through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from target_crm.errors import CellError
from target_crm.mapping.model import Condition
from target_crm.normalise.custom_fields import is_empty, readable
from target_crm.normalise.text import same_key
from target_crm.records.decoder import RecordDecoder


class RecordFilter:
    """The conditions of one stream; a record must meet all of them."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._decoder = RecordDecoder([c.path for c in conditions], with_fields=False)
        self._conditions = [
            (self._decoder.reader(c.path), frozenset(map(same_key, c.values)), c.is_not) for c in conditions
        ]

    def takes(self, raw: bytes) -> bool:
        """Whether the record meets the conditions.

        Raises:
            RecordError, msgspec.DecodeError: it is not a JSON object.
        """
        record = self._decoder.decode(raw)
        for read, wanted, is_not in self._conditions:
            try:
                (value,) = read([record])
            except CellError:
                value = None
            if wanted.isdisjoint(_said(value)) is not is_not:
                return False
        return True


def _said(value: Any) -> set[str]:
    """What a value says, as the mapping writes it; of a list what each of its items says."""
    if is_empty(value):
        return {""}
    if isinstance(value, list):
        return {text for item in value for text in _said(item)}
    if isinstance(value, bool):
        return {"true" if value else "false"}
    return {same_key(readable(value) or "")}
