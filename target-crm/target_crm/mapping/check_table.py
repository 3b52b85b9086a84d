"""Checks one table's key, system columns, columns and NOT NULL columns against the live database."""

from __future__ import annotations

import difflib
from typing import Any

from psycopg import sql

from target_crm.mapping import fits
from target_crm.mapping.catalogue import Facts, LiveTable, key_inside
from target_crm.mapping.column_reader import PLACEHOLDER
from target_crm.mapping.findings import Findings
from target_crm.mapping.model import Column, Table

_REQUIRED = "set required: skip (leave such records out) or wait (until the linked record comes), "
_KEY_FAMILIES = ("integer", "uuid", "text")
_FLAG_FAMILIES = ("boolean", "enum", "text", "integer", "number")


def check_key(findings: Findings, table: Table, live: LiveTable, facts: Facts) -> None:
    """The key columns: their types, and that the database keeps them unique."""
    identity = live.columns.get(table.id)
    if identity is None:
        there = ", ".join(facts.primary) or "none"
        findings.problem(
            table.line,
            f"table {live.name} has no column {table.id} (key.id); name its primary key (it is: {there}).",
        )
        return
    where = f"{live.name}.{table.id}"
    if identity.family not in _KEY_FAMILIES:
        kinds = ", ".join(_KEY_FAMILIES)
        findings.problem(table.line, f"column {where} (key.id) is {identity.type_sql}; a key is one of: {kinds}.")
    own = {table.id} if table.match_only else {table.id, table.account or ""}
    if not any(table.id in unique and unique <= own for unique in facts.unique):
        findings.problem(
            table.line,
            f"column {where} (key.id) is not unique; make it the primary key "
            f"({findings.alter(live, 'ADD PRIMARY KEY ({})', table.id)}), or name another.",
        )
    if table.match_only:
        return
    if identity.required and not findings.is_planned(live, table.id):
        findings.problem(
            table.line,
            f"column {where} (key.id) gets no value from the database; let it fill new keys in "
            f"({findings.fill_key(live, identity)}).",
        )
    _check_amo_key(findings, table, live, facts)


def _check_amo_key(findings: Findings, table: Table, live: LiveTable, facts: Facts) -> None:
    pair = {"account": table.account or "", "amo_id": table.amo_id or ""}
    for role, name in pair.items():
        column = live.columns.get(name)
        if column is None:
            findings.missing(table, live, name, f"key.{role}", "bigint")
        elif column.type_sql != "bigint":
            change = findings.alter(live, "ALTER COLUMN {} TYPE bigint", name)
            findings.problem(
                table.line,
                f"column {live.name}.{name} (key.{role}) is {column.type_sql}, which can't take every id of "
                f"amoCRM; make it bigint ({change}).",
            )
    if set(pair.values()) <= live.columns.keys():
        _check_accounts(findings, table, live)
    wanted = frozenset(pair.values())
    known = wanted in facts.unique or (wanted | table.marks.keys()) in facts.unique
    planned = all(findings.is_planned(live, name) for name in wanted)
    if wanted <= live.columns.keys() and not known and not planned:
        there = (
            " The unique index there is partial, deferrable or NULLS NOT DISTINCT, which does not do."
            if wanted in facts.loose
            else ""
        )
        findings.problem(
            table.line,
            f"table {live.name} may hold a record of amoCRM twice: {' and '.join(pair.values())} are not unique "
            f"together.{there} Add that ({findings.alter(live, 'ADD UNIQUE ({}, {})', *pair.values())}).",
        )


def _check_accounts(findings: Findings, table: Table, live: LiveTable) -> None:
    """Rows that have an id of amoCRM without its account would be inserted once more."""
    account, amo_id = sql.Identifier(table.account or ""), sql.Identifier(table.amo_id or "")
    query = sql.SQL("SELECT 1 FROM {} AS t WHERE t.{} IS NULL AND t.{} IS NOT NULL LIMIT 1")
    if findings.connection.execute(query.format(live.identifier, account, amo_id)).fetchone() is None:
        return
    fill = sql.SQL("UPDATE {} SET {} = ACCOUNT WHERE {} IS NULL AND {} IS NOT NULL").format(
        live.identifier, account, account, amo_id
    )
    findings.problem(
        table.line,
        f"table {live.name} has rows with {table.amo_id} but without {table.account}: a load would not know them "
        f"and insert them once more. Fill in the account's number ({fill.as_string(findings.connection)}).",
    )


def _check_flag(findings: Findings, table: Table, live: LiveTable, facts: Facts) -> None:
    """A flag of deleted rows: that its column is there and takes both values."""
    name, flag = table.service["amo_deleted_at"] or "", table.flag
    column = live.columns.get(name)
    if column is None or flag is None:
        there = ", ".join(sorted(live.columns))
        findings.problem(
            table.line,
            f"table {live.name} has no column {name} (service.amo_deleted_at); it has {there}. Correct the name.",
        )
        return
    if column.family not in _FLAG_FAMILIES:
        findings.problem(
            table.line,
            f"column {live.name}.{name} (service.amo_deleted_at) is {column.type_sql}, which is not a flag. A flag "
            f"has one of these types, and a time takes neither deleted nor live: {', '.join(_FLAG_FAMILIES)}.",
        )
        return
    for word, value in (("deleted", flag.deleted), ("live", flag.live)):
        problem = fits.value_problem(findings.connection, value, column, facts.checks.get(name, ()))
        if problem:
            findings.problem(
                table.line,
                f"{word} of service.amo_deleted_at: {live.name}.{name} can't be {value!r}: {problem}; correct it.",
            )


def check_service(findings: Findings, table: Table, live: LiveTable, facts: Facts) -> None:
    """The system columns that the mapping names: that they exist and have the right type."""
    for role, name in table.service.items():
        if name is None:
            continue
        if role == "amo_deleted_at" and table.flag is not None:
            _check_flag(findings, table, live, facts)
            continue
        column = live.columns.get(name)
        if column is None:
            findings.missing(table, live, name, f"service.{role}", "jsonb" if role == "raw_fields" else "timestamptz")
            continue
        family, wanted = ("json", "jsonb") if role == "raw_fields" else ("timestamp", "timestamptz")
        if column.family != family:
            findings.problem(
                table.line,
                f"column {live.name}.{name} (service.{role}) must be {wanted}, it is {column.type_sql}; change its "
                "type or name another.",
            )
        elif column.generated:
            findings.problem(
                table.line,
                f"column {live.name}.{name} (service.{role}) is filled by the database alone; name another.",
            )
        elif column.not_null and role.startswith("amo_"):
            findings.problem(
                table.line,
                f"column {live.name}.{name} (service.{role}) is NOT NULL, but not every row has that time; drop "
                f"NOT NULL ({findings.alter(live, 'ALTER COLUMN {} DROP NOT NULL', name)}).",
            )


def check_column(findings: Findings, table: Table, column: Column, live: LiveTable, facts: Facts) -> None:
    """A mapped column: that what comes from amoCRM fits it."""
    found = live.columns.get(column.name) or key_inside(live.columns, column.name)
    if found is None:
        there = ", ".join(sorted(live.columns))
        findings.problem(
            column.line,
            f"table {live.name} has no column {column.name}; it has {there}. Add it or correct the name.",
        )
        return
    problems = list(fits.type_problems(column, found, live.name))
    if found.host is not None and any(one.name == found.host for one in table.columns):
        problems.append(f"column {live.name}.{found.host} is mapped as a whole already; map it, or keys inside it.")
    if found.host is not None and any(column.name in names for names in table.match):
        problems.append(
            f"{column.name} is a key inside a jsonb column, by which nothing is matched; remove it from match."
        )
    if not problems and column.values and found.host is None:
        checks = facts.checks.get(column.name, ())
        problems += fits.choice_problems(findings.connection, column, found, checks, live.name)
    for text in problems:
        findings.problem(column.line, text)
    if column.link:
        parent = findings.mapping.tables[column.link]
        findings.points_at(column.line, live, column.name, parent, facts)
    for stream, _ in column.links if found.family != "text" else ():
        # A text holds any key.
        findings.points_at(column.line, live, column.name, findings.mapping.tables[stream], facts)
    if column.via:
        _check_via(findings, table, column, live)


def _check_via(findings: Findings, table: Table, column: Column, live: LiveTable) -> None:
    """The column of another row: that it is there, and of the same type."""
    first, second = column.via or ("", "")
    link = next((c.link for c in table.columns if c.name == first), None)
    if link is None:
        return
    other = findings.mapping.tables[link].relation
    found = findings.columns_of(other).get(second)
    if found is None:
        findings.problem(
            column.line,
            f"column {live.name}.{column.name} goes via {first} to column {second}, which {other} does not have; "
            "correct the name.",
        )
    elif found.family != live.columns[column.name].family:
        findings.problem(
            column.line,
            f"column {live.name}.{column.name} is {live.columns[column.name].type_sql}, but {other}.{second}, from "
            f"which it is taken, is {found.type_sql}; change one of them.",
        )


def check_required(findings: Findings, table: Table, live: LiveTable, facts: Facts) -> dict[str, Any]:
    """NOT NULL columns: nothing may leave them empty. Returned is what holds the place of nothing: a column's own
    default, '' in one of text."""
    blank: dict[str, Any] = {}
    mapped = {c.name: c for c in table.columns}
    stamps = {v for v in table.service.values() if v}
    hosts = {one.host for c in table.columns if (one := key_inside(live.columns, c.name))}
    for name, column in live.columns.items():
        if not column.not_null or name in table.defaults or name in hosts:
            continue
        if name in mapped and mapped[name].required:
            continue
        if name in mapped and (own := findings.own_default(column, facts)) is not None:
            blank[name] = own
        elif name in mapped and findings.takes_blank(column, facts):
            blank[name] = ""
        elif name in mapped:
            own = "" if column.required else " (the database's own default is for columns that nobody writes)"
            findings.problem(
                mapped[name].line,
                f"column {live.name}.{name} is NOT NULL, but amoCRM may leave it empty{own}; give it a value under "
                f"defaults for that case, {_REQUIRED if mapped[name].source else ''}or drop NOT NULL.",
            )
        elif column.required and name not in {*stamps, table.id, table.account, table.amo_id}:
            remedy = "give it a value under defaults, or name it under service if it is a stamp"
            if frozenset({name}) in facts.distinct:
                filled = findings.alter(live, "ALTER COLUMN {} SET DEFAULT ...", name)
                remedy = f"or, since it must differ from row to row, let the database fill it in ({filled})"
            findings.problem(
                table.line,
                f"column {live.name}.{name} is NOT NULL without a default and nothing fills it; map it under "
                f"columns, {remedy}.",
            )
    return blank


def check_written_once(findings: Findings, table: Table) -> None:
    """No column is written both as a key or system column and as a mapped or fixed one."""
    roles = {name: f"key.{role}" for role, name in (("id", table.id), ("account", table.account))}
    roles[table.amo_id] = "key.amo_id"
    roles |= {name: f"service.{role}" for role, name in table.service.items() if name}
    lines = {**{name: table.default_lines.get(name, table.line) for name in table.defaults}}
    lines |= {c.name: c.line for c in table.columns}
    for name, line in lines.items():
        if name in roles:
            findings.problem(line, f"column {name} is {roles[name]} already; remove it here.")


def check_templates(findings: Findings, table: Table, live: LiveTable) -> None:
    """The templates of label and url name columns of the table."""
    for word, template in (("label", table.label), ("url", table.url)):
        for name in PLACEHOLDER.findall(template or ""):
            if name not in live.columns:
                near = difflib.get_close_matches(name, live.columns, 1)
                meant = f" (did you mean {near[0]}?)" if near else ""
                findings.problem(
                    table.line,
                    f"{word} of {table.stream} names {name}, which is not a column of {live.name}{meant}; correct it.",
                )
