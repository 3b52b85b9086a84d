"""SQL that removes the rows that a run inserted, but for those that somebody edited, added to or points at.

All of them are locked before (`undo_entries.lock_rows`, `lock_items`). `undo_rows` holds one line for each: its key and
why it must stay, NULL for those that go.
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable
from target_crm.mapping.foreign_keys import ForeignKey
from target_crm.mapping.model import Column, ItemSet
from target_crm.mapping.paths import json_path
from target_crm.sql.pointing import POINTING, points_at
from target_crm.sql.spec import I, S
from target_crm.sql.staging_table import StagingTable, drop, insert_from, make
from target_crm.sql.typed import as_key
from target_crm.sql.undo_entries import BORN, ENTRIES
from target_crm.sql.undo_restore import UndoSpec
from target_crm.sql.untouched import item_base, item_untouched, row_untouched

ROWS, REMOVED = StagingTable("undo_rows"), StagingTable("undo_removed")
DROP = drop("undo_rows", "undo_removed")
INDEX = [S("CREATE UNIQUE INDEX ON {} (key)").format(ROWS), S("ANALYZE {}").format(ROWS)]
EDITED, REFERENCED, BY_TRIGGER = "edited", "referenced", "by trigger"
# A removal that is taken back when a trigger kept something.
BEGIN_TRIAL = S("SAVEPOINT removal")
END_TRIAL = S("RELEASE SAVEPOINT removal")
TAKE_TRIAL_BACK = S("ROLLBACK TO SAVEPOINT removal")


def look_at_rows(undo: UndoSpec, live: LiveTable) -> sql.Composed:
    """The table undo_rows: the inserted rows that are still there, and whether somebody edited them."""
    table = live.mapping
    is_same_record = S(
        "EXISTS (SELECT FROM {} AS known WHERE known.account_id = crm.{} AND known.table_name = {} AND "
        "known.amo_id = crm.{} "
        "AND known.row_id = entry.row_id)"
    ).format(undo.control("sync_keys"), I(table.account or ""), sql.Literal(table.table), I(table.amo_id or ""))
    query = S(
        "SELECT crm.{id} AS key, entry.row_id, "
        "CASE WHEN ({untouched} AND {same}) IS NOT TRUE THEN {edited}::text END AS why "
        "FROM {undo_entries} AS entry JOIN {undo_born} AS inserted ON inserted.table_name = entry.table_name "
        "AND inserted.row_id = entry.row_id "
        "JOIN {table} AS crm ON crm.{id} = {key} WHERE entry.table_name = {name} AND entry.column_name = '*' "
        "AND entry.old_value IS NULL AND NOT entry.rewritten"
    ).format(
        id=I(table.id),
        untouched=row_untouched(live, "crm", S("inserted.lasting"), S("inserted.own")),
        same=is_same_record,
        edited=sql.Literal(EDITED),
        table=live.identifier,
        key=as_key(live, S("entry.row_id")),
        name=sql.Literal(table.table),
        undo_entries=ENTRIES,
        undo_born=BORN,
    )
    return make("undo_rows", query)


def keep_rows_with_edited_items(item_set: ItemSet, live: LiveTable, parent: LiveTable) -> sql.Composed:
    """Keeps rows that have items which somebody edited or added, or moved there from another row."""
    came = S("(crm.{}->'amo_values'->{} @> jsonb_build_array(jsonb_build_object('k', {}->>'key')))").format(
        I(parent.mapping.raw_fields), sql.Literal(item_set.name), item_base(item_set, "item")
    )
    return S(
        "UPDATE {undo_rows} AS undone SET why = {} FROM (SELECT DISTINCT undone.key FROM {undo_rows} AS "
        "undone, {} AS item, {} AS crm "
        "WHERE undone.why IS NULL AND item.{} = undone.key AND crm.{} = undone.key AND ({} AND {}) IS NOT "
        "TRUE) AS edited "
        "WHERE edited.key = undone.key"
    ).format(
        sql.Literal(EDITED),
        live.identifier,
        parent.identifier,
        I(item_set.parent),
        I(parent.mapping.id),
        item_untouched(item_set, live, "item"),
        came,
        undo_rows=ROWS,
    )


def keep_pointed_at(key: ForeignKey, live: LiveTable, *, within: bool) -> sql.Composed:
    """Keeps rows that a foreign key points at. `within`: it is of the same table, and what goes itself does not count;
    to be repeated until nothing more is kept."""
    only: sql.Composable | None = None
    if within:
        only = S("NOT EXISTS (SELECT FROM {undo_rows} AS going WHERE going.key = {}.{} AND going.why IS NULL)").format(
            I(POINTING), I(live.mapping.id), undo_rows=ROWS
        )
    return S(
        "UPDATE {undo_rows} AS undone SET why = {} FROM {} AS crm WHERE undone.why IS NULL AND crm.{} = "
        "undone.key AND {}"
    ).format(sql.Literal(REFERENCED), live.identifier, I(live.mapping.id), points_at(key, "crm", only), undo_rows=ROWS)


def keep_owners_of_pointed_at(key: ForeignKey, item_set: ItemSet, live: LiveTable) -> sql.Composed:
    """Keeps rows of which an item is pointed at by a foreign key: the item would go with them."""
    return S(
        "UPDATE {undo_rows} AS undone SET why = {} FROM {} AS item WHERE undone.why IS NULL AND item.{} = "
        "undone.key AND {}"
    ).format(sql.Literal(REFERENCED), live.identifier, I(item_set.parent), points_at(key, "item"), undo_rows=ROWS)


def remove_items(undo: UndoSpec, item_set: ItemSet, live: LiveTable) -> sql.Composed:
    """Removes the items of the rows that go."""
    changes = S(
        "removed AS (DELETE FROM {table} AS item USING {undo_rows} AS undone WHERE undone.why IS NULL AND "
        "item.{parent} = undone.key "
        "RETURNING item.*), "
        "changed AS (SELECT removed.{id}::text AS row_id, '*'::text AS column_name, to_jsonb(removed.*) AS old_value, "
        "NULL::jsonb AS new_value FROM removed)"
    ).format(table=live.identifier, parent=I(item_set.parent), id=I(item_set.id), undo_rows=ROWS)
    return undo.journalled(changes, item_set.table)


def note_removed(live: LiveTable) -> sql.Composed:
    """The table undo_removed: the records of the rows that go."""
    table = live.mapping
    query = S(
        "SELECT crm.{} AS account, crm.{} AS amo_id FROM {} AS crm JOIN {undo_rows} AS undone ON crm.{} = "
        "undone.key WHERE undone.why IS NULL"
    ).format(I(table.account or ""), I(table.amo_id or ""), live.identifier, I(table.id), undo_rows=ROWS)
    return make("undo_removed", query)


def remove_rows(undo: UndoSpec, live: LiveTable) -> sql.Composed:
    """Removes the rows that go, with their keys; what is known of a deletion in amoCRM is remembered."""
    changes = S(
        "removed AS (DELETE FROM {table} AS crm USING {undo_rows} AS undone WHERE undone.why IS NULL AND "
        "crm.{id} = undone.key "
        "RETURNING crm.*), "
        "changed AS (SELECT removed.{id}::text AS row_id, '*'::text AS column_name, to_jsonb(removed.*) AS old_value, "
        "NULL::jsonb AS new_value FROM removed), "
        "known AS (DELETE FROM {keys} AS known USING {undo_rows} AS undone WHERE undone.why IS NULL AND "
        "known.table_name = {name} "
        "AND known.row_id = undone.row_id AND known.amo_deleted_at IS NULL), "
        "kept AS (UPDATE {keys} AS known SET row_id = NULL, record_hash = NULL, row_version = NULL, "
        "amo_updated_at = NULL "
        "FROM {undo_rows} AS undone WHERE undone.why IS NULL AND known.table_name = {name} AND known.row_id = "
        "undone.row_id "
        "AND known.amo_deleted_at IS NOT NULL)"
    ).format(
        table=live.identifier,
        id=I(live.mapping.id),
        keys=undo.control("sync_keys"),
        name=sql.Literal(live.mapping.table),
        undo_rows=ROWS,
    )
    return undo.journalled(changes, live.mapping.table)


def owners_of_kept(item_set: ItemSet, live: LiveTable) -> sql.Composed:
    """The rows that go of which an item is still there, after their items were removed."""
    return S(
        "SELECT undone.row_id FROM {undo_rows} AS undone WHERE undone.why IS NULL AND EXISTS "
        "(SELECT FROM {} AS item WHERE item.{} = undone.key)"
    ).format(live.identifier, I(item_set.parent), undo_rows=ROWS)


def still_there(live: LiveTable) -> sql.Composed:
    """The rows that go and are still there, after they were removed."""
    return S(
        "SELECT undone.row_id FROM {undo_rows} AS undone JOIN {} AS crm ON crm.{} = undone.key WHERE undone.why IS NULL"
    ).format(live.identifier, I(live.mapping.id), undo_rows=ROWS)


def keep_by_trigger(rows: Iterable[str]) -> sql.Composed:
    """Keeps rows that a trigger does not let go."""
    return S("UPDATE {undo_rows} AS undone SET why = {} WHERE undone.row_id = ANY({})").format(
        sql.Literal(BY_TRIGGER), sql.Literal(sorted(rows)), undo_rows=ROWS
    )


COUNT_KEPT = S("SELECT why, count(*) AS n FROM {undo_rows} WHERE why IS NOT NULL GROUP BY 1").format(undo_rows=ROWS)


def count_pointed_at(key: ForeignKey, live: LiveTable) -> sql.Composed:
    """How many of the rows that are kept for it this foreign key points at."""
    return S(
        "SELECT count(*) AS n FROM {undo_rows} AS undone JOIN {} AS crm ON crm.{} = undone.key WHERE "
        "undone.why = {} AND {}"
    ).format(live.identifier, I(live.mapping.id), sql.Literal(REFERENCED), points_at(key, "crm"), undo_rows=ROWS)


def count_owners_of_pointed_at(key: ForeignKey, item_set: ItemSet, live: LiveTable) -> sql.Composed:
    """The same for a key that points at items."""
    return S(
        "SELECT count(DISTINCT undone.key) AS n FROM {undo_rows} AS undone JOIN {} AS item ON item.{} = "
        "undone.key WHERE undone.why = {} AND {}"
    ).format(live.identifier, I(item_set.parent), sql.Literal(REFERENCED), points_at(key, "item"), undo_rows=ROWS)


def wait_again(undo: UndoSpec, live: LiveTable, column: Column) -> sql.Composed:
    """Records that name a removed row wait for it again: should it come once more, they are linked."""
    table = live.mapping
    record = S("(crm.{}->'amo')").format(I(table.raw_fields))
    entity: sql.Composable = S("true")
    path = column.path[0]
    ref = S("jsonb_path_query_first({}, {}::jsonpath)#>>'{{}}'").format(record, sql.Literal(json_path(path)))
    if "[" not in path:
        ref = S("{}#>>{}").format(record, sql.Literal(path.split(".")))
    if column.when_entity is not None:
        entity = S("{}->>'entity_type' = {}").format(record, sql.Literal(column.when_entity))
    query = S(
        "SELECT crm.{account} AS account_id, {name}::text AS table_name, {column}::text AS column_name, "
        "crm.{amo_id} AS amo_id, {source}::text AS source, gone.amo_id::text AS ref "
        "FROM {undo_removed} AS gone JOIN {table} AS crm ON crm.{account} = gone.account "
        "AND {ref} = gone.amo_id::text AND {entity}"
    ).format(
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        name=sql.Literal(table.table),
        column=sql.Literal(column.name),
        source=sql.Literal(column.link),
        table=live.identifier,
        ref=ref,
        entity=entity,
        undo_removed=REMOVED,
    )
    columns = S("account_id, table_name, column_name, amo_id, source, ref")
    return insert_from(undo.control("sync_pending"), columns, query) + S(" ON CONFLICT DO NOTHING")
