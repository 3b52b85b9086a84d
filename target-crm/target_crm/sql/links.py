"""SQL of what comes late: links whose parent arrives after its child, names of pipelines, records without a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import sql

from target_crm.mapping.model import Column
from target_crm.mapping.paths import json_path
from target_crm.sql.spec import I, MergeSpec, S, comma, of_stream
from target_crm.sql.staging_table import StagingTable, create, drop, make
from target_crm.sql.text import text_rules

LINES, _LATE, _NAMED = StagingTable("lines"), StagingTable("late"), StagingTable("named")
CREATE_LINES = create("lines", S("line jsonb"))
TRUNCATE_LINES = S("TRUNCATE {}").format(LINES)
COPY_LINES = S("COPY {} (line) FROM STDIN").format(LINES)
DROP_LATE = drop("late")
DROP_NAMED = drop("named")
LATE_COLUMNS = S("SELECT DISTINCT table_name, column_name FROM {}").format(_LATE)


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
    query = S(
        """
        SELECT pending.*
        FROM {came} AS came
        JOIN {pending} AS pending
            ON pending.account_id = came.account_id AND pending.source = {stream} AND pending.ref = came.amo_id::text
        """
    ).format(pending=spec.control("sync_pending"), stream=sql.Literal(stream), came=spec.temp(came))
    return make("late", query)


def forget_pending(schema: str) -> sql.Composed:
    """Removes what has been linked."""
    return S(
        """
        DELETE FROM {} AS pending
        USING {} AS late
        WHERE pending.account_id = late.account_id AND pending.source = late.source AND pending.ref = late.ref
            AND pending.table_name = late.table_name AND pending.column_name = late.column_name
            AND pending.amo_id = late.amo_id
        """
    ).format(I(schema, "sync_pending"), _LATE)


def _reference(spec: MergeSpec, column: Column) -> sql.Composed:
    """What the record that row `crm` holds says now in the column's place."""
    raw_name = spec.live.mapping.raw_fields
    raw = I(raw_name)
    parts = [
        S("jsonb_path_query_first(crm.{}->'amo', {}::jsonpath)#>>'{{}}'").format(raw, sql.Literal(json_path(path)))
        if "[" in path
        else S("crm.{}#>>{}").format(raw, sql.Literal(["amo", *path.split(".")]))
        for path in column.path
    ]
    whole = S("concat_ws(':', {})").format(S(", ").join(parts))
    return text_rules(spec.live.columns[raw_name].encoding).source_number(whole) if column.numbers_text else whole


def _partial(spec: MergeSpec, rows: sql.Composable, ref: sql.Composable) -> sql.Composed:
    """Rows as staging would give them, with one column and no record."""
    (slot,) = spec.slots
    return S(
        """
        SELECT (row_number() OVER ())::integer AS seq, {rows}, NULL::timestamptz AS updated_at,
            NULL::timestamptz AS created_at, NULL::bigint AS record_hash, NULL::jsonb AS document,
            NULL::jsonb AS new_base, {ref} AS {name}
        """
    ).format(rows=rows, ref=ref, name=slot.staged)


def late_rows(spec: MergeSpec, column: Column) -> sql.Composed:
    """The source of a partial merge: one link column of the rows whose parent has come, if they still name it."""
    return _partial(spec, S("late.account_id, late.amo_id"), S("late.ref::bigint")) + S(
        """
        FROM {} AS late
        JOIN {} AS crm ON crm.{} = late.account_id AND crm.{} = late.amo_id{}
        WHERE late.table_name = {} AND late.column_name = {} AND late.ref = {}{}
        """
    ).format(
        _LATE,
        spec.live.identifier,
        I(spec.live.mapping.account or ""),
        I(spec.live.mapping.amo_id or ""),
        of_stream(spec.live, "crm"),
        spec.table_name,
        sql.Literal(column.name),
        _reference(spec, column),
        S(" AND late.source = {entity} AND crm.{raw}#>>'{{amo,entity_type}}' = {entity}").format(
            entity=sql.Literal(column.when_entity), raw=I(spec.live.mapping.raw_fields)
        )
        if column.when_entity
        else S(""),
    )


def rows_through(spec: MergeSpec, column: Column, link: Column) -> sql.Composed:
    """The source of a partial merge: a column that takes its value from the row which a late link points to now."""
    parent, table = spec.parents[str(link.link)], spec.live.mapping
    _, second = column.via or ("", "")
    value = S("parent.{}").format(I(second))
    return _partial(spec, S("late.account_id, late.amo_id"), value) + S(
        """
        FROM {} AS late
        JOIN {} AS crm ON crm.{} = late.account_id AND crm.{} = late.amo_id{}
        JOIN {} AS parent ON parent.{} = crm.{}
        WHERE late.table_name = {} AND late.column_name = {} AND parent.{} IS NOT NULL
        """
    ).format(
        _LATE,
        spec.live.identifier,
        I(table.account or ""),
        I(table.amo_id or ""),
        of_stream(spec.live, "crm"),
        parent.identifier,
        I(parent.mapping.id),
        I(link.name),
        spec.table_name,
        sql.Literal(link.name),
        I(second),
    )


def new_names(schema: str) -> sql.Composed:
    """Of the staged names (lines of `records.reference_data`) those that are new or renamed."""
    query = S(
        """
        SELECT DISTINCT ON (given.account_id, given.source, given.ref)
            given.account_id, given.source, given.ref, given.name
        FROM {} AS staged
        CROSS JOIN LATERAL jsonb_to_record(staged.line)
            AS given(seq integer, account_id bigint, source text, ref text, name text)
        WHERE NOT EXISTS (
            SELECT FROM {} AS known
            WHERE known.account_id = given.account_id AND known.source = given.source AND known.ref = given.ref
                AND known.name = given.name
        )
        ORDER BY given.account_id, given.source, given.ref, given.seq DESC
        """
    ).format(LINES, I(schema, "sync_lookups"))
    return make("named", query)


def write_names(schema: str) -> sql.Composed:
    """Writes the names that are new or changed."""
    return S(
        """
        INSERT INTO {} (account_id, source, ref, name)
        SELECT account_id, source, ref, name FROM {}
        ON CONFLICT (account_id, source, ref) DO UPDATE SET name = excluded.name
        """
    ).format(I(schema, "sync_lookups"), _NAMED)


def named_rows(spec: MergeSpec, column: Column) -> sql.Composed:
    """The source of a partial merge: one name column of the rows that use a new or changed name."""
    table, ref = spec.live.mapping, _reference(spec, column)
    rows = S("crm.{} AS account_id, crm.{} AS amo_id").format(I(table.account or ""), I(table.amo_id or ""))
    return _partial(spec, rows, ref) + S(
        """
        FROM {} AS crm
        JOIN {} AS named ON named.account_id = crm.{} AND named.source = {} AND named.ref = {}{}
        """
    ).format(
        spec.live.identifier,
        _NAMED,
        I(table.account or ""),
        sql.Literal(column.lookup),
        ref,
        of_stream(spec.live, "crm"),
    )


def unmatched(spec: MergeSpec) -> sql.Composed:
    """Of the staged records of a table that is only matched, those without a row (`Unmatched`)."""
    return S(
        """
        SELECT staged.account_id, staged.amo_id, staged.document->'amo'->>'name', staged.document->'amo'->>'email'
        FROM {} AS staged
        WHERE NOT EXISTS (
            SELECT FROM {} AS known
            WHERE known.account_id = staged.account_id AND known.table_name = {} AND known.amo_id = staged.amo_id
                AND known.row_id IS NOT NULL
        )
        ORDER BY staged.account_id, staged.amo_id
        """
    ).format(spec.temp("stage"), spec.control("sync_keys"), spec.table_name)
