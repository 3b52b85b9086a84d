"""Writes a proposed mapping down: YAML with remarks, and the SQL that adds what the tables lack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml
from psycopg import sql

from target_crm.mapping.catalogue import Connection
from target_crm.mapping.found_tables import Found
from target_crm.mapping.propose import Proposed, ProposedSet, lacking_key_default
from target_crm.mapping.propose_joins import ProposedJoin
from target_crm.mapping.words import TABLES

_OTHER_STREAMS = ("account", "task_types", "custom_fields", "tags", "events")
_HEAD = """\
# A first mapping, guessed from the names, types and foreign keys of this database's tables. Look through it, correct
# it, have it checked (target-crm-admin --mapping-file THIS map) and see what a load would do (target-crm-admin plan).
# Every word is explained in docs/mapping.md. A custom field goes to a column by its id, code or name:
#   column: {field: [123456, CODE, Имя поля]}
version: 1
"""
_DJANGO = {
    "bigint": "models.BigIntegerField(null=True, editable=False)",
    "timestamptz": "models.DateTimeField(null=True, editable=False)",
    "jsonb NOT NULL DEFAULT '{}'": "models.JSONField(default=dict, editable=False)",
}


_NO_JOINS: Mapping[str, Sequence[ProposedJoin]] = {}


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6)
    return text.removesuffix("...\n").strip()


def _alter(connection: Connection, table: Found, changes: Sequence[sql.Composable]) -> str:
    statement = sql.SQL("ALTER TABLE {}\n    {};").format(
        sql.Identifier(table.schema, table.name), sql.SQL(",\n    ").join(changes)
    )
    return statement.as_string(connection)


def _added(missing: dict[str, str]) -> list[sql.Composable]:
    return [sql.SQL("ADD COLUMN {} {}").format(sql.Identifier(n), sql.SQL(kind)) for n, kind in missing.items()]


def _key_default(key: str, default: str) -> sql.Composed:
    return sql.SQL("ALTER COLUMN {} SET DEFAULT {}").format(sql.Identifier(key), sql.SQL(default))


def _unique(proposed: Proposed) -> sql.Composed:
    names = [proposed.key["account"], proposed.key["amo_id"], *([proposed.mark[0]] if proposed.mark else [])]
    return sql.SQL("ADD UNIQUE ({})").format(sql.SQL(", ").join(map(sql.Identifier, names)))


def migration(
    connection: Connection, proposals: Sequence[Proposed], joins: Mapping[str, Sequence[ProposedJoin]] = _NO_JOINS
) -> list[str]:
    """The statements that add what the mapping needs and the tables lack; empty when they lack nothing."""
    statements: list[str] = []
    done: set[str] = set()
    for proposed in proposals:
        if proposed.table.full_name in done:
            continue
        done.add(proposed.table.full_name)
        changes = _added(proposed.missing)
        if proposed.add_unique and not proposed.match_only:
            changes.append(_unique(proposed))
        if proposed.key_default is not None and not proposed.match_only:
            changes.append(_key_default(proposed.key["id"], proposed.key_default))
        if changes:
            statements.append(_alter(connection, proposed.table, changes))
        for one in proposed.sets:
            default = lacking_key_default(one.table)
            more = [*_added(one.missing), *([_key_default(one.table.key, default)] if default else [])]
            if more:
                statements.append(_alter(connection, one.table, more))
        for join in joins.get(proposed.stream, ()):
            default = lacking_key_default(join.table)
            if default is not None and join.table.full_name not in done:
                done.add(join.table.full_name)
                statements.append(_alter(connection, join.table, [_key_default(join.table.key, default)]))
    return statements


def planned(proposals: Sequence[Proposed], joins: Mapping[str, Sequence[ProposedJoin]]) -> set[tuple[str, str, str]]:
    """The columns, by schema and table, that the statements of `migration` add or mend."""
    found: set[tuple[str, str, str]] = set()
    for proposed in proposals:
        if not proposed.match_only:
            pair = [proposed.key["account"], proposed.key["amo_id"]] if proposed.add_unique else []
            key = [proposed.key["id"]] if proposed.key_default is not None else []
            found |= {(*proposed.table.place, name) for name in (*proposed.missing, *pair, *key)}
        for one in proposed.sets:
            key = [one.table.key] if lacking_key_default(one.table) else []
            found |= {(*one.table.place, name) for name in (*one.missing, *key)}
        for join in joins.get(proposed.stream, ()):
            if lacking_key_default(join.table):
                found.add((*join.table.place, join.table.key))
    return found


def _django(proposed: Proposed) -> list[str]:
    lines = [f"{name} = {_DJANGO[kind]}" for name, kind in proposed.missing.items()]
    if proposed.add_unique and not proposed.match_only:
        pair = f'"{proposed.key["account"]}", "{proposed.key["amo_id"]}"'
        name = f"{proposed.table.name}_amo"[:30]
        lines.append(f"class Meta: constraints = [models.UniqueConstraint(fields=[{pair}], name={name!r})]")
    return lines


def _remarks(connection: Connection, proposed: Proposed) -> list[str]:
    """What a person should know before the stream's section."""
    found = [f"{proposed.stream} -> {proposed.table.full_name}"]
    if proposed.others:
        found[0] += f" (it might also be {', '.join(proposed.others)})"
    if proposed.match_only:
        found.append("Rows are only matched, never written: the table has no columns for amoCRM's ids.")
    lacking = migration(connection, [proposed])
    if lacking:
        found.append("The database lacks what follows; in SQL:")
        found += [f"  {line}" for statement in lacking for line in statement.splitlines()]
    django = _django(proposed)
    if django:
        found.append("or, in a Django model:")
        found += [f"  {line}" for line in django]
    return [f"  # {line}" for line in found]


def _set_lines(one: ProposedSet) -> list[str]:
    lines = [
        f"      {one.name}:",
        f"        table: {_flow(one.table.full_name)}",
        f"        parent: {_flow(one.parent)}",
        f"        field: {'PHONE' if one.item == 'phone' else 'EMAIL'}",
        f"        item: {one.item}",
        f"        columns: {_flow(one.columns)}",
        f"        service: {_flow(one.service)}",
    ]
    return [*lines, f"        defaults: {_flow(one.defaults)}"] if one.defaults else lines


def _stream(connection: Connection, proposed: Proposed, joins: Sequence[ProposedJoin]) -> list[str]:
    lines = [*_remarks(connection, proposed), f"  {proposed.stream}:", f"    table: {_flow(proposed.table.full_name)}"]
    lines.append(f"    key: {_flow(proposed.key)}")
    if proposed.match_only:
        lines.append("    match_only: true")
    else:
        lines.append(f"    service: {_flow(proposed.service)}")
    if proposed.match:
        lines.append(f"    match: {_flow(proposed.match)}")
    lines.append("    columns:" if proposed.columns else "    columns: {}")
    for name, source in proposed.columns.items():
        short = source["from"] if set(source) == {"from"} and isinstance(source["from"], str) else source
        lines.append(f"      {_flow(name)}: {_flow(short)}")
    for name, why in proposed.doubtful.items():
        lines.append(
            f"      # {_flow(name)}: not mapped, it {why.removeprefix(f'column {proposed.table.name}.{name} ')}"
        )
    if proposed.unmapped:
        kinds = ", ".join(f"{n} ({proposed.table.columns[n].type_sql})" for n in proposed.unmapped)
        lines.append(f"      # not recognised: {kinds}")
    if proposed.unused and not proposed.match_only:
        lines.append(f"      # amoCRM also has: {', '.join(proposed.unused)}")
    if proposed.defaults:
        lines.append(f"    defaults: {_flow(proposed.defaults)}")
    if proposed.sets:
        lines.append("    sets:")
        lines += [line for one in proposed.sets for line in _set_lines(one)]
    if joins:
        lines.append("    through:")
        lines += [f"      {join.name}: {_flow(join.words)}" for join in joins]
    return lines


def write_mapping(
    connection: Connection,
    proposals: Sequence[Proposed],
    joins: Mapping[str, Sequence[ProposedJoin]],
    remarks: Iterable[str] = (),
) -> str:
    """The proposal as YAML text with remarks."""
    mapped = [p.stream for p in proposals]
    without = [stream for stream in TABLES if stream not in mapped]
    lines = [_HEAD + f"ignore: {_flow([*_OTHER_STREAMS, *without])}"]
    if without:
        lines.append(f"# No table was found for: {', '.join(without)}.")
    lines += [f"# {remark}" for remark in remarks]
    lines += ["", "streams:" if proposals else "streams: {}"]
    for proposed in proposals:
        lines += [*_stream(connection, proposed, joins.get(proposed.stream, ())), ""]
    return "\n".join(lines).rstrip() + "\n"
