"""SQL of conflicts that is composed for a rule, a filter, or a column; what has a fixed shape is in conflicts.sql."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from target_crm.mapping.catalogue import LiveTable
from target_crm.sql.document_keys import assignment
from target_crm.sql.queries import query
from target_crm.sql.spec import I, S
from target_crm.sql.staging_table import StagingTable, drop, make
from target_crm.sql.typed import as_key, as_value

SIDES = ("base", "crm", "amo")
# The conflicts that a decision is about, beside their rows (`read_settling`).
SETTLING = StagingTable("settling")
_FILE = "conflicts.sql"

# What the two values of a conflict have to do with each other, without case, blanks and punctuation. A value of nothing
# but those has to do with none.
_PLAIN = "regexp_replace(lower(@{} #>> '{{}}'), '[[:space:][:punct:]]+', '', 'g')"
_OURS, _THEIRS = _PLAIN.replace("{}", "crm_value", 1), _PLAIN.replace("{}", "amo_value", 1)
RULES = {
    "same_but_spelling": f"{_OURS} = {_THEIRS} AND {_OURS} <> ''",
    "amo_says_more": f"position({_OURS} IN {_THEIRS}) > 0 AND length({_THEIRS}) > length({_OURS}) AND {_OURS} <> ''",
    "crm_says_more": f"position({_THEIRS} IN {_OURS}) > 0 AND length({_OURS}) > length({_THEIRS}) AND {_THEIRS} <> ''",
    "base_was_empty": "coalesce(@base_value, 'null') IN ('null', '\"\"', '[]')",
}


def rule_condition(name: str, alias: str = "") -> sql.Composed:
    """One of `RULES` over `sync_conflicts` under an alias."""
    return S(RULES[name].replace("@", f"{alias}." if alias else "")).format()


def rule_index(schema: str, name: str) -> sql.Composed:
    """An index of the open conflicts that a rule fits."""
    return S("CREATE INDEX CONCURRENTLY IF NOT EXISTS {} ON {} (id) WHERE resolved_at IS NULL AND ({})").format(
        I(f"sync_conflicts_{name}"), I(schema, "sync_conflicts"), rule_condition(name)
    )


def value_text(side: str, *alias: str) -> sql.Composed:
    """A value of a conflict (one of `SIDES`) as the text that people look for."""
    return S("({} #>> '{{}}')").format(I(*alias, f"{side}_value"))


def is_cell(values: Mapping[str, Any]) -> list[sql.Composable]:
    """Conditions over `conflict`: its columns hold these values, as far as any are given."""
    given = {name: value for name, value in values.items() if value is not None}
    return [S("conflict.{} = {}").format(I(name), sql.Literal(value)) for name, value in given.items()]


def holds_text(text: str, rows: Sequence[tuple[str, str]]) -> sql.Composed:
    """Whether a text is contained in one of the values of `conflict`, or the record is one of `rows` (table, key)."""
    pattern = sql.Literal("%" + re.sub(r"([\\%_])", r"\\\1", text) + "%")
    found = [S("{} ILIKE {}").format(value_text(side, "conflict"), pattern) for side in SIDES]
    # Each of these can be looked up in a separate index.
    for table in sorted({table for table, _ in rows}):
        keys = [key for name, key in rows if name == table]
        found.append(
            S("(conflict.table_name = {} AND conflict.row_id = ANY({}))").format(sql.Literal(table), sql.Literal(keys))
        )
    return S("({})").format(S(" OR ").join(found))


def _fingerprint(live: LiveTable, column: str) -> sql.Composed:
    """A short text that stands for the value of a column of `crm`; it is compared, it guards nothing."""
    return S("md5(coalesce(to_jsonb({})::text, ''))").format(live.cell("crm", column))


def _document(value: Any) -> sql.Composed:
    return S("{}::jsonb").format(sql.Literal(None if value is None else Jsonb(value)))


def cell_now(live: LiveTable, column: str, row_id: str, recorded: Any) -> sql.Composed:
    """What a cell holds, its fingerprint, and whether that is the value that was recorded."""
    return S(
        """
        SELECT to_jsonb({cell}) AS value, {fingerprint} AS fingerprint, {cell} IS NOT DISTINCT FROM {recorded} AS same
        FROM {table} AS crm WHERE crm.{id} = {key}
        """
    ).format(
        cell=live.cell("crm", column),
        fingerprint=_fingerprint(live, column),
        recorded=as_value(live, column, _document(recorded)),
        table=live.identifier,
        id=I(live.mapping.id),
        key=as_key(live, sql.Literal(row_id)),
    )


def lock_rows(live: LiveTable, schema: str, condition: sql.Composable) -> sql.Composed:
    """Locks the rows of a table that conflicts are about."""
    return query(
        _FILE,
        "lock_rows",
        schema,
        table=live.identifier,
        id=I(live.mapping.id),
        key=as_key(live, S("conflict.row_id")),
        condition=condition,
        named=sql.Literal(live.mapping.table),
    )


def read_settling(
    live: LiveTable, schema: str, column: str, condition: sql.Composable, take: str, value: Any, seen: str | None
) -> list[sql.Composed]:
    """The staging table of a column's conflicts and of what their cells are to hold: amoCRM's value (`amo`), the CRM's
    (`crm`) or a given one (`value`). A cell is the same as before, or as its fingerprint `seen` says."""
    cell = live.cell("crm", column)
    now = S("to_jsonb({})").format(cell)
    same = S("{} IS NOT DISTINCT FROM {}").format(cell, as_value(live, column, S("conflict.crm_value")))
    if seen is not None:
        same = S("{} = {}").format(_fingerprint(live, column), sql.Literal(seen))
    given = {"amo": S("conflict.amo_value"), "crm": now, "value": _document(value)}[take]
    found = query(
        _FILE,
        "read_settling",
        schema,
        now=now,
        given=given,
        same=same,
        typed=as_value(live, column, given),
        table=live.identifier,
        id=I(live.mapping.id),
        key=as_key(live, S("conflict.row_id")),
        condition=condition,
    )
    return [drop("settling"), make("settling", found)]


def read_none(schema: str) -> list[sql.Composed]:
    """The same table, empty: the column is gone."""
    return [drop("settling"), make("settling", query(_FILE, "read_none", schema))]


def add_orphans(live: LiveTable | None, schema: str, condition: sql.Composable) -> sql.Composed:
    """Adds the conflicts whose row is gone; all of them where their column is."""
    gone: sql.Composable = S("true")
    if live is not None:
        gone = S("NOT EXISTS (SELECT FROM {} AS crm WHERE crm.{} = {})").format(
            live.identifier, I(live.mapping.id), as_key(live, S("conflict.row_id"))
        )
    return query(_FILE, "add_orphans", schema, settling=SETTLING, condition=condition, gone=gone)


def write_settled(live: LiveTable, column: str) -> sql.Composed:
    """Writes what cells are to hold, where nobody changed them meanwhile."""
    stamp = live.mapping.service.get("updated_at")
    return S(
        """
        UPDATE {table} AS crm SET {assigned}{stamped}
        FROM {settling} AS settling WHERE settling.same AND crm.{id} = {key}
        """
    ).format(
        table=live.identifier,
        assigned=assignment(live, "crm", column, S("settling.value")),
        stamped=S(", {} = now()").format(I(stamp)) if stamp else S(""),
        settling=SETTLING,
        id=I(live.mapping.id),
        key=as_key(live, S("settling.row_id")),
    )


def settled_entries(column: str) -> sql.Composed:
    """What of it the journal keeps (`journal.write_entries`)."""
    return S("SELECT row_id, {}, old_value, new_value FROM {} WHERE same").format(sql.Literal(column), SETTLING)
