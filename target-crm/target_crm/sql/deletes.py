"""SQL of tombstones: what was deleted, restored or merged away in amoCRM."""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.sql.joins import own_mark, under_name
from target_crm.sql.spec import I, S, of_stream

# Staged as crm_lines lines {a: account, i: entity id, u: deleted at or null, m: merged into, o: restored at}.
_STAGED = S(
    "SELECT DISTINCT ON (x.a, x.i) x.a, x.i, x.u, x.m, x.o FROM crm_lines "
    "CROSS JOIN LATERAL jsonb_to_record(crm_lines.line) AS x(q integer, a bigint, i bigint, u timestamptz, m bigint, "
    "o timestamptz) ORDER BY x.a, x.i, coalesce(x.o, x.u) DESC NULLS LAST, x.q DESC"
)


class DeleteCounts(NamedTuple):
    """The one row of `COUNT_DELETES`."""

    marked: int
    restored: int


def plan_deletes(live: LiveTable, schema: str) -> sql.Composed:
    """What each tombstone does: the row's mark before and after.

    A row that changed since it was deleted is alive; a restore older than the deletion says nothing. A mark that a
    person set stays; one that a person took off comes back with a new deletion alone.
    """
    table = live.mapping
    mark, updated = table.service["amo_deleted_at"], table.service["amo_updated_at"]
    return S(
        "CREATE TEMP TABLE crm_deletes ON COMMIT DROP AS SELECT s.a, s.i, s.u, s.m, s.o, t.{id} AS row_id, "
        "t.{mark} AS old_mark, "
        "CASE WHEN {own} AND (t.{mark} IS NOT NULL OR s.o IS NOT NULL OR s.u <= k.amo_deleted_at) THEN t.{mark} "
        "WHEN s.o IS NOT NULL THEN CASE WHEN t.{mark} > s.o THEN t.{mark} END "
        "WHEN {alive} THEN t.{mark} ELSE greatest(t.{mark}, s.u) END AS new_mark "
        "FROM {staged} AS s LEFT JOIN {table} AS t ON t.{account} = s.a AND t.{amo_id} = s.i{of_stream} "
        "LEFT JOIN {keys} AS k ON k.account_id = s.a AND k.table_name = s.name AND k.amo_id = s.i"
    ).format(
        id=I(table.id),
        mark=I(mark or ""),
        own=own_mark(live),
        alive=S("t.{} > s.u").format(I(updated)) if updated else S("false"),
        staged=under_name(S("({})").format(_STAGED), sql.Literal(table.table)),
        table=live.identifier,
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        of_stream=of_stream(live, "t"),
        keys=I(schema, "sync_keys"),
    )


COUNT_DELETES = S(
    "SELECT count(*) FILTER (WHERE row_id IS NOT NULL AND old_mark IS NULL AND new_mark IS NOT NULL), "
    "count(*) FILTER (WHERE row_id IS NOT NULL AND old_mark IS NOT NULL AND new_mark IS NULL) FROM crm_deletes"
)


def count_live(live: LiveTable) -> sql.Composed:
    """How many rows came from amoCRM and are not marked deleted."""
    return S("SELECT count(*) FROM {} AS t WHERE t.{} IS NOT NULL AND t.{} IS NULL{}").format(
        live.identifier,
        I(live.mapping.amo_id or ""),
        I(live.mapping.service["amo_deleted_at"] or ""),
        of_stream(live, "t"),
    )


def mark_rows(live: LiveTable, schema: str, run_id: int) -> sql.Composed:
    """Marks and unmarks rows, and journals it; nothing else of a row is touched."""
    table = live.mapping
    mark = I(table.service["amo_deleted_at"] or "")
    return S(
        "WITH x AS (UPDATE {table} AS t SET {mark} = d.new_mark FROM crm_deletes AS d "
        "WHERE t.{account} = d.a AND t.{id} = d.row_id AND d.old_mark IS DISTINCT FROM d.new_mark "
        "RETURNING t.{id}::text AS row_id, d.old_mark, d.new_mark) "
        "INSERT INTO {journal} (run_id, table_name, row_id, column_name, old_value, new_value) "
        "SELECT {run}, {name}, x.row_id, {column}, to_jsonb(x.old_mark), to_jsonb(x.new_mark) FROM x"
    ).format(
        table=live.identifier,
        mark=mark,
        account=I(table.account or ""),
        id=I(table.id),
        journal=I(schema, "sync_changes"),
        name=sql.Literal(table.table),
        column=sql.Literal(table.service["amo_deleted_at"]),
        run=sql.Literal(run_id),
    )


def remember_tombstones(live: LiveTable, schema: str) -> sql.Composed:
    """Remembers deletions, also of records that never came: should one come late, it comes as deleted."""
    return S(
        "INSERT INTO {keys} AS k (account_id, table_name, amo_id, amo_deleted_at, merged_into) "
        "SELECT d.a, d.name, d.i, CASE WHEN d.o IS NULL THEN d.u END, d.m FROM {deletes} AS d "
        "WHERE d.o IS NULL OR NOT EXISTS (SELECT FROM {keys} AS known WHERE known.account_id = d.a "
        "AND known.table_name = d.name AND known.amo_id = d.i AND known.amo_deleted_at > d.o) "
        "ON CONFLICT (account_id, table_name, amo_id) DO UPDATE SET amo_deleted_at = CASE WHEN "
        "excluded.amo_deleted_at IS NOT NULL THEN greatest(k.amo_deleted_at, excluded.amo_deleted_at) END, "
        "merged_into = excluded.merged_into "
        "WHERE (k.amo_deleted_at, k.merged_into) IS DISTINCT FROM (excluded.amo_deleted_at, excluded.merged_into)"
    ).format(keys=I(schema, "sync_keys"), deletes=under_name(I("crm_deletes"), sql.Literal(live.mapping.table)))


DROP_DELETES = S("DROP TABLE IF EXISTS crm_deletes")
