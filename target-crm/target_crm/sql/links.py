"""SQL of what comes late: links whose parent arrives after its child, names of pipelines, records without a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import sql

from target_crm.mapping.model import Column
from target_crm.records.decoder import json_path
from target_crm.sql.spec import I, MergeSpec, S, comma, of_stream
from target_crm.sql.text import text_rules

CREATE_LINES = S("CREATE TEMP TABLE IF NOT EXISTS crm_lines (line jsonb) ON COMMIT DELETE ROWS")
TRUNCATE_LINES = S("TRUNCATE crm_lines")
COPY_LINES = S("COPY crm_lines (line) FROM STDIN")
DROP_LATE = S("DROP TABLE IF EXISTS crm_late")
DROP_NAMED = S("DROP TABLE IF EXISTS crm_named")
LATE_COLUMNS = S("SELECT DISTINCT table_name, column_name FROM crm_late")


class Unmatched(NamedTuple):
    """A row of `unmatched`."""

    account_id: int
    amo_id: int
    name: str | None
    email: str | None


def some_wait(schema: str, stream: str, accounts: Sequence[int]) -> sql.Composed:
    """One row if links of these accounts wait for records of the stream."""
    return S("SELECT 1 FROM {} WHERE account_id IN ({}) AND source = {} LIMIT 1").format(
        I(schema, "sync_pending"), comma(map(sql.Literal, accounts)), sql.Literal(stream)
    )


def take_pending(spec: MergeSpec, stream: str, came: str) -> sql.Composed:
    """The pending links to records that came just now; `came` is the temporary table that holds their keys."""
    return S(
        "CREATE TEMP TABLE crm_late ON COMMIT DROP AS SELECT q.* FROM {came} AS b JOIN {pending} AS q "
        "ON q.account_id = b.a AND q.source = {stream} AND q.ref = b.i::text"
    ).format(pending=spec.control("sync_pending"), stream=sql.Literal(stream), came=spec.temp(came))


def forget_pending(schema: str) -> sql.Composed:
    """Removes what has been linked."""
    return S(
        "DELETE FROM {} AS q USING crm_late AS l WHERE q.account_id = l.account_id AND q.source = l.source "
        "AND q.ref = l.ref AND q.table_name = l.table_name AND q.column_name = l.column_name AND q.amo_id = l.amo_id"
    ).format(I(schema, "sync_pending"))


def _reference(spec: MergeSpec, column: Column) -> sql.Composed:
    """What the record that row `t` holds says now in the column's place."""
    raw_name = spec.live.mapping.raw_fields
    raw = I(raw_name)
    parts = [
        S("jsonb_path_query_first(t.{}->'amo', {}::jsonpath)#>>'{{}}'").format(raw, sql.Literal(json_path(path)))
        if "[" in path
        else S("t.{}#>>{}").format(raw, sql.Literal(["amo", *path.split(".")]))
        for path in column.path
    ]
    whole = S("concat_ws(':', {})").format(S(", ").join(parts))
    return text_rules(spec.live.columns[raw_name].encoding).source_number(whole) if column.numbers_text else whole


def _partial(spec: MergeSpec, rows: sql.Composable, ref: sql.Composable) -> sql.Composed:
    """Rows as staging would give them, with one column and no record."""
    (slot,) = spec.slots
    return S(
        "SELECT (row_number() OVER ())::integer AS q, {rows}, NULL::timestamptz AS u, NULL::timestamptz AS n, "
        "NULL::bigint AS h, NULL::jsonb AS doc, NULL::jsonb AS new_base, {ref} AS {c}"
    ).format(rows=rows, ref=ref, c=slot.name("c"))


def late_rows(spec: MergeSpec, column: Column) -> sql.Composed:
    """The source of a partial merge: one link column of the rows whose parent has come, if they still name it."""
    return _partial(spec, S("l.account_id AS a, l.amo_id AS i"), S("l.ref::bigint")) + S(
        " FROM crm_late AS l JOIN {} AS t ON t.{} = l.account_id AND t.{} = l.amo_id{} "
        "WHERE l.table_name = {} AND l.column_name = {} AND l.ref = {}{}"
    ).format(
        spec.live.identifier,
        I(spec.live.mapping.account or ""),
        I(spec.live.mapping.amo_id or ""),
        of_stream(spec.live, "t"),
        spec.table_name,
        sql.Literal(column.name),
        _reference(spec, column),
        S(" AND l.source = {entity} AND t.{raw}#>>'{{amo,entity_type}}' = {entity}").format(
            entity=sql.Literal(column.when_entity), raw=I(spec.live.mapping.raw_fields)
        )
        if column.when_entity
        else S(""),
    )


def rows_through(spec: MergeSpec, column: Column, link: Column) -> sql.Composed:
    """The source of a partial merge: a column that takes its value from the row which a late link points to now."""
    parent, table = spec.parents[str(link.link)], spec.live.mapping
    _, second = column.via or ("", "")
    value = S("p.{}").format(I(second))
    return _partial(spec, S("l.account_id AS a, l.amo_id AS i"), value) + S(
        " FROM crm_late AS l JOIN {} AS t ON t.{} = l.account_id AND t.{} = l.amo_id{} JOIN {} AS p ON p.{} = t.{} "
        "WHERE l.table_name = {} AND l.column_name = {} AND p.{} IS NOT NULL"
    ).format(
        spec.live.identifier,
        I(table.account or ""),
        I(table.amo_id or ""),
        of_stream(spec.live, "t"),
        parent.identifier,
        I(parent.mapping.id),
        I(link.name),
        spec.table_name,
        sql.Literal(link.name),
        I(second),
    )


def new_names(schema: str) -> sql.Composed:
    """Of the staged names {a, s: kind, f: reference, v: name} those that are new or renamed."""
    return S(
        "CREATE TEMP TABLE crm_named ON COMMIT DROP AS SELECT DISTINCT ON (x.a, x.s, x.f) x.a, x.s, x.f, x.v "
        "FROM crm_lines CROSS JOIN LATERAL jsonb_to_record(crm_lines.line) "
        "AS x(q integer, a bigint, s text, f text, v text) "
        "WHERE NOT EXISTS (SELECT FROM {} AS k "
        "WHERE k.account_id = x.a AND k.source = x.s AND k.ref = x.f AND k.name = x.v) "
        "ORDER BY x.a, x.s, x.f, x.q DESC"
    ).format(I(schema, "sync_lookups"))


def write_names(schema: str) -> sql.Composed:
    """Writes the names that are new or changed."""
    return S(
        "INSERT INTO {} AS k (account_id, source, ref, name) SELECT a, s, f, v FROM crm_named "
        "ON CONFLICT (account_id, source, ref) DO UPDATE SET name = excluded.name"
    ).format(I(schema, "sync_lookups"))


def named_rows(spec: MergeSpec, column: Column) -> sql.Composed:
    """The source of a partial merge: one name column of the rows that use a new or changed name."""
    table, ref = spec.live.mapping, _reference(spec, column)
    rows = S("t.{} AS a, t.{} AS i").format(I(table.account or ""), I(table.amo_id or ""))
    return _partial(spec, rows, ref) + S(
        " FROM {} AS t JOIN crm_named AS x ON x.a = t.{} AND x.s = {} AND x.f = {}{}"
    ).format(
        spec.live.identifier,
        I(table.account or ""),
        sql.Literal(column.lookup),
        ref,
        of_stream(spec.live, "t"),
    )


def unmatched(spec: MergeSpec) -> sql.Composed:
    """Of the staged records of a table that is only matched, those without a row (`Unmatched`)."""
    return S(
        "SELECT s.a, s.i, s.doc->'amo'->>'name', s.doc->'amo'->>'email' FROM {} AS s WHERE NOT EXISTS (SELECT FROM {} "
        "AS k WHERE k.account_id = s.a AND k.table_name = {} AND k.amo_id = s.i AND k.row_id IS NOT NULL) "
        "ORDER BY s.a, s.i"
    ).format(spec.temp("stage"), spec.control("sync_keys"), spec.table_name)
