"""What checking a mapping against the live database finds, and the checks that tables and sets share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from target_crm.mapping import fits
from target_crm.mapping.catalogue import (
    Columns,
    Facts,
    LiveColumn,
    LiveTable,
    read_columns_of,
    read_facts_of,
    split_name,
)
from target_crm.mapping.load import is_zone
from target_crm.mapping.model import Expression, ItemSet, Mapping, Table, Through

_NO_TABLES = {"v": "a view", "m": "a materialised view", "f": "a foreign table"}


def _relations(mapping: Mapping) -> Iterator[str]:
    """The tables that a mapping names."""
    for table in mapping.tables.values():
        yield table.relation
        yield from (item_set.relation for item_set in table.sets)
        yield from (through.relation for through in table.through)


class Findings:
    """Problems of one mapping, collected so that all of them are reported at once."""

    def __init__(self, connection: psycopg.Connection[Any], mapping: Mapping, schema: str) -> None:
        self.connection, self.mapping, self.schema = connection, mapping, schema
        self.problems: list[str] = []
        places = {split_name(name, schema) for name in _relations(mapping)}
        self._columns, self._facts = read_columns_of(connection, places), read_facts_of(connection, places)

    def problem(self, line: int | None, text: str) -> None:
        """Note a problem; checking continues."""
        place = self.mapping.source_name + (f", line {line}" if line else "")
        self.problems.append(f"{place}: {text}")

    def alter(self, live: LiveTable, change: str, *names: str) -> str:
        """An ALTER TABLE that a person can paste."""
        text = sql.SQL("ALTER TABLE {} " + change).format(live.identifier, *map(sql.Identifier, names))
        return text.as_string(self.connection)

    def open(self, mapping: Table, name: str, line: int | None) -> tuple[LiveTable, Facts] | None:
        """A table that rows can be written to, with what the database says of it."""
        schema, table = split_name(name, self.schema)
        columns: dict[str, LiveColumn] = self._columns[schema, table]
        if not columns:
            self.problem(line, f"table {schema}.{table} does not exist; create it or correct the name.")
            return None
        facts = self._facts[schema, table]
        if facts.kind in _NO_TABLES:
            self.problem(
                line, f"{schema}.{table} is {_NO_TABLES[facts.kind]}, not a table; name the table that holds the rows."
            )
            return None
        if facts.row_security:
            self.problem(
                line,
                f"row-level security hides rows of {schema}.{table} from this role; load with a role that has "
                "BYPASSRLS, or that owns the table.",
            )
        for rule in facts.rules:
            self.problem(
                line,
                f"table {schema}.{table} has the rule {rule}, which PostgreSQL applies to whole statements and not to "
                "the rows of a load; make it a trigger, and drop the rule.",
            )
        columns = Columns({name: self.zoned(column, f"{schema}.{table}", line) for name, column in columns.items()})
        return LiveTable(mapping, schema, table, columns, {}, facts.has_versions, facts.rewrites), facts

    def zoned(self, column: LiveColumn, where: str, line: int | None) -> LiveColumn:
        """The column; one without a time zone with that in which its times are written."""
        if column.zone is None:
            return column
        zone = self.mapping.naive_timezone or column.zone
        if not is_zone(zone):
            self.problem(
                line,
                f"column {where}.{column.name} has no time zone, and the database's own, {zone}, has no known name; "
                "set naive_timezone to the zone in which the CRM writes (Europe/Moscow).",
            )
            return replace(column, zone="UTC")
        return replace(column, zone=zone)

    def missing(self, table: Table, live: LiveTable, name: str, role: str, kind: str) -> None:
        """Note a column that the table lacks."""
        added = self.alter(live, f"ADD COLUMN {{}} {kind}", name)
        null = ", or null for none" if role.startswith("service") and not role.endswith("raw_fields") else ""
        self.problem(
            table.line, f"table {live.name} has no column {name} ({role}); add it ({added}), or name another{null}."
        )

    def points_at(self, line: int | None, live: LiveTable, name: str, parent: Table, facts: Facts) -> None:
        """A column that holds another row's key: of its type, and of that table by its foreign key, too."""
        found = live.columns[name]
        schema, table = split_name(parent.relation, self.schema)
        key = self._columns[schema, table].get(parent.id)
        if key and key.family != found.family:
            self.problem(
                line,
                f"column {live.name}.{name} is {found.type_sql}, but {table}.{parent.id}, which it links to, "
                f"is {key.type_sql}; change one of them.",
            )
        target = facts.references.get(name)
        if key and target is not None and target != (schema, table):
            self.problem(
                line,
                f"column {live.name}.{name} references {'.'.join(target)}, but stream {parent.stream} goes to "
                f"{schema}.{table}; name the right column or stream.",
            )

    def columns_of(self, relation: str) -> dict[str, LiveColumn]:
        """The columns of a table that the mapping names."""
        return self._columns[split_name(relation, self.schema)]

    def expression(self, line: int | None, where: str, value: Expression, column: LiveColumn) -> None:
        """A default in SQL: that it gives one value of the column's type. It is worked out, and nothing is written."""
        query = sql.SQL("SELECT ({})::{}").format(sql.SQL(value.text), sql.SQL(column.type_sql))
        try:
            with self.connection.transaction(force_rollback=True):
                row = self.connection.execute(query).fetchone()
        except psycopg.Error as error:
            self.problem(
                line, f"defaults: {where}: the database rejects the SQL: {error.diag.message_primary}; correct it."
            )
            return
        if row is not None and row[0] is None and column.not_null:
            self.problem(line, f"defaults: {where} is NOT NULL, but the SQL gives nothing; correct it.")

    def takes_blank(self, column: LiveColumn, facts: Facts) -> bool:
        """Whether a NOT NULL column can hold '' for nothing: a text that need not differ from row to row."""
        if column.family != "text" or frozenset({column.name}) in facts.distinct:
            return False
        return fits.value_problem(self.connection, "", column, facts.checks.get(column.name, ())) is None

    def defaults(self, table: Table | ItemSet | Through, live: LiveTable, facts: Facts) -> dict[str, Any]:
        """The fixed values as the database takes them."""
        checked: dict[str, Any] = {}
        for name, value in table.defaults.items():
            line = table.default_lines.get(name, table.line)
            column = live.columns.get(name)
            if column is None:
                there = ", ".join(sorted(live.columns))
                self.problem(line, f"defaults: table {live.name} has no column {name}; it has {there}.")
                continue
            if isinstance(value, Expression):
                self.expression(line, f"{live.name}.{name}", value, column)
                checked[name] = value
                continue
            problem = fits.value_problem(self.connection, value, column, facts.checks.get(name, ()))
            shared = next((u for u in facts.distinct if u <= table.defaults.keys() and name == min(u)), None)
            if problem is None and shared is not None and value is not None:
                self.problem(
                    line,
                    f"defaults: {live.name}.{', '.join(sorted(shared))} must differ from row to row (it is unique), "
                    "but a fixed value is the same in all; remove it here and let the database fill it in "
                    f"({self.alter(live, 'ALTER COLUMN {} SET DEFAULT ...', name)}).",
                )
            if problem:
                self.problem(line, f"defaults: {live.name}.{name} can't be {value!r}: {problem}; correct it.")
            checked[name] = fits.prepared(value, column)
        return checked
