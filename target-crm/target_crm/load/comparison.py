"""Notes what comes of a whole account, so that it can be compared with the CRM before the load is rolled back."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from target_crm.database.session import PinnedConnection
from target_crm.mapping.check import LiveTable
from target_crm.mapping.paths import CUSTOM_FIELDS, split_path
from target_crm.merge.copy_format import dump_column
from target_crm.merge.copying import copy_in
from target_crm.normalise import Context
from target_crm.normalise.custom_fields import is_empty
from target_crm.records.decoder import field_name, wanted_keys
from target_crm.records.envelope import SeenRecord
from target_crm.sql import comparison as statements

_decode = msgspec.json.Decoder().decode
# Of every record; what the loader keeps in its own columns; where to find the record again.
_PLAIN = {"id", "account_id", "created_at", "updated_at", "is_deleted", "_links", "_embedded", CUSTOM_FIELDS}
_LONGEST_NAME = 200


@dataclass(frozen=True)
class LeftOver:
    """What records hold and no column takes: a custom field or a property. `code` and `type` are those of a field."""

    name: str
    code: str | None = None
    type: str | None = None


@dataclass(frozen=True)
class Sampled:
    """A record that is shown beside its row."""

    stream: str
    record: SeenRecord
    context: Context


@dataclass
class Comparison:
    """What a load takes note of that only compares: it merges every record as if nothing were known of it, and is
    rolled back.

    The keys go into temporary tables; kept in memory are names of fields and the sampled records.

    Args:
        samples: How many records of each table are sampled.
    """

    samples: int = 3
    left_over: dict[tuple[str, str, str], LeftOver] = field(default_factory=dict)
    # Records of streams that go nowhere, by stream.
    passed: Counter[str] = field(default_factory=Counter)
    _chosen: dict[str, list[tuple[int, int, Sampled]]] = field(default_factory=dict)
    _mapped: dict[str, _Mapped] = field(default_factory=dict)
    _is_prepared: bool = False

    def prepare(self, connection: PinnedConnection) -> None:
        """Make the temporary tables."""
        if not self._is_prepared:
            connection.execute(statements.CREATE)
            self._is_prepared = True

    def keep(
        self, connection: PinnedConnection, live: LiveTable, records: Sequence[SeenRecord], context: Context
    ) -> None:
        """Note records of one table, within the transaction of the run."""
        self.prepare(connection)
        table = live.mapping.table
        keys = [table] * len(records), [r.account_id for r in records], [r.amo_id for r in records]
        copy_in(connection, statements.COPY_CAME.as_bytes(connection), [dump_column(values) for values in keys])
        mapped = self._mapped.setdefault(live.mapping.stream, _Mapped(live))
        left: list[tuple[str, int, int, str, str]] = []
        for record in records:
            for kind, name, found in mapped.left_over(_decode(record.raw)):
                self.left_over.setdefault((table, kind, name), found)
                left.append((table, record.account_id, record.amo_id, kind, name))
            self._sample(table, Sampled(live.mapping.stream, record, context))
        if left:
            columns = [dump_column(values) for values in zip(*left, strict=True)]
            copy_in(connection, statements.COPY_LEFT_OVER.as_bytes(connection), columns)

    def _sample(self, table: str, sampled: Sampled) -> None:
        """Keep the records with the largest hashes: as good as any choice, and the same each time."""
        chosen, record = self._chosen.setdefault(table, []), sampled.record
        entry = (record.hash, record.seq, sampled)
        if len(chosen) < self.samples:
            heapq.heappush(chosen, entry)
        elif chosen and entry[:2] > chosen[0][:2]:
            heapq.heapreplace(chosen, entry)

    def sampled(self, table: str) -> list[Sampled]:
        """The records of a table that are shown, in the order of their ids; of a record its newest version."""
        newest = {s.record.key: s for _, _, s in sorted(self._chosen.get(table, ()), key=lambda entry: entry[1])}
        return [newest[key] for key in sorted(newest)]


class _Mapped:
    """What of a stream's records goes into columns."""

    def __init__(self, live: LiveTable) -> None:
        table = live.mapping
        paths = [path for column in table.columns for path in column.path]
        paths += [path for item_set in table.sets for path in item_set.path]
        paths += [path for through in table.through for path in through.path]
        steps = [split_path(path) for path in paths]
        self._properties = {parts[0].partition("[")[0] for parts in steps if parts}
        self._embedded = {p[1].partition("[")[0] for p in steps if len(p) > 1 and p[0] == "_embedded"}
        self._properties |= {table.record.id, table.record.account, table.record.updated_at, table.record.created_at}
        self._takes_all = CUSTOM_FIELDS in self._properties
        wanted = [*(c.fields for c in table.columns), *(s.fields for s in table.sets)]
        self._fields = {str(key) for fields in wanted for key in wanted_keys(fields)}

    def left_over(self, record: Any) -> list[tuple[str, str, LeftOver]]:
        """Kind, name and description of what has a value and no column."""
        if not isinstance(record, dict):
            return []
        found = [
            ("property", name[:_LONGEST_NAME], LeftOver(name))
            for name, value in record.items()
            if name not in _PLAIN and name not in self._properties and not is_empty(value) and value != {}
        ]
        embedded = record.get("_embedded")
        if isinstance(embedded, dict) and "_embedded" not in self._embedded:
            found += [
                ("property", f"_embedded.{name}"[:_LONGEST_NAME], LeftOver(f"_embedded.{name}"))
                for name, value in embedded.items()
                if name not in self._embedded and not is_empty(value)
            ]
        fields = record.get(CUSTOM_FIELDS)
        if isinstance(fields, list) and not self._takes_all:
            found += [one for given in fields if isinstance(given, dict) and (one := self._field(given))]
        return found

    def _field(self, given: dict[str, Any]) -> tuple[str, str, LeftOver] | None:
        identity, code, name = given.get("field_id"), given.get("field_code"), given.get("field_name")
        keys = {str(identity), str(code), field_name(name) if isinstance(name, str) else ""}
        if keys & self._fields or not given.get("values"):
            return None
        about = LeftOver(
            str(name or identity), code if isinstance(code, str) else None, str(given.get("field_type") or "")
        )
        return "field", str(identity)[:_LONGEST_NAME], about
