"""SQL that gathers what an undo starts from: the run's entries in the journal, the rows it inserted, their locks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable
from target_crm.mapping.model import ItemSet
from target_crm.sql.rules import is_undone
from target_crm.sql.spec import I, S
from target_crm.sql.staging_table import StagingTable, drop, make
from target_crm.sql.typed import as_key
from target_crm.sql.untouched import OWN

# What a key of a family looks like: a table may have had other keys once, which are not keys of any row now.
KEYS = {
    "uuid": "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
    "integer": "^-?[0-9]{1,18}$",
}
ENTRIES, BORN = StagingTable("undo_entries"), StagingTable("undo_born")
DROP = drop("undo_entries", "undo_born")


def entries(changes: sql.Composable, runs: sql.Composable, run: int, *, same_cell: bool) -> sql.Composed:
    """The table undo_entries: one row for each cell or row that the run changed, with what was before its first write
    and after its last, and whether a later run that is not undone wrote the row (with `same_cell`: that cell), too."""
    cell = S("AND later.column_name IN (entry.column_name, '*')") if same_cell else S("")
    query = S(
        "SELECT entry.*, EXISTS (SELECT FROM {changes} AS later WHERE later.row_id = entry.row_id "
        "AND later.table_name = entry.table_name AND later.run_id > {run} {cell} "
        "AND NOT {later_undone} AND NOT EXISTS (SELECT FROM {runs} AS run WHERE run.id = later.run_id "
        "AND run.undoes IS NOT NULL AND NOT {undo_undone})) AS rewritten "
        "FROM (SELECT table_name, row_id, column_name, (array_agg(old_value ORDER BY id))[1] AS old_value, "
        "(array_agg(new_value ORDER BY id DESC))[1] AS new_value FROM {changes} WHERE run_id = {run} "
        "GROUP BY table_name, row_id, column_name) AS entry "
        "WHERE NOT (entry.column_name = '*' AND entry.old_value IS NULL AND entry.new_value IS NULL)"
    ).format(
        changes=changes,
        runs=runs,
        cell=cell,
        run=sql.Literal(run),
        later_undone=is_undone(runs, S("later.run_id")),
        undo_undone=is_undone(runs, S("later.run_id")),
    )
    return make("undo_entries", query)


def drop_foreign_keys_of(table: str, family: str) -> sql.Composed | None:
    """Leaves out entries whose row can't be in the table as it is now; None where any text is a key."""
    if family not in KEYS:
        return None
    return S("DELETE FROM {} WHERE table_name = {} AND row_id !~ {}").format(
        ENTRIES, sql.Literal(table), sql.Literal(KEYS[family])
    )


def leave_out(table: str, keys: Sequence[str]) -> sql.Composed:
    """Marks rows as ones that the undo leaves; those that it would have written."""
    return S(
        "UPDATE {} SET rewritten = true WHERE table_name = {} AND row_id = ANY({}) AND NOT rewritten RETURNING row_id"
    ).format(ENTRIES, sql.Literal(table), sql.Literal(list(keys)))


def leave_out_items(item_set: ItemSet, keys: Sequence[str]) -> sql.Composed:
    """Likewise for the items of rows."""
    return S(
        "UPDATE {} SET rewritten = true WHERE table_name = {} "
        "AND coalesce(new_value, old_value)->>{} = ANY({}) AND NOT rewritten RETURNING row_id"
    ).format(ENTRIES, sql.Literal(item_set.table), sql.Literal(item_set.parent), sql.Literal(list(keys)))


INDEX_ENTRIES = [
    S("CREATE INDEX ON {} (table_name, column_name, row_id)").format(ENTRIES),
    S("ANALYZE {}").format(ENTRIES),
]
COUNT_REWRITTEN = S("SELECT table_name, count(DISTINCT row_id) AS n FROM {} WHERE rewritten GROUP BY 1").format(ENTRIES)


def born(live: Sequence[LiveTable]) -> sql.Composed:
    """The table undo_born: rows that the run inserted.

    `own` is what the journal keeps of columns that the mapping does not know (of a returned row, all of it), `lasting`
    what the run left in the mapped columns.
    """
    whole = S("CASE {} END").format(
        S(" ").join(
            S("WHEN inserted.table_name = {} THEN inserted.new_value ? {}").format(
                sql.Literal(table.mapping.table), sql.Literal(table.mapping.raw_fields)
            )
            for table in live
        )
    )
    query = S(
        "SELECT found.table_name, found.row_id, found.own, "
        "found.new_value || found.own || coalesce(later.cells, '{{}}') AS lasting "
        "FROM (SELECT inserted.table_name, inserted.row_id, inserted.new_value, CASE WHEN {whole} THEN "
        "inserted.new_value "
        "ELSE coalesce(inserted.new_value->{own}, '{{}}') END AS own FROM {entries} AS inserted "
        "WHERE inserted.column_name = '*' AND inserted.old_value IS NULL AND inserted.table_name = "
        "ANY({tables})) AS found "
        "LEFT JOIN (SELECT table_name, row_id, jsonb_object_agg(column_name, new_value) AS cells FROM {entries} "
        "WHERE column_name <> '*' GROUP BY 1, 2) AS later ON later.table_name = found.table_name "
        "AND later.row_id = found.row_id"
    ).format(
        whole=whole,
        own=sql.Literal(OWN),
        tables=sql.Literal([table.mapping.table for table in live]),
        entries=ENTRIES,
    )
    return make("undo_born", query)


INDEX_BORN = [S("CREATE INDEX ON {} (table_name, row_id)").format(BORN), S("ANALYZE {}").format(BORN)]
# Inserted rows go or stay as they are: what else the run wrote in them is not a separate entry.
FORGET_CELLS_OF_BORN = S(
    "DELETE FROM {} AS entry USING {} AS inserted "
    "WHERE entry.table_name = inserted.table_name AND entry.row_id = inserted.row_id AND entry.column_name <> '*'"
).format(ENTRIES, BORN)


def forget_items_of_born(item_set: ItemSet, parent: LiveTable) -> sql.Composed:
    """Likewise for the items that the run gave to rows which it inserted."""
    return S(
        "DELETE FROM {} AS entry USING {} AS inserted WHERE entry.table_name = {} AND inserted.table_name = {} "
        "AND inserted.row_id = coalesce(entry.new_value, entry.old_value)->>{}"
    ).format(
        ENTRIES, BORN, sql.Literal(item_set.table), sql.Literal(parent.mapping.table), sql.Literal(item_set.parent)
    )


def lock_rows(live: LiveTable) -> sql.Composed:
    """Locks a table's rows that the undo is about, in their keys' order: who edits them, or gives them a new row
    that points at them, is waited for or waits."""
    key = as_key(live, S("entry.row_id"))
    return S(
        "SELECT FROM {table} AS crm WHERE crm.{id} IN (SELECT {key} FROM {entries} AS entry WHERE "
        "entry.table_name = {name} "
        "AND NOT entry.rewritten) ORDER BY crm.{id} FOR UPDATE"
    ).format(
        table=live.identifier, id=I(live.mapping.id), key=key, name=sql.Literal(live.mapping.table), entries=ENTRIES
    )


def lock_items(item_set: ItemSet, live: LiveTable, parent: LiveTable) -> sql.Composed:
    """Locks the rows of a set: those that the run wrote, and those of rows that it inserted."""
    kind = S(live.columns[item_set.id].type_sql)
    return S(
        "SELECT FROM {table} AS item WHERE item.{id} IN (SELECT entry.row_id::{kind} FROM {entries} AS entry "
        "WHERE entry.table_name = {name} AND NOT entry.rewritten UNION ALL SELECT own_item.{id} FROM {table} "
        "AS own_item WHERE own_item.{owner} IN "
        "(SELECT {key} FROM {born} AS inserted WHERE inserted.table_name = {parent})) ORDER BY item.{id} FOR UPDATE"
    ).format(
        table=live.identifier,
        id=I(item_set.id),
        kind=kind,
        name=sql.Literal(item_set.table),
        owner=I(item_set.parent),
        key=as_key(parent, S("inserted.row_id")),
        parent=sql.Literal(parent.mapping.table),
        entries=ENTRIES,
        born=BORN,
    )


def moved_base(changes: sql.Composable, run: int, documents: Iterable[str]) -> sql.Composed:
    """One row if the run wrote whole rows or documents, not cells alone."""
    return S("SELECT 1 FROM {} WHERE run_id = {} AND column_name = ANY({}) LIMIT 1").format(
        changes, sql.Literal(run), sql.Literal(["*", *documents])
    )
