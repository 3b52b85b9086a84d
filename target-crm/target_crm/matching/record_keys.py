"""The keys by which records are compared with rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import msgspec

from target_crm.errors import RecordError
from target_crm.mapping.catalogue import LiveColumn
from target_crm.mapping.check import LiveTable
from target_crm.mapping.match_rules import Part, Rule
from target_crm.mapping.model import Column
from target_crm.normalise import Context
from target_crm.normalise.match_keys import SEVERAL, joined, match_keys
from target_crm.records.column_readers import Reader, compile_column
from target_crm.records.decoder import FieldIndex, FieldIndexer, Record, RecordDecoder, wanted_keys
from target_crm.records.envelope import SeenRecord

_FAULTS = (ValueError, OverflowError, TypeError, msgspec.MsgspecError, RecordError)
_TEXT = LiveColumn("", "text", "text", None, required=False)


def rule_keys(values: Sequence[Sequence[str]]) -> list[str]:
    """The keys of a rule from those of its parts; none unless each part has one."""
    if len(values) == 1:
        return list(values[0])
    return [joined(list(one)) for one in product(*values)]


class RecordKeys:
    """Reads the keys of one stream's records.

    Args:
        live: The table that they are compared with.
        rules: By which rules.
        context: Region and time zone.
    """

    def __init__(self, live: LiveTable, rules: Sequence[Rule], context: Context) -> None:
        self._rules, self._region = rules, context.region
        sources = {part: self._sources(part) for rule in rules for part in rule.parts}
        paths = [path for columns in sources.values() for column in columns for path in column.path]
        fields = [key for columns in sources.values() for column in columns for key in wanted_keys(column.fields)]
        self._decoder = RecordDecoder([*paths, "entity_type"], with_fields=bool(fields))
        self._indexer = FieldIndexer(fields) if fields else None
        self._readers: dict[Part, list[Reader]] = {
            part: [
                compile_column(
                    column, _TEXT if part.kind in SEVERAL else live.columns[column.name], self._decoder, context
                )
                for column in columns
            ]
            for part, columns in sources.items()
        }

    @staticmethod
    def _sources(part: Part) -> list[Column]:
        """Of phones and e-mails all that a record has, whichever of them a column takes."""
        if part.kind not in SEVERAL:
            return list(part.columns)
        found = [
            c if c.template else Column(c.name, path=c.path, fields=c.fields, part=c.part, transform="text")
            for c in part.columns
        ]
        return found + [Column(s.name, fields=s.fields, transform="text") for s in part.sets]

    def read(self, records: Sequence[SeenRecord]) -> Iterator[list[tuple[int, str]]]:
        """For each record its keys, each with its rule's number; of values that can't be read there are none."""
        for record in records:
            try:
                decoded = self._decoder.decode(record.raw)
                index = [self._indexer.index(decoded)] if self._indexer else []
            except _FAULTS:
                yield []
                continue
            parts = {part: self._part(part, decoded, index) for part in self._readers}
            yield [(rule.number, key) for rule in self._rules for key in rule_keys([parts[p] for p in rule.parts])]

    def _part(self, part: Part, record: Record, index: Sequence[FieldIndex]) -> list[str]:
        found: dict[str, None] = {}
        for read in self._readers[part]:
            try:
                (value,) = read([record], index)
            except _FAULTS:
                continue
            found |= dict.fromkeys(match_keys(part.kind, value, self._region))
        return list(found)
