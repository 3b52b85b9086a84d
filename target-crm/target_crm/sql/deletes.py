"""SQL of tombstones: what was deleted, restored or merged away in amoCRM."""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.sql.joins import under_name
from target_crm.sql.journal import write_entries
from target_crm.sql.links import LINES
from target_crm.sql.marks import is_marked, mark_of, own_mark, written_mark
from target_crm.sql.spec import I, S, of_stream
from target_crm.sql.staging_table import StagingTable, drop, make

# Staged as lines of crm_lines (`records.tombstones`); of each record the newest counts.
_STAGED = S(
    """
    SELECT DISTINCT ON (tombstone.account_id, tombstone.amo_id)
        tombstone.account_id, tombstone.amo_id, tombstone.deleted_at, tombstone.merged_into, tombstone.restored_at
    FROM {} AS line
    CROSS JOIN LATERAL jsonb_to_record(line.line) AS tombstone(
        seq integer, account_id bigint, amo_id bigint, deleted_at timestamptz, merged_into bigint,
        restored_at timestamptz
    )
    ORDER BY tombstone.account_id, tombstone.amo_id,
        coalesce(tombstone.restored_at, tombstone.deleted_at) DESC NULLS LAST, tombstone.seq DESC
    """
).format(LINES)
_DELETES = StagingTable("deletes")
DROP_DELETES = drop("deletes")
COUNT_DELETES = S(
    """
    SELECT
        count(*) FILTER (WHERE row_id IS NOT NULL AND old_mark IS NULL AND new_mark IS NOT NULL),
        count(*) FILTER (WHERE row_id IS NOT NULL AND old_mark IS NOT NULL AND new_mark IS NULL)
    FROM {}
    """
).format(_DELETES)


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
    updated = table.service["amo_updated_at"]
    query = S(
        """
        SELECT
            staged.account_id, staged.amo_id, staged.deleted_at, staged.merged_into, staged.restored_at,
            crm.{id} AS row_id, {mark} AS old_mark,
            CASE
                WHEN {own} AND (
                    {mark} IS NOT NULL OR staged.restored_at IS NOT NULL
                    OR staged.deleted_at <= known.amo_deleted_at
                ) THEN {mark}
                WHEN staged.restored_at IS NOT NULL THEN CASE WHEN {mark} > staged.restored_at THEN {mark} END
                WHEN {alive} THEN {mark}
                ELSE greatest({mark}, staged.deleted_at)
            END AS new_mark
        FROM {staged} AS staged
        LEFT JOIN {table} AS crm ON crm.{account} = staged.account_id AND crm.{amo_id} = staged.amo_id{of_stream}
        LEFT JOIN {keys} AS known
            ON known.account_id = staged.account_id AND known.table_name = staged.table_name
            AND known.amo_id = staged.amo_id
        """
    ).format(
        id=I(table.id),
        mark=mark_of(live, "crm", "known"),
        own=own_mark(live),
        alive=S("crm.{} > staged.deleted_at").format(I(updated)) if updated else S("false"),
        staged=under_name(S("({})").format(_STAGED), sql.Literal(table.table)),
        table=live.identifier,
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        of_stream=of_stream(live, "crm"),
        keys=I(schema, "sync_keys"),
    )
    return make("deletes", query)


def count_live(live: LiveTable) -> sql.Composed:
    """How many rows came from amoCRM and are not marked deleted."""
    return S("SELECT count(*) FROM {} AS crm WHERE crm.{} IS NOT NULL AND NOT {}{}").format(
        live.identifier,
        I(live.mapping.amo_id or ""),
        is_marked(live, "crm"),
        of_stream(live, "crm"),
    )


def marked_keys(most: int) -> sql.Composed:
    """The keys of the first rows that would be marked."""
    return S(
        "SELECT row_id::text FROM {} WHERE row_id IS NOT NULL AND old_mark IS NULL AND new_mark IS NOT NULL "
        "ORDER BY amo_id LIMIT {}"
    ).format(_DELETES, sql.Literal(most))


def mark_rows(live: LiveTable, schema: str, run_id: int) -> sql.Composed:
    """Marks and unmarks rows, and journals it; nothing else of a row is touched."""
    table, mark = live.mapping, I(live.mapping.service["amo_deleted_at"] or "")
    written = written_mark(live, schema, "crm", S("deletes.old_mark"), S("deletes.new_mark"))
    # The time of a mark is in the plan; what a flag held before it was written, only the row itself tells.
    was: sql.Composable = S("")
    values = S("deletes.old_mark AS old_value, deletes.new_mark AS new_value").format()
    if table.flag is not None:
        was = S("JOIN {} AS was ON was.{account} = deletes.account_id AND was.{id} = deletes.row_id").format(
            live.identifier, account=I(table.account or ""), id=I(table.id)
        )
        values = S("was.{mark} AS old_value, crm.{mark} AS new_value").format(mark=mark)
    changes = S(
        """
        marked AS (
            UPDATE {table} AS crm SET {mark} = {written}
            FROM {deletes} AS deletes {was}
            WHERE crm.{account} = deletes.account_id AND crm.{id} = deletes.row_id
                AND deletes.old_mark IS DISTINCT FROM deletes.new_mark
            RETURNING crm.{id}::text AS row_id, {values}
        )
        """
    ).format(
        table=live.identifier,
        mark=mark,
        written=written,
        was=was,
        account=I(table.account or ""),
        id=I(table.id),
        deletes=_DELETES,
        values=values,
    )
    entries = S("SELECT row_id, {}, to_jsonb(old_value), to_jsonb(new_value) FROM marked").format(
        sql.Literal(table.service["amo_deleted_at"])
    )
    return write_entries(schema, run_id, table.table, entries, changes)


def remember_tombstones(live: LiveTable, schema: str) -> sql.Composed:
    """Remembers deletions, also of records that never came: should one come late, it comes as deleted."""
    return S(
        """
        INSERT INTO {keys} AS known (account_id, table_name, amo_id, amo_deleted_at, merged_into)
        SELECT deletes.account_id, deletes.table_name, deletes.amo_id,
            CASE WHEN deletes.restored_at IS NULL THEN deletes.deleted_at END, deletes.merged_into
        FROM {deletes} AS deletes
        WHERE deletes.restored_at IS NULL OR NOT EXISTS (
            SELECT FROM {keys} AS later
            WHERE later.account_id = deletes.account_id AND later.table_name = deletes.table_name
                AND later.amo_id = deletes.amo_id AND later.amo_deleted_at > deletes.restored_at
        )
        ON CONFLICT (account_id, table_name, amo_id) DO UPDATE SET
            amo_deleted_at = CASE WHEN excluded.amo_deleted_at IS NOT NULL
                THEN greatest(known.amo_deleted_at, excluded.amo_deleted_at) END,
            merged_into = excluded.merged_into
        WHERE (known.amo_deleted_at, known.merged_into)
            IS DISTINCT FROM (excluded.amo_deleted_at, excluded.merged_into)
        """
    ).format(keys=I(schema, "sync_keys"), deletes=under_name(_DELETES, sql.Literal(live.mapping.table)))
