"""Holds a mapping against the live database before a row is written."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Mapping_
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from target_crm.errors import MappingError
from target_crm.mapping import fits
from target_crm.mapping.catalogue import (
    Facts,
    LiveColumn,
    LiveTable,
    has_versions,
    read_columns,
    read_facts,
    split_name,
)
from target_crm.mapping.load import is_zone
from target_crm.mapping.model import Column, ItemSet, Mapping, Table

__all__ = ["LiveColumn", "LiveTable", "check_mapping", "read_columns", "split_name"]
_NO_TABLES = {"v": "a view", "m": "a materialised view", "f": "a foreign table"}
_KEY_FAMILIES = ("integer", "uuid", "text")
# What each role of a related table's columns holds, and whether an item may have none of it.
_SET_FAMILIES = {"value": "text", "comment": "text", "type": "text", "position": "integer", "source": "text"}
# A text that is not a number or an address goes to comment; most items have no comment; amoCRM may send no type.
_MAY_BE_EMPTY = frozenset({"value", "comment", "type"})
# The longest that amoCRM lets people type into such a field, and its longest kind.
_SET_LENGTHS = {"comment": 255, "type": 16, "source": 16}


class _Checker:
    def __init__(self, connection: psycopg.Connection[Any], mapping: Mapping, schema: str) -> None:
        self.connection, self.mapping, self.schema = connection, mapping, schema
        self.problems: list[str] = []

    def problem(self, line: int | None, text: str) -> None:
        place = self.mapping.source_name + (f", line {line}" if line else "")
        self.problems.append(f"{place}: {text}")

    def alter(self, live: LiveTable, change: str, *names: str) -> str:
        """An ALTER TABLE that a person can paste."""
        text = sql.SQL("ALTER TABLE {} " + change).format(live.identifier, *map(sql.Identifier, names))
        return text.as_string(self.connection)

    def open(self, mapping: Table, name: str, line: int | None) -> tuple[LiveTable, Facts] | None:
        """A table that rows can be written to, with what the database says of it."""
        schema, table = split_name(name, self.schema)
        columns = read_columns(self.connection, schema, table)
        if not columns:
            self.problem(line, f"there is no table {schema}.{table}; create it or correct the name.")
            return None
        facts = read_facts(self.connection, schema, table)
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
        columns = {name: self.zoned(column, f"{schema}.{table}", line) for name, column in columns.items()}
        versions = has_versions(self.connection, schema, table)
        return LiveTable(mapping, schema, table, columns, {}, versions, facts.rewrites), facts

    def zoned(self, column: LiveColumn, where: str, line: int | None) -> LiveColumn:
        """The column; one without a time zone with that in which its times are written."""
        if column.zone is None:
            return column
        zone = self.mapping.naive_timezone or column.zone
        if not is_zone(zone):
            self.problem(
                line,
                f"column {where}.{column.name} has no time zone, and the database's own, {zone}, is not known by name; "
                "name the one that the CRM writes in under naive_timezone (Europe/Moscow).",
            )
            return replace(column, zone="UTC")
        return replace(column, zone=zone)

    def table(self, table: Table) -> LiveTable | None:
        opened = self.open(table, table.table, table.line)
        if opened is None:
            return None
        live, facts = opened
        self.key(table, live, facts)
        blank: dict[str, Any] = {}
        if not table.match_only:
            self.service(table, live)
            blank = self.required(table, live, facts)
            self.written_twice(table)
        for column in table.columns:
            self.column(table, column, live, facts)
        mapping = replace(table, defaults=blank | self.defaults(table, live, facts))
        sets: dict[str, LiveTable] = {}
        prepared: list[ItemSet] = []
        for item_set in table.sets:
            found = self.item_set(table, item_set, live)
            if found is not None:
                sets[item_set.name], given = found
                prepared.append(given)
        return replace(live, mapping=replace(mapping, sets=tuple(prepared)), sets=sets)

    def missing(self, table: Table, live: LiveTable, name: str, role: str, kind: str) -> None:
        added = self.alter(live, f"ADD COLUMN {{}} {kind}", name)
        null = ", or null for none" if role.startswith("service") and not role.endswith("raw_fields") else ""
        self.problem(
            table.line, f"table {live.name} has no column {name} ({role}); add it ({added}), or name another{null}."
        )

    def key(self, table: Table, live: LiveTable, facts: Facts) -> None:
        identity = live.columns.get(table.id)
        if identity is None:
            there = ", ".join(facts.primary) or "none"
            self.problem(
                table.line,
                f"table {live.name} has no column {table.id} (key.id); name its primary key (it is: {there}).",
            )
            return
        where = f"{live.name}.{table.id}"
        if identity.family not in _KEY_FAMILIES:
            kinds = ", ".join(_KEY_FAMILIES)
            self.problem(table.line, f"column {where} (key.id) is {identity.type_sql}; a key is one of: {kinds}.")
        own = {table.id} if table.match_only else {table.id, table.account or ""}
        if not any(table.id in unique and unique <= own for unique in facts.unique):
            self.problem(
                table.line,
                f"column {where} (key.id) is not unique; make it the primary key "
                f"({self.alter(live, 'ADD PRIMARY KEY ({})', table.id)}), or name another.",
            )
        if table.match_only:
            return
        if identity.required:
            fill = {
                "uuid": "ALTER COLUMN {} SET DEFAULT gen_random_uuid()",
                "text": "ALTER COLUMN {} SET DEFAULT gen_random_uuid()::text",
            }.get(identity.family, "ALTER COLUMN {} ADD GENERATED BY DEFAULT AS IDENTITY")
            self.problem(
                table.line,
                f"column {where} (key.id) gets no value from the database; let it fill new keys in "
                f"({self.alter(live, fill, table.id)}).",
            )
        self.amo_key(table, live, facts)

    def amo_key(self, table: Table, live: LiveTable, facts: Facts) -> None:
        pair = {"account": table.account or "", "amo_id": table.amo_id or ""}
        for role, name in pair.items():
            column = live.columns.get(name)
            if column is None:
                self.missing(table, live, name, f"key.{role}", "bigint")
            elif column.type_sql != "bigint":
                change = self.alter(live, "ALTER COLUMN {} TYPE bigint", name)
                self.problem(
                    table.line,
                    f"column {live.name}.{name} (key.{role}) is {column.type_sql}, which can't take every id of "
                    f"amoCRM; make it bigint ({change}).",
                )
        if set(pair.values()) <= live.columns.keys():
            self.without_account(table, live)
        wanted = frozenset(pair.values())
        if wanted <= live.columns.keys() and wanted not in facts.unique:
            there = (
                " The unique index there is partial, deferrable or NULLS NOT DISTINCT, which does not do."
                if wanted in facts.loose
                else ""
            )
            self.problem(
                table.line,
                f"table {live.name} may hold a record of amoCRM twice: {' and '.join(pair.values())} are not unique "
                f"together.{there} Add that ({self.alter(live, 'ADD UNIQUE ({}, {})', *pair.values())}).",
            )

    def without_account(self, table: Table, live: LiveTable) -> None:
        """Rows that have an id of amoCRM without its account would be inserted once more."""
        account, amo_id = sql.Identifier(table.account or ""), sql.Identifier(table.amo_id or "")
        query = sql.SQL("SELECT 1 FROM {} AS t WHERE t.{} IS NULL AND t.{} IS NOT NULL LIMIT 1")
        if self.connection.execute(query.format(live.identifier, account, amo_id)).fetchone() is None:
            return
        fill = sql.SQL("UPDATE {} SET {} = ACCOUNT WHERE {} IS NULL AND {} IS NOT NULL").format(
            live.identifier, account, account, amo_id
        )
        self.problem(
            table.line,
            f"table {live.name} has rows with {table.amo_id} but without {table.account}: a load would not know them "
            f"and insert them once more. Fill in the account's number ({fill.as_string(self.connection)}).",
        )

    def service(self, table: Table, live: LiveTable) -> None:
        for role, name in table.service.items():
            if name is None:
                continue
            column = live.columns.get(name)
            if column is None:
                self.missing(table, live, name, f"service.{role}", "jsonb" if role == "raw_fields" else "timestamptz")
                continue
            family, wanted = ("json", "jsonb") if role == "raw_fields" else ("timestamp", "timestamptz")
            if column.family != family:
                self.problem(
                    table.line,
                    f"column {live.name}.{name} (service.{role}) must be {wanted}, it is {column.type_sql}; change its "
                    "type or name another.",
                )
            elif column.generated:
                self.problem(
                    table.line,
                    f"column {live.name}.{name} (service.{role}) is filled by the database alone; name another.",
                )
            elif column.not_null and role.startswith("amo_"):
                self.problem(
                    table.line,
                    f"column {live.name}.{name} (service.{role}) is NOT NULL, but not every row has that time; drop "
                    f"NOT NULL ({self.alter(live, 'ALTER COLUMN {} DROP NOT NULL', name)}).",
                )

    def column(self, table: Table, column: Column, live: LiveTable, facts: Facts) -> None:
        found = live.columns.get(column.name)
        if found is None:
            there = ", ".join(sorted(live.columns))
            self.problem(
                column.line,
                f"table {live.name} has no column {column.name}; it has {there}. Add it or correct the name.",
            )
            return
        problems = list(fits.type_problems(column, found, live.name))
        if not problems and column.values:
            checks = facts.checks.get(column.name, ())
            problems += fits.choice_problems(self.connection, column, found, checks, live.name)
        for text in problems:
            self.problem(column.line, text)
        if column.link:
            parent = self.mapping.tables[column.link]
            self.points_at(column.line, live, column.name, parent, facts)

    def points_at(self, line: int | None, live: LiveTable, name: str, parent: Table, facts: Facts) -> None:
        """A column that holds another row's key: of its type, and of that table by its foreign key, too."""
        found = live.columns[name]
        schema, table = split_name(parent.table, self.schema)
        key = read_columns(self.connection, schema, table).get(parent.id)
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

    def takes_blank(self, column: LiveColumn, facts: Facts) -> bool:
        """Whether a NOT NULL column can hold '' for nothing: a text that need not differ from row to row."""
        if column.family != "text" or frozenset({column.name}) in facts.distinct:
            return False
        return fits.value_problem(self.connection, "", column, facts.checks.get(column.name, ())) is None

    def required(self, table: Table, live: LiveTable, facts: Facts) -> dict[str, Any]:
        """NOT NULL columns: nothing may leave them empty. Returned are those of text, which hold '' for nothing."""
        blank: dict[str, Any] = {}
        mapped = {c.name: c for c in table.columns}
        stamps = {v for v in table.service.values() if v}
        for name, column in live.columns.items():
            if not column.not_null or name in table.defaults:
                continue
            if name in mapped and self.takes_blank(column, facts):
                blank[name] = ""
            elif name in mapped:
                own = "" if column.required else " (the database's own default is for columns that nobody writes)"
                self.problem(
                    mapped[name].line,
                    f"column {live.name}.{name} is NOT NULL, but amoCRM may leave it empty{own}; give it a value under "
                    "defaults for that case, or drop NOT NULL.",
                )
            elif column.required and name not in {*stamps, table.id, table.account, table.amo_id}:
                remedy = "give it a value under defaults, or name it under service if it is a stamp"
                if frozenset({name}) in facts.distinct:
                    filled = self.alter(live, "ALTER COLUMN {} SET DEFAULT ...", name)
                    remedy = f"or, since it must differ from row to row, let the database fill it in ({filled})"
                self.problem(
                    table.line,
                    f"column {live.name}.{name} is NOT NULL without a default and nothing fills it; map it under "
                    f"columns, {remedy}.",
                )
        return blank

    def written_twice(self, table: Table) -> None:
        roles = {name: f"key.{role}" for role, name in (("id", table.id), ("account", table.account))}
        roles[table.amo_id] = "key.amo_id"
        roles |= {name: f"service.{role}" for role, name in table.service.items() if name}
        lines = {**{name: table.default_lines.get(name, table.line) for name in table.defaults}}
        lines |= {c.name: c.line for c in table.columns}
        for name, line in lines.items():
            if name in roles:
                self.problem(line, f"column {name} is {roles[name]} already; take it out here.")

    def defaults(self, table: Table | ItemSet, live: LiveTable, facts: Facts) -> dict[str, Any]:
        """The fixed values as the database takes them."""
        checked: dict[str, Any] = {}
        for name, value in table.defaults.items():
            line = table.default_lines.get(name, table.line)
            column = live.columns.get(name)
            if column is None:
                there = ", ".join(sorted(live.columns))
                self.problem(line, f"defaults: table {live.name} has no column {name}; it has {there}.")
                continue
            problem = fits.value_problem(self.connection, value, column, facts.checks.get(name, ()))
            shared = next((u for u in facts.distinct if u <= table.defaults.keys() and name == min(u)), None)
            if problem is None and shared is not None and value is not None:
                self.problem(
                    line,
                    f"defaults: {live.name}.{', '.join(sorted(shared))} must differ from row to row (it is unique), "
                    "but a fixed value is the same in all; take it out here and let the database fill it in "
                    f"({self.alter(live, 'ALTER COLUMN {} SET DEFAULT ...', name)}).",
                )
            if problem:
                self.problem(line, f"defaults: {live.name}.{name} can't be {value!r}: {problem}; correct it.")
            checked[name] = fits.prepared(value, column)
        return checked

    def item_set(self, table: Table, item_set: ItemSet, parent: LiveTable) -> tuple[LiveTable, ItemSet] | None:
        opened = self.open(table, item_set.table, item_set.line)
        if opened is None:
            return None
        live, facts = opened
        roles = {f"columns.{role}": name for role, name in item_set.columns.items()}
        roles |= {"parent": item_set.parent, "service.raw_fields": item_set.raw_fields, "service.id": item_set.id}
        roles |= {f"service.{r}": n for r in ("created_at", "updated_at") if (n := getattr(item_set, r)) is not None}
        for role, name in roles.items():
            column = live.columns.get(name)
            if column is None:
                needed = role in ("parent", "service.id", "service.raw_fields", "columns.value")
                self.problem(
                    item_set.line,
                    f"table {live.name} has no column {name} ({role} of set {item_set.name}); add it, or name another"
                    + ("." if needed else ", or null for none."),
                )
            else:
                self.set_column(item_set, live, role, column)
        if item_set.parent in live.columns and table.id in parent.columns:
            self.points_at(item_set.line, live, item_set.parent, table, facts)
        self.set_key(item_set, live, facts)
        self.set_required(item_set, live, roles.values())
        blank = frozenset(
            role for role, name in item_set.columns.items() if name in live.columns and live.columns[name].not_null
        )
        return live, replace(item_set, defaults=self.defaults(item_set, live, facts), blank=blank & _MAY_BE_EMPTY)

    def set_column(self, item_set: ItemSet, live: LiveTable, role: str, column: LiveColumn) -> None:
        kind, _, name = role.partition(".")
        wanted = {"service.raw_fields": "json", "service.created_at": "timestamp", "service.updated_at": "timestamp"}
        family = wanted.get(role) if kind != "columns" else _SET_FAMILIES[name]
        what = f"column {live.name}.{column.name} ({role} of set {item_set.name})"
        if family and column.family != family:
            said = {"json": "jsonb", "timestamp": "timestamptz"}.get(family, family)
            self.problem(item_set.line, f"{what} must be {said}, it is {column.type_sql}; change its type.")
        elif column.generated and role != "service.id":
            self.problem(item_set.line, f"{what} is filled by the database alone; name another.")
        if kind == "columns":
            least = fits.SHORTEST[item_set.item] if name == "value" else _SET_LENGTHS.get(name)
            if least and column.length and column.length < least:
                self.problem(
                    item_set.line, f"{what} holds {column.length} characters, {least} may come; make it longer."
                )

    def set_key(self, item_set: ItemSet, live: LiveTable, facts: Facts) -> None:
        identity = live.columns.get(item_set.id)
        if identity is None:
            return
        what = f"column {live.name}.{item_set.id} (service.id of set {item_set.name})"
        if not any(item_set.id in unique for unique in facts.unique):
            self.problem(item_set.line, f"{what} is not unique; name the table's primary key.")
        if identity.required:
            self.problem(item_set.line, f"{what} gets no value from the database; give it a default or an identity.")

    def set_required(self, item_set: ItemSet, live: LiveTable, used: Iterable[str]) -> None:
        known = {*used, *item_set.defaults}
        for column in live.columns.values():
            if column.required and column.name not in known:
                self.problem(
                    item_set.line,
                    f"column {live.name}.{column.name} is NOT NULL without a default and nothing fills it; give it a "
                    f"value under the defaults of set {item_set.name}.",
                )
        for name in sorted(set(used) & item_set.defaults.keys()):
            self.problem(
                item_set.default_lines.get(name, item_set.line),
                f"column {name} is used by set {item_set.name} already; take it out of defaults.",
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


def check_mapping(connection: psycopg.Connection[Any], mapping: Mapping, schema: str) -> dict[str, LiveTable]:
    """Every mapped stream with its live table.

    Raises:
        MappingError: the tables can't take what the mapping promises; all problems at once, each with file, line
            and remedy.
    """
    checker = _Checker(connection, mapping, schema)
    live = {stream: checker.table(table) for stream, table in mapping.tables.items()}
    if checker.problems:
        raise MappingError("\n".join(checker.problems))
    return {stream: table for stream, table in live.items() if table is not None}
