"""SQL that puts back what a run changed: cells, documents with the base, whole rows, items of sets."""

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
from target_crm.sql.typed import as_key, as_moment, as_value, left_as
from target_crm.sql.undo_entries import ENTRIES
from target_crm.sql.untouched import DOCUMENT_KEYS, ITEM_COLUMNS, item_as_left

# The time of the record that a document held before.
_TIME_BEFORE = as_moment(S("(e.old_value->'amo'->>'updated_at')"))


@dataclass(frozen=True)
class UndoSpec:
    """An undoing: the schema of the sync_* tables, the run that is undone, the undoing's own number."""

    schema: str
    run: int
    new_run: int

    def control(self, name: str) -> sql.Identifier:
        """One of the loader's own tables."""
        return I(self.schema, name)

    def journalled(self, changes: sql.Composable, table: str) -> sql.Composed:
        """The statement with its changes (`WITH x AS (...)`, old and new value) written to the journal."""
        entries = S("SELECT row_id, column_name, old_value, new_value FROM x")
        return changes + write_entries(self.schema, self.new_run, table, entries)


class CellSpec:
    """One column of one table: its entries `e`, the rows `t`, and what must hold for a cell to go back."""

    def __init__(self, live: LiveTable, column: str, links: Iterable[ForeignKey]) -> None:
        self.live, self.column = live, column
        name = live.mapping.table
        self.entries = S("e.table_name = {} AND e.column_name = {} AND NOT e.rewritten AND t.{} = {}").format(
            sql.Literal(name), sql.Literal(column), I(live.mapping.id), as_key(live, S("e.row_id"))
        )
        self.old = as_value(live, column, S("e.old_value"))
        # Triggers of the application may have spelled it in their own way.
        self.same = S("({} IS NOT DISTINCT FROM {} OR {} IS TRUE)").format(
            live.cell("t", column), as_value(live, column, S("e.new_value")), left_as(live, column)
        )
        self.possible: sql.Composable = self.same
        there = [
            S("EXISTS (SELECT FROM {} AS p WHERE p.{} = {})").format(
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
    return S("SELECT count(*) AS n FROM {undo_entries} AS e JOIN {} AS t ON {} WHERE NOT ({})").format(
        cell.live.identifier, cell.entries, cell.possible, undo_entries=ENTRIES
    )


def show_left(cell: CellSpec, most: int) -> sql.Composed:
    """A few of them, with the value that is there now."""
    return S(
        "SELECT e.table_name, e.row_id, e.column_name, e.old_value, e.new_value, to_jsonb({}) AS value_now "
        "FROM {undo_entries} AS e JOIN {} AS t ON {} WHERE NOT ({}) ORDER BY e.row_id LIMIT {}"
    ).format(
        cell.live.cell("t", cell.column),
        cell.live.identifier,
        cell.entries,
        cell.possible,
        sql.Literal(most),
        undo_entries=ENTRIES,
    )


def restore_cells(undo: UndoSpec, cell: CellSpec) -> sql.Composed:
    """Puts the cells back whose value is still the one that the run wrote."""
    changes = S(
        "WITH x AS (UPDATE {} AS t SET {} FROM {undo_entries} AS e WHERE {} AND {} "
        "RETURNING e.row_id, e.column_name, e.new_value AS old_value, to_jsonb({}) AS new_value)"
    ).format(
        cell.live.identifier,
        assignment(cell.live, "t", cell.column, cell.old),
        cell.entries,
        cell.possible,
        cell.live.cell("t", cell.column),
        undo_entries=ENTRIES,
    )
    return undo.journalled(changes, cell.live.mapping.table)


def restore_marks(undo: UndoSpec, cell: CellSpec) -> sql.Composed:
    """Puts the keys' marks of deletion back beside those of the rows; of a flag that is set again the time is lost,
    and that of the record stands for it."""
    mark: sql.Composable = S("(e.old_value #>> '{{}}')::timestamptz").format()
    if cell.live.mapping.flag is not None:
        mark = S("CASE WHEN e.old_value = to_jsonb({}) THEN coalesce(k.amo_updated_at, '-infinity') END").format(
            flagged(cell.live)
        )
    return S(
        "UPDATE {} AS k SET amo_deleted_at = {} FROM {undo_entries} AS e "
        "WHERE k.table_name = e.table_name AND k.row_id = e.row_id AND e.table_name = {} "
        "AND e.column_name = {} AND NOT e.rewritten"
    ).format(
        undo.control("sync_keys"),
        mark,
        sql.Literal(cell.live.mapping.table),
        sql.Literal(cell.column),
        undo_entries=ENTRIES,
    )


def restore_documents(undo: UndoSpec, live: LiveTable) -> sql.Composed:
    """Puts the record and the base back, key by key: what else people keep in `raw_fields` stays as it is."""
    table = live.mapping
    raw, keys = I(table.raw_fields), sql.Literal(DOCUMENT_KEYS)
    updated = table.service.get("amo_updated_at")
    stamp: sql.Composable = S("")
    if updated and updated in live.columns:
        stamp = S(", {} = coalesce({}::{}, t.{})").format(
            I(updated), _TIME_BEFORE, S(live.columns[updated].type_sql), I(updated)
        )
    own = S("(coalesce(t.{}, '{{}}') - {}::text[])").format(raw, keys)
    loaders = S(
        "coalesce((SELECT jsonb_object_agg(d.key, d.value) FROM jsonb_each(e.old_value) AS d "
        "WHERE d.key = ANY({}::text[])), '{{}}')"
    ).format(keys)
    empty = S("{}") if live.columns[table.raw_fields].not_null else S("nullif({}, '{{}}')")
    document = empty.format(S("{} || {}").format(own, loaders))
    changes = S(
        "WITH old AS (SELECT t.{id}::text AS row_id, t.{raw} AS doc FROM {table} AS t JOIN {undo_entries} AS e "
        "ON {entries}), "
        "written AS (UPDATE {table} AS t SET {raw} = {document} {stamp} FROM {undo_entries} AS e WHERE {entries} "
        "RETURNING e.row_id), "
        "x AS (SELECT w.row_id, {raw_name}::text AS column_name, old.doc AS old_value, NULL::jsonb AS new_value "
        "FROM written AS w JOIN old USING (row_id)), "
        "k AS (UPDATE {sync_keys} AS k SET record_hash = NULL, is_edited = true, "
        "amo_updated_at = coalesce({before}, k.amo_updated_at) "
        "FROM {undo_entries} AS e WHERE k.table_name = {name} AND e.table_name = {name} AND e.column_name = {raw_name} "
        "AND NOT e.rewritten AND k.row_id = e.row_id)"
    ).format(
        id=I(table.id),
        raw=raw,
        raw_name=sql.Literal(table.raw_fields),
        table=live.identifier,
        name=sql.Literal(table.table),
        entries=S("e.table_name = {} AND e.column_name = {} AND NOT e.rewritten AND t.{} = {}").format(
            sql.Literal(table.table), sql.Literal(table.raw_fields), I(table.id), as_key(live, S("e.row_id"))
        ),
        document=document,
        stamp=stamp,
        before=_TIME_BEFORE,
        sync_keys=undo.control("sync_keys"),
        undo_entries=ENTRIES,
    )
    return undo.journalled(changes, table.table)


def _still_there(link: ForeignKey) -> sql.Composed:
    """Whether what a returning row `r` points at is there; of columns that are empty, nothing need be."""
    empty = S(" OR ").join(S("r.{} IS NULL").format(I(column)) for column in link.columns)
    return S("({} OR EXISTS (SELECT FROM {} AS p WHERE {}))").format(
        empty, link.target_identifier, link.matches("r", "p")
    )


def return_rows(
    undo: UndoSpec, live: LiveTable, key: str, name: str, links: Sequence[ForeignKey], needed: sql.Composable
) -> sql.Composed:
    """Inserts the rows that the run removed, as they were.

    A link to a row that is gone is left empty; a row that can't do without it, or whose place another row has taken,
    does not return. `needed` is what else must hold for a row `r`.
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
        S("CASE WHEN {} THEN r.{} END").format(emptied[c], I(c)) if c in emptied else S("r.{}").format(I(c))
        for c in columns
    ]
    changes = S(
        "WITH x AS (INSERT INTO {table} AS t ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} "
        "FROM {undo_entries} AS e, jsonb_populate_record(NULL::{table}, e.old_value) AS r "
        "WHERE e.table_name = {name} AND e.column_name = '*' "
        "AND e.new_value IS NULL AND NOT e.rewritten AND NOT EXISTS (SELECT FROM {table} AS there "
        "WHERE there.{key} = r.{key}) AND {conditions} ON CONFLICT DO NOTHING "
        "RETURNING t.{key}::text AS row_id, '*'::text AS column_name, NULL::jsonb AS old_value, "
        "to_jsonb(t) AS new_value)"
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
    return S(
        "INSERT INTO {} (account_id, table_name, amo_id, row_id, amo_updated_at, amo_deleted_at) "
        "SELECT t.{account}, {name}, t.{amo_id}, e.row_id, {updated}, {mark} "
        "FROM {undo_entries} AS e JOIN {table} AS t ON t.{id} = {key} WHERE e.table_name = {name} "
        "AND e.column_name = '*' AND e.new_value IS NULL AND NOT e.rewritten "
        "ON CONFLICT (account_id, table_name, amo_id) DO UPDATE SET row_id = excluded.row_id, record_hash = NULL, "
        "amo_updated_at = excluded.amo_updated_at, amo_deleted_at = excluded.amo_deleted_at"
    ).format(
        undo.control("sync_keys"),
        mark=returning_mark(live, "t"),
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        updated=as_moment(S("(t.{}->'amo'->>{})").format(I(table.raw_fields), sql.Literal(table.record.updated_at))),
        name=sql.Literal(table.table),
        table=live.identifier,
        id=I(table.id),
        key=as_key(live, S("e.row_id")),
        undo_entries=ENTRIES,
    )


def count_missing(live: LiveTable, name: str, key: str) -> sql.Composed:
    """How many of the removed rows did not return."""
    return S(
        "SELECT count(*) AS n FROM {undo_entries} AS e WHERE e.table_name = {} AND e.column_name = '*' "
        "AND e.new_value IS NULL AND NOT e.rewritten AND NOT EXISTS (SELECT FROM {} AS t WHERE t.{} = e.row_id::{})"
    ).format(sql.Literal(name), live.identifier, I(key), S(live.columns[key].type_sql), undo_entries=ENTRIES)


# sets


def _item_entries(item_set: ItemSet, live: LiveTable) -> sql.Composed:
    kind = S(live.columns[item_set.id].type_sql)
    return S("e.table_name = {} AND e.column_name = '*' AND NOT e.rewritten AND c.{} = e.row_id::{}").format(
        sql.Literal(item_set.table), I(item_set.id), kind
    )


def remove_added_items(
    undo: UndoSpec, item_set: ItemSet, live: LiveTable, pointing: Sequence[ForeignKey]
) -> sql.Composed:
    """Removes the items that the run added, that are as it left them, and that nothing points at."""
    changes = S(
        "WITH x AS (DELETE FROM {} AS c USING {undo_entries} AS e WHERE {} AND e.old_value IS NULL AND {} AND {} "
        "RETURNING e.row_id, '*'::text AS column_name, to_jsonb(c) AS old_value, NULL::jsonb AS new_value)"
    ).format(
        live.identifier,
        _item_entries(item_set, live),
        item_as_left(item_set, live, "c", S("e.new_value")),
        unreferenced(pointing, "c"),
        undo_entries=ENTRIES,
    )
    return undo.journalled(changes, item_set.table)


def restore_changed_items(undo: UndoSpec, item_set: ItemSet, live: LiveTable) -> sql.Composed:
    """Puts the items back that the run changed and that are as it left them: the columns that loads write."""
    written = [item_set.columns[role] for role in ITEM_COLUMNS if role in item_set.columns]
    written += [item_set.raw_fields, *filter(None, (item_set.updated_at,))]
    changes = S(
        "WITH x AS (UPDATE {} AS c SET {} FROM {undo_entries} AS e, LATERAL jsonb_populate_record(NULL::{}, "
        "e.old_value) AS r WHERE {} AND e.old_value IS NOT NULL AND {} "
        "RETURNING e.row_id, '*'::text AS column_name, e.new_value AS old_value, to_jsonb(c) AS new_value)"
    ).format(
        live.identifier,
        S(", ").join(S("{} = r.{}").format(I(c), I(c)) for c in written),
        live.identifier,
        _item_entries(item_set, live),
        item_as_left(item_set, live, "c", S("e.new_value")),
        undo_entries=ENTRIES,
    )
    return undo.journalled(changes, item_set.table)


def count_left_items(item_set: ItemSet, live: LiveTable) -> sql.Composed:
    """How many items, of those that the run added or changed, are not as it left them; and those that are as it
    left them though it added them, which therefore something points at. To be asked after the others are gone."""
    left = item_as_left(item_set, live, "c", S("e.new_value"))
    return S(
        "SELECT count(*) FILTER (WHERE NOT {left}) AS edited, count(*) FILTER (WHERE {left} AND e.old_value IS NULL) "
        "AS referenced FROM {undo_entries} AS e JOIN {} AS c ON {} WHERE e.new_value IS NOT NULL {restored}"
    ).format(
        live.identifier,
        _item_entries(item_set, live),
        left=left,
        restored=S("AND NOT (e.old_value IS NOT NULL AND {})").format(
            item_as_left(item_set, live, "c", S("e.old_value"))
        ),
        undo_entries=ENTRIES,
    )
