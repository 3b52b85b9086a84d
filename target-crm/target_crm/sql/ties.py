"""SQL that ties rows to records, and its entries in the journal.

An entry of column `TIE` holds on either side the row's ids of amoCRM, its stamps, and its line of `sync_keys`; an
undoing puts these back (`sql.undo_ties`).
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.sql.spec import I, MergeSpec, S, comma, trusted
from target_crm.sql.staging_table import on_citus
from target_crm.sql.untouched import stamps_of

# The column of such an entry; no column of a table is called that.
TIE = "@tie"


def stamps_kept(live: LiveTable) -> list[str]:
    """The stamps that such an entry keeps: all but the mark of deletion, which has entries of its own."""
    if live.mapping.match_only:
        return []
    return sorted(stamps_of(live) - {live.mapping.service.get("amo_deleted_at")})


def tie_document(live: LiveTable, schema: str, rule: sql.Composable) -> sql.Composed:
    """What the journal keeps of row `t`, whose record is (`g.a`, `g.i`) or that of its own ids."""
    table = live.mapping
    stamps = [S("{}, t.{}").format(sql.Literal(name), I(name)) for name in stamps_kept(live)]
    if table.match_only:
        ids: sql.Composable = S("NULL::bigint, 'amo_id', NULL::bigint")
    else:
        ids = S("t.{}, 'amo_id', t.{}").format(I(table.account or ""), I(table.amo_id or ""))
    return S(
        "jsonb_build_object('of', jsonb_build_array(g.a, g.i), 'account_id', {ids}, 'rule', {rule}, "
        "'stamps', jsonb_build_object({stamps}), "
        "'key', (SELECT to_jsonb(k) FROM {keys} AS k WHERE k.account_id = g.a AND k.table_name = {name} "
        "AND k.amo_id = g.i))"
    ).format(
        ids=ids,
        rule=rule,
        stamps=comma(stamps),
        keys=I(schema, "sync_keys"),
        name=sql.Literal(table.table),
    )


def _given(ties: Sequence[tuple[int, int, str, str]]) -> sql.Composed:
    columns = [[tie[place] for tie in ties] for place in range(4)]
    return S("unnest({}::bigint[], {}::bigint[], {}::text[], {}::text[]) AS g(a, i, row_id, rule)").format(
        *map(sql.Literal, columns)
    )


_JOURNAL = """
    INSERT INTO {changes} (run_id, table_name, row_id, column_name, old_value, new_value)
    SELECT {run}, {name}, d.id::text, {tie}, d.before, jsonb_build_object('of', jsonb_build_array(d.a, d.i),
        'account_id', d.a, 'amo_id', d.i, 'rule', d.rule) FROM done AS d ORDER BY d.a, d.i
"""
_TIE = """
    WITH old AS MATERIALIZED (SELECT t.{id} AS id, g.a, g.i, g.rule, {before} AS before FROM {given}
        JOIN {table} AS t ON t.{id} = g.row_id::{type} WHERE t.{amo_id} IS NULL ORDER BY t.{id}{locked}),
    done AS (UPDATE {table} AS t SET {account} = old.a, {amo_id} = old.i FROM old
        WHERE t.{id} = old.id AND t.{amo_id} IS NULL
        RETURNING old.*),
    known AS (INSERT INTO {keys} (account_id, table_name, amo_id) SELECT d.a, {name}, d.i FROM done AS d
        ON CONFLICT DO NOTHING)
"""
# Citus 13.2.2 can't read the result of a part that locks rows which it joined with something else than a table.
_LOCKED = on_citus(S(" FOR UPDATE OF t"), S(""))
# Of tables whose rows are only matched sync_keys alone tells which row is whose.
_MATCH = """
    WITH done AS MATERIALIZED (SELECT t.{id} AS id, g.a, g.i, g.rule, {before} AS before FROM {given}
        JOIN {table} AS t ON t.{id} = g.row_id::{type}),
    known AS (INSERT INTO {keys} AS k (account_id, table_name, amo_id, row_id)
        SELECT d.a, {name}, d.i, d.id::text FROM done AS d
        ON CONFLICT (account_id, table_name, amo_id) DO UPDATE SET row_id = excluded.row_id)
"""


_TIE_EMPTIED = """
    WITH given AS (SELECT s.account_id AS a, s.amo_id AS i, k.row_id FROM {seen} AS s
        JOIN {keys} AS k ON k.account_id = s.account_id
        AND k.table_name = {name} AND k.amo_id = s.amo_id WHERE k.row_id IS NOT NULL),
    old AS MATERIALIZED (SELECT t.{id} AS id, g.a, g.i, NULL::text AS rule, {before} AS before FROM given AS g
        JOIN {table} AS t ON t.{id} = g.row_id::{type} WHERE t.{amo_id} IS NULL ORDER BY t.{id}{locked}),
    done AS (UPDATE {table} AS t SET {account} = old.a, {amo_id} = old.i FROM old
        WHERE t.{id} = old.id AND t.{amo_id} IS NULL
        RETURNING old.*)
"""


def tie_emptied(spec: MergeSpec) -> sql.Composed:
    """Gives rows whose ids are empty back to those seen records whose rows they are by sync_keys; as many as it
    touches."""
    live, table = spec.live, spec.live.mapping
    return S(_TIE_EMPTIED + _JOURNAL).format(
        seen=spec.temp("seen"),
        keys=spec.control("sync_keys"),
        name=spec.table_name,
        id=I(table.id),
        before=tie_document(live, spec.schema, S("NULL::text")),
        table=live.identifier,
        type=spec.key_type,
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        changes=spec.control("sync_changes"),
        run=spec.run,
        tie=sql.Literal(TIE),
        locked=_LOCKED,
    )


def tie_rows(live: LiveTable, schema: str, run_id: int, ties: Sequence[tuple[int, int, str, str]]) -> sql.Composed:
    """Gives rows to records (account, id, row, rule), with the journal; rows that belong to one are left alone. It
    touches as many rows as it ties."""
    table = live.mapping
    return S((_MATCH if table.match_only else _TIE) + _JOURNAL).format(
        id=I(table.id),
        before=tie_document(live, schema, S("NULL::text")),
        given=_given(ties),
        table=live.identifier,
        type=trusted(live.columns[table.id].type_sql),
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        keys=I(schema, "sync_keys"),
        name=sql.Literal(table.table),
        changes=I(schema, "sync_changes"),
        run=sql.Literal(run_id),
        tie=sql.Literal(TIE),
        locked=_LOCKED,
    )
