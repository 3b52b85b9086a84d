"""Watches whether the mapping's sources can hold anything: properties of the SCHEMA, custom fields of the account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from target_crm.errors import MappingError
from target_crm.mapping.check import LiveTable
from target_crm.mapping.paths import split_path
from target_crm.normalise.numbers import number_text
from target_crm.problems import Problem
from target_crm.records.decoder import field_name, wanted_keys

FIELDS_STREAM = "custom_fields"
# How tap-amocrm says in its SCHEMA messages whether custom fields come as an array or as columns.
_FIELDS_KEY = "x-amocrm-custom-fields"
# A SCHEMA with fewer properties describes little more than the key.
_LEAST_PROPERTIES = 4


def _takes_fields(live: LiveTable) -> bool:
    table = live.mapping
    return any(column.fields for column in table.columns) or any(child.fields for child in table.sets)


class SourceWatch:
    """Collects what a run's SCHEMAs and list of custom fields say, and holds the mapping against it.

    Args:
        live: The mapped tables by stream.
        is_own: Whether the mapping is the user's own; the built-in one names fields that an account may lack.
    """

    def __init__(self, live: Mapping[str, LiveTable], *, is_own: bool) -> None:
        self._live = live
        self._is_own = is_own
        self._without_zone: Problem | None = None
        self._unknown: dict[tuple[str, str, str], Problem] = {}
        # By stream the names under which its custom fields may be looked for.
        self._fields: dict[str, set[str]] = {}

    def no_zone(self, stream: str, zone: Any) -> None:
        """The SCHEMA of a mapped stream names no time zone of the account."""
        if self._without_zone is None and any(not live.mapping.record.is_foreign for live in self._of(stream)):
            self._without_zone = Problem("W_NO_TIME_ZONE", {"stream": stream, "zone": str(zone)})

    def see_schema(self, stream: str, schema: Mapping[str, Any]) -> None:
        """Note the mapped properties that the SCHEMA does not have.

        Raises:
            MappingError: custom fields come as columns, and the mapping takes them from `custom_fields_values`.
        """
        if schema.get(_FIELDS_KEY) == "columns" and any(map(_takes_fields, self._of(stream))):
            raise MappingError.of("E_FIELDS_AS_COLUMNS", stream=stream)
        properties = schema.get("properties")
        if not self._is_own or not isinstance(properties, dict) or len(properties) < _LEAST_PROPERTIES:
            return
        for live in self._of(stream):
            for column in live.mapping.columns:
                for name in {split_path(path)[0].partition("[")[0] for path in column.path} - properties.keys():
                    near = next(iter(get_close_matches(name, properties, 1)), None)
                    args = {"stream": stream, "column": f"{live.mapping.table}.{column.name}", "property": name}
                    problem = Problem("W_PROPERTY_UNKNOWN", {**args, "nearest": near})
                    self._unknown[live.mapping.stream, column.name, name] = problem

    def _of(self, stream: str) -> list[LiveTable]:
        """The mapped tables that take records of a stream of the input."""
        return [live for live in self._live.values() if live.mapping.reads == stream]

    def see_field(self, record: Mapping[str, Any]) -> None:
        """Note a custom field of the account."""
        stream = record.get("entity_type")
        if not self._is_own or not isinstance(stream, str):
            return
        known = self._fields.setdefault(stream, set())
        number, code, name = record.get("id"), record.get("code"), record.get("name")
        if number is not None:
            known |= {number_text(number)}
        known |= {text for text in (code,) if isinstance(text, str)}
        known |= {field_name(text) for text in (name,) if isinstance(text, str)}

    def notices(self) -> Iterator[Problem]:
        """What should be looked at."""
        if self._without_zone is not None:
            yield self._without_zone
        yield from self._unknown.values()
        for stream, known in self._fields.items():
            for live in self._of(stream):
                yield from self._unknown_fields(stream, live, known)

    @staticmethod
    def _unknown_fields(stream: str, live: LiveTable, known: set[str]) -> Iterator[Problem]:
        table = live.mapping
        parts = [(f"{table.table}.{c.name}", c.fields) for c in table.columns if c.fields]
        parts += [(s.table, s.fields) for s in table.sets]
        for column, fields in parts:
            if any(str(key) in known for key in wanted_keys(fields)):
                continue
            near = [n for f in fields for n in get_close_matches(field_name(str(f)), sorted(known), 1)]
            args = {"stream": stream, "column": column, "fields": ", ".join(map(str, fields))}
            yield Problem("W_FIELD_UNKNOWN", {**args, "nearest": near[0] if near else None})
