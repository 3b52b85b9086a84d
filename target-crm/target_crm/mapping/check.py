"""Holds a mapping against the live database before a row is written."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping as Mapping_
from dataclasses import replace
from typing import Any

import psycopg

from target_crm.errors import MappingError
from target_crm.mapping.catalogue import LiveColumn, LiveTable, read_columns, split_name
from target_crm.mapping.check_sets import check_set
from target_crm.mapping.check_table import (
    check_column,
    check_key,
    check_required,
    check_service,
    check_templates,
    check_written_once,
)
from target_crm.mapping.check_through import check_through
from target_crm.mapping.findings import Findings
from target_crm.mapping.model import ItemSet, Mapping, Table

__all__ = ["LiveColumn", "LiveTable", "check_mapping", "read_columns", "split_name"]


def _check_table(findings: Findings, table: Table) -> LiveTable | None:
    opened = findings.open(table, table.relation, table.line)
    if opened is None:
        return None
    live, facts = opened
    check_key(findings, table, live, facts)
    blank: dict[str, Any] = {}
    if not table.match_only:
        check_service(findings, table, live, facts)
        blank = check_required(findings, table, live, facts)
        check_written_once(findings, table)
    for column in table.columns:
        check_column(findings, table, column, live, facts)
    check_templates(findings, table, live)
    mapping = replace(table, defaults=blank | findings.defaults(table, live, facts))
    sets: dict[str, LiveTable] = {}
    prepared: list[ItemSet] = []
    for item_set in table.sets:
        found = check_set(findings, table, item_set, live)
        if found is not None:
            sets[item_set.name], given = found
            prepared.append(given)
    joins = {t.name: joined for t in table.through if (joined := check_through(findings, table, t, live))}
    through = tuple(joins[t.name][1] for t in table.through if t.name in joins)
    return replace(
        live,
        mapping=replace(mapping, sets=tuple(prepared), through=through),
        sets=sets,
        through={name: joined for name, (joined, _) in joins.items()},
    )


def naive_columns(live: Mapping_[str, LiveTable]) -> dict[str, list[str]]:
    """Columns without a time zone that are written, by the zone of their times."""
    found: dict[str, list[str]] = {}
    for table in live.values():
        mapping = table.mapping
        used = {c.name for c in mapping.columns} | {n for n in mapping.service.values() if n} | set(mapping.defaults)
        parts = [] if mapping.match_only else [(table, used)]
        parts += [
            (table.sets[s.name], {n for n in (s.created_at, s.updated_at, *s.defaults) if n}) for s in mapping.sets
        ]
        for part, names in parts:
            for column in part.columns.values():
                if column.zone is not None and column.name in names:
                    found.setdefault(column.zone, []).append(f"{part.name}.{column.name}")
    return found


def check_mapping(
    connection: psycopg.Connection[Any],
    mapping: Mapping,
    schema: str,
    planned: Collection[tuple[str, str, str]] = (),
) -> dict[str, LiveTable]:
    """Every mapped stream with its live table. `planned` are columns (schema, table, name) that statements which are
    not run yet add or mend: they are not missed.

    Raises:
        MappingError: the tables can't take what the mapping promises; all problems at once, each with file, line
            and remedy.
    """
    findings = Findings(connection, mapping, schema, planned)
    live = {stream: _check_table(findings, table) for stream, table in mapping.tables.items()}
    if findings.problems:
        raise MappingError("\n".join(findings.problems))
    return {stream: table for stream, table in live.items() if table is not None}
