"""SQL that restores what a run changed: cells, documents with the base, whole rows, items of sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable
from target_crm.mapping.foreign_keys import ForeignKey
from target_crm.mapping.model import ItemSet
from target_crm.sql.document_keys import assignment
from target_crm.sql.journal import write_entries
from target_crm.sql.marks import flagged, returning_mark
from target_crm.sql.pointing import unreferenced
from target_crm.sql.spec import I, S
from target_crm.sql.staging_table import insert_from
from target_crm.sql.typed import as_key, as_moment, as_value, left_as
from target_crm.sql.undo_entries import ENTRIES
from target_crm.sql.untouched import DOCUMENT_KEYS, ITEM_COLUMNS, item_as_left

# The time of the record that a document held before.
_TIME_BEFORE = as_moment(S("(entry.old_value->'amo'->>'updated_at')"))


@dataclass(frozen=True)
class UndoSpec:
    """An undo: the schema of the sync_* tables, the run that is undone, the undo's own number."""

    schema: str
    run: int
    new_run: int

    def control(self, name: str) -> sql.Identifier:
        """One of the loader's own tables."""
        return I(self.schema, name)

    def journalled(self, changes: sql.Composable, table: str) -> sql.Composed:
        """The statement with its changes (`..., x AS (...)`, old and new value) written to the journal."""
        entries = S("SELECT row_id, column_name, old_value, new_value FROM changed")
        return write_entries(self.schema, self.new_run, table, entries, changes)


class CellSpec:
    """One column of one table: its entries `entry`, the rows `crm`, and what must hold for a cell to go back."""

    def __init__(self, live: LiveTable, column: str, links: Iterable[ForeignKey]) -> None:
        self.live, self.column = live, column
        name = live.mapping.table
        self.entries = S(
            "entry.table_name = {} AND entry.column_name = {} AND NOT entry.rewritten AND crm.{} = {}"
        ).format(sql.Literal(name), sql.Literal(column), I(live.mapping.id), as_key(live, S("entry.row_id")))
        self.old = as_value(live, column, S("entry.old_value"))
        # Triggers of the application may have spelled it in their own way.
        self.same = S("({} IS NOT DISTINCT FROM {} OR {} IS TRUE)").format(
            live.cell("crm", column), as_value(live, column, S("entry.new_value")), left_as(live, column)
        )
        self.possible: sql.Composable = self.same
        there = [
            S("EXISTS (SELECT FROM {} AS target WHERE target.{} = {})").format(
                link.target_identifier, I(link.targets[0]), self.old
            )
            for link in links
            if link.columns == (column,) and link.readable
        ]
        if not there:
            return
        # A link to a row that is gone is left empty, as that row's deletion would have left it.
        if live.columns[column].not_null:
            self.possible = S(" AND ").join([self.same, *there])
        else:
            self.old = S("CASE WHEN {} THEN {} END").format(S(" AND ").join(there), self.old)


def columns_of(table: str) -> sql.Composed:
    """The columns of a table that the run wrote."""
    return S("SELECT DISTINCT column_name FROM {undo_entries} WHERE table_name = {} AND column_name <> '*'").format(
        sql.Literal(table), undo_entries=ENTRIES
    )


def count_left(cell: CellSpec) -> sql.Composed:
    """How many cells can't go back."""
    return S("SELECT count(*) AS n FROM {undo_entries} AS entry JOIN {} AS crm ON {} WHERE NOT ({})").format(
        cell.live.identifier, cell.entries, cell.possible, undo_entries=ENTRIES
    )


def show_left(cell: CellSpec, most: int) -> sql.Composed:
    """A few of them, with the value that is there now."""
    return S(
        "SELECT entry.table_name, entry.row_id, entry.column_name, entry.old_value, entry.new_value, "
        "to_jsonb({}) AS value_now "
        "FROM {undo_entries} AS entry JOIN {} AS crm ON {} WHERE NOT ({}) ORDER BY entry.row_id LIMIT {}"
    ).format(
        cell.live.cell("crm", cell.column),
        cell.live.identifier,
        cell.entries,
        cell.possible,
        sql.Literal(most),
        undo_entries=ENTRIES,
    )


def restore_cells(undo: UndoSpec, cell: CellSpec) -> sql.Composed:
    """Puts the cells back whose value is still the one that the run wrote."""
    changes = S(
        "cells AS MATERIALIZED (SELECT crm.{id} AS key, entry.row_id, entry.column_name, entry.new_value AS old_value, "
        "{old} AS value FROM {undo_entries} AS entry JOIN {table} AS crm ON {entries} WHERE {possible}), "
        "written AS (UPDATE {table} AS crm SET {assigned} FROM cells WHERE crm.{id} = cells.key "
        "RETURNING crm.*), "
        "changed AS (SELECT cells.row_id, cells.column_name, cells.old_value, to_jsonb({now}) AS new_value "
        "FROM written JOIN cells ON cells.key = written.{id})"
    ).format(
        id=I(cell.live.mapping.id),
        table=cell.live.identifier,
        assigned=assignment(cell.live, "crm", cell.column, S("cells.value")),
        now=cell.live.cell("written", cell.column),
        old=cell.old,
        entries=cell.entries,
        possible=cell.possible,
        undo_entries=ENTRIES,
    )
    return undo.journalled(changes, cell.live.mapping.table)


def restore_marks(undo: UndoSpec, cell: CellSpec) -> sql.Composed:
    """Puts the keys' marks of deletion back beside those of the rows; of a flag that is set again the time is lost,
    and that of the record stands for it."""
    found: sql.Composable = S("(entry.old_value #>> '{{}}')::timestamptz").format()
    mark: sql.Composable = S("entry.mark")
    if cell.live.mapping.flag is not None:
        found = S("entry.old_value = to_jsonb({})").format(flagged(cell.live))
        mark = S("CASE WHEN entry.mark THEN coalesce(known.amo_updated_at, '-infinity') END")
    return S(
        "UPDATE {keys} AS known SET amo_deleted_at = {mark} FROM (SELECT entry.table_name, entry.row_id, "
        "{found} AS mark "
        "FROM {undo_entries} AS entry WHERE entry.table_name = {name} AND entry.column_name = {column} AND "
        "NOT entry.rewritten OFFSET 0"
        ") AS entry WHERE known.table_name = entry.table_name AND known.row_id = entry.row_id"
    ).format(
        keys=undo.control("sync_keys"),
        mark=mark,
        found=found,
        name=sql.Literal(cell.live.mapping.table),
        column=sql.Literal(cell.column),
        undo_entries=ENTRIES,
    )


def restore_documents(undo: UndoSpec, live: LiveTable) -> sql.Composed:
    """Puts the record and the base back, key by key: what else people keep in `raw_fields` stays as it is."""
    table = live.mapping
    raw, keys = I(table.raw_fields), sql.Literal(DOCUMENT_KEYS)
    updated = table.service.get("amo_updated_at")
    stamp: sql.Composable = S("")
    time: sql.Composable = S("")
    if updated and updated in live.columns:
        time = S(", {}::{} AS stamp").format(_TIME_BEFORE, S(live.columns[updated].type_sql))
        stamp = S(", {} = coalesce(old.stamp, crm.{})").format(I(updated), I(updated))
    own = S("(coalesce(crm.{}, '{{}}') - {}::text[])").format(raw, keys)
    loaders = S(
        "coalesce((SELECT jsonb_object_agg(part.key, part.value) FROM jsonb_each(entry.old_value) AS part "
        "WHERE part.key = ANY({}::text[])), '{{}}')"
    ).format(keys)
    empty = S("{}") if live.columns[table.raw_fields].not_null else S("nullif({}, '{{}}')")
    document = empty.format(S("{} || {}").format(own, loaders))
    changes = S(
        # What is read before it is written must be worked out before: engines with several nodes may read it later.
        "old AS MATERIALIZED (SELECT crm.{id} AS key, entry.row_id, crm.{raw} AS doc, {document} AS new_doc, "
        "{before} AS before"
        "{time} FROM {table} AS crm JOIN {undo_entries} AS entry ON {entries}), "
        "written AS (UPDATE {table} AS crm SET {raw} = old.new_doc {stamp} FROM old WHERE crm.{id} = old.key "
        "RETURNING crm.{id} AS key), "
        "changed AS (SELECT old.row_id, {raw_name}::text AS column_name, old.doc AS old_value, NULL::jsonb AS "
        "new_value "
        "FROM written JOIN old ON old.key = written.key), "
        "known AS (UPDATE {sync_keys} AS known SET record_hash = NULL, is_edited = true, "
        "amo_updated_at = coalesce(entry.before, known.amo_updated_at) FROM (SELECT entry.row_id, {before} AS before "
        "FROM {undo_entries} AS entry WHERE entry.table_name = {name} AND entry.column_name = {raw_name} AND "
        "NOT entry.rewritten "
        "OFFSET 0) AS entry WHERE known.table_name = {name} AND known.row_id = entry.row_id)"
    ).format(
        id=I(table.id),
        raw=raw,
        raw_name=sql.Literal(table.raw_fields),
        table=live.identifier,
        name=sql.Literal(table.table),
        entries=S("entry.table_name = {} AND entry.column_name = {} AND NOT entry.rewritten AND crm.{} = {}").format(
            sql.Literal(table.table), sql.Literal(table.raw_fields), I(table.id), as_key(live, S("entry.row_id"))
        ),
        document=document,
        stamp=stamp,
        time=time,
        before=_TIME_BEFORE,
        sync_keys=undo.control("sync_keys"),
        undo_entries=ENTRIES,
    )
    return undo.journalled(changes, table.table)


def _still_there(link: ForeignKey) -> sql.Composed:
    """Whether what a returning row `restored` points at is there; of columns that are empty, nothing need be."""
    empty = S(" OR ").join(S("restored.{} IS NULL").format(I(column)) for column in link.columns)
    return S("({} OR EXISTS (SELECT FROM {} AS target WHERE {}))").format(
        empty, link.target_identifier, link.matches("restored", "target")
    )


def return_rows(
    undo: UndoSpec, live: LiveTable, key: str, name: str, links: Sequence[ForeignKey], needed: sql.Composable
) -> sql.Composed:
    """Inserts the rows that the run removed, as they were.

    A link to a row that is gone is left empty; a row that can't do without it, or whose place another row has taken,
    does not return. `needed` is what else must hold for a row `restored`.
    """
    emptied: dict[str, sql.Composable] = {}
    conditions: list[sql.Composable] = [needed]
    for link in links:
        if not link.readable or link.table == link.target:
            continue
        optional = [column for column in link.columns if not live.columns[column].not_null]
        if len(link.columns) == 1 and optional:
            emptied[link.columns[0]] = _still_there(link)
        else:
            conditions.append(_still_there(link))
    columns = [column.name for column in live.columns.values() if not column.computed]
    values = [
        S("CASE WHEN {} THEN restored.{} END").format(emptied[c], I(c))
        if c in emptied
        else S("restored.{}").format(I(c))
        for c in columns
    ]
    changes = S(
        "back ({columns}) AS MATERIALIZED (SELECT {values} "
        "FROM {undo_entries} AS entry, jsonb_populate_record(NULL::{table}, entry.old_value) AS restored "
        "WHERE entry.table_name = {name} AND entry.column_name = '*' "
        "AND entry.new_value IS NULL AND NOT entry.rewritten AND NOT EXISTS (SELECT FROM {table} AS there "
        "WHERE there.{key} = restored.{key}) AND {conditions}), "
        "added AS (INSERT INTO {table} AS crm ({columns}) OVERRIDING SYSTEM VALUE SELECT back.* FROM back "
        "ON CONFLICT DO NOTHING RETURNING crm.*), "
        "changed AS (SELECT added.{key}::text AS row_id, '*'::text AS column_name, NULL::jsonb AS old_value, "
        "to_jsonb(added.*) AS new_value FROM added)"
    ).format(
        table=live.identifier,
        columns=S(", ").join(map(I, columns)),
        values=S(", ").join(values),
        name=sql.Literal(name),
        key=I(key),
        conditions=S(" AND ").join(conditions),
        undo_entries=ENTRIES,
    )
    return undo.journalled(changes, name)


def return_keys(undo: UndoSpec, live: LiveTable) -> sql.Composed:
    """Remembers again which records the returned rows are of."""
    table = live.mapping
    query = S(
        "SELECT crm.{account} AS account_id, {name}::text AS table_name, crm.{amo_id} AS amo_id, entry.row_id, "
        "{updated} AS amo_updated_at, {mark} AS amo_deleted_at "
        "FROM {undo_entries} AS entry JOIN {table} AS crm ON crm.{id} = {key} WHERE entry.table_name = {name} "
        "AND entry.column_name = '*' AND entry.new_value IS NULL AND NOT entry.rewritten"
    ).format(
        mark=returning_mark(live, "crm"),
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        updated=as_moment(S("(crm.{}->'amo'->>{})").format(I(table.raw_fields), sql.Literal(table.record.updated_at))),
        name=sql.Literal(table.table),
        table=live.identifier,
        id=I(table.id),
        key=as_key(live, S("entry.row_id")),
        undo_entries=ENTRIES,
    )
    columns = S("account_id, table_name, amo_id, row_id, amo_updated_at, amo_deleted_at")
    return insert_from(undo.control("sync_keys"), columns, query) + S(
        " ON CONFLICT (account_id, table_name, amo_id) DO UPDATE SET row_id = excluded.row_id, record_hash = NULL, "
        "amo_updated_at = excluded.amo_updated_at, amo_deleted_at = excluded.amo_deleted_at"
    )


def count_missing(live: LiveTable, name: str, key: str) -> sql.Composed:
    """How many of the removed rows did not return."""
    return S(
        "SELECT count(*) AS n FROM {undo_entries} AS entry WHERE entry.table_name = {} AND entry.column_name = '*' "
        "AND entry.new_value IS NULL AND NOT entry.rewritten AND NOT EXISTS (SELECT FROM {} AS crm WHERE "
        "crm.{} = entry.row_id::{})"
    ).format(sql.Literal(name), live.identifier, I(key), S(live.columns[key].type_sql), undo_entries=ENTRIES)


# sets


def _item_entries(item_set: ItemSet, live: LiveTable) -> sql.Composed:
    kind = S(live.columns[item_set.id].type_sql)
    return S(
        "entry.table_name = {} AND entry.column_name = '*' AND NOT entry.rewritten AND item.{} = entry.row_id::{}"
    ).format(sql.Literal(item_set.table), I(item_set.id), kind)


def remove_added_items(
    undo: UndoSpec, item_set: ItemSet, live: LiveTable, pointing: Sequence[ForeignKey]
) -> sql.Composed:
    """Removes the items that the run added, that are as it left them, and that nothing points at."""
    changes = S(
        "gone AS MATERIALIZED (SELECT item.{id} AS key FROM {table} AS item JOIN {undo_entries} AS entry ON {entries} "
        "WHERE entry.old_value IS NULL AND {left} AND {free}), "
        "removed AS (DELETE FROM {table} AS item USING gone WHERE item.{id} = gone.key RETURNING item.*), "
        "changed AS (SELECT removed.{id}::text AS row_id, '*'::text AS column_name, to_jsonb(removed.*) AS old_value, "
        "NULL::jsonb AS new_value FROM removed)"
    ).format(
        id=I(item_set.id),
        table=live.identifier,
        entries=_item_entries(item_set, live),
        left=item_as_left(item_set, live, "item", S("entry.new_value")),
        free=unreferenced(pointing, "item"),
        undo_entries=ENTRIES,
    )
    return undo.journalled(changes, item_set.table)


def restore_changed_items(undo: UndoSpec, item_set: ItemSet, live: LiveTable) -> sql.Composed:
    """Puts the items back that the run changed and that are as it left them: the columns that loads write."""
    written = [item_set.columns[role] for role in ITEM_COLUMNS if role in item_set.columns]
    written += [item_set.raw_fields, *filter(None, (item_set.updated_at,))]
    changes = S(
        "items AS MATERIALIZED (SELECT item.{id} AS key, entry.row_id AS of_row, entry.new_value AS "
        "left_value, restored.* "
        "FROM {table} AS item JOIN {undo_entries} AS entry ON {entries} "
        "CROSS JOIN LATERAL (SELECT {values} FROM jsonb_populate_record(NULL::{table}, entry.old_value) AS "
        "old) AS restored "
        "WHERE entry.old_value IS NOT NULL AND {left}), "
        "written AS (UPDATE {table} AS item SET {writes} FROM items WHERE item.{id} = items.key RETURNING item.*), "
        "changed AS (SELECT items.of_row AS row_id, '*'::text AS column_name, items.left_value AS old_value, "
        "to_jsonb(written.*) AS new_value FROM written JOIN items ON items.key = written.{id})"
    ).format(
        id=I(item_set.id),
        table=live.identifier,
        entries=_item_entries(item_set, live),
        values=S(", ").join(S("old.{} AS {}").format(I(c), I(f"old_{c}")) for c in written),
        writes=S(", ").join(S("{} = items.{}").format(I(c), I(f"old_{c}")) for c in written),
        left=item_as_left(item_set, live, "item", S("entry.new_value")),
        undo_entries=ENTRIES,
    )
    return undo.journalled(changes, item_set.table)


def count_left_items(item_set: ItemSet, live: LiveTable) -> sql.Composed:
    """How many items, of those that the run added or changed, are not as it left them; and those that are as it
    left them though it added them, which therefore something points at. To be asked after the others are gone."""
    left = item_as_left(item_set, live, "item", S("entry.new_value"))
    return S(
        "SELECT count(*) FILTER (WHERE NOT {left}) AS edited, count(*) FILTER (WHERE {left} AND "
        "entry.old_value IS NULL) "
        "AS referenced FROM {undo_entries} AS entry JOIN {} AS item ON {} WHERE entry.new_value IS NOT NULL {restored}"
    ).format(
        live.identifier,
        _item_entries(item_set, live),
        left=left,
        restored=S("AND NOT (entry.old_value IS NOT NULL AND {})").format(
            item_as_left(item_set, live, "item", S("entry.old_value"))
        ),
        undo_entries=ENTRIES,
    )
