"""SQL that restores what a run did to join tables: the rows that it added go, those that it removed return."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from target_crm.mapping.foreign_keys import ForeignKey
from target_crm.sql.pointing import unreferenced
from target_crm.sql.spec import I, S, comma
from target_crm.sql.through import ThroughSpec, row_of
from target_crm.sql.undo_entries import ENTRIES
from target_crm.sql.undo_restore import UndoSpec


def _entries(s: ThroughSpec) -> sql.Composed:
    return S("entry.table_name = {} AND entry.column_name = '*' AND NOT entry.rewritten").format(s.name)


def lock_added(s: ThroughSpec) -> sql.Composed:
    """Locks the rows that the run added and that are as it left them: from then on nobody can point at them."""
    return S(
        "SELECT FROM {table} AS joined WHERE EXISTS (SELECT FROM {undo_entries} AS entry WHERE {entries} "
        "AND entry.old_value IS NULL AND {same}) ORDER BY {own_key} FOR UPDATE"
    ).format(
        table=s.live.identifier,
        same=s.as_written(S("entry.new_value")),
        own_key=s.own_key,
        entries=_entries(s),
        undo_entries=ENTRIES,
    )


def remove_added(undo: UndoSpec, s: ThroughSpec, pointing: Sequence[ForeignKey]) -> sql.Composed:
    """Removes the rows that the run added, that are as it left them, and that none of the foreign keys points at;
    their links are to be made again. `lock_added` comes before."""
    changes = S(
        "gone AS MATERIALIZED (SELECT {own_key} FROM {table} AS joined JOIN {undo_entries} AS entry ON {entries} "
        "WHERE entry.old_value IS NULL AND {same} AND {free} FOR UPDATE OF joined), "
        "removed AS (DELETE FROM {table} AS joined USING gone WHERE {same_row} RETURNING joined.*), "
        "changed AS MATERIALIZED (SELECT {key} AS row_id, '*'::text AS column_name, to_jsonb(removed.*) AS old_value, "
        "NULL::jsonb AS new_value FROM removed), "
        "known AS (UPDATE {links} AS link SET is_made = false, document = NULL FROM changed "
        "WHERE link.table_name = {name} AND link.document = changed.old_value)"
    ).format(
        own_key=s.own_key,
        same_row=s.same_row("gone"),
        key=s.row_key(S("to_jsonb(removed.*)")),
        table=s.live.identifier,
        name=s.name,
        same=s.as_written(S("entry.new_value")),
        free=unreferenced(pointing, "joined"),
        links=s.links,
        entries=_entries(s),
        undo_entries=ENTRIES,
    )
    return undo.journalled(changes, s.through.table)


def return_removed(undo: UndoSpec, s: ThroughSpec) -> sql.Composed:
    """Inserts the rows that the run removed, where both ends are there and nobody linked them again."""
    through = s.through
    columns = [column.name for column in s.live.columns.values() if not column.computed]
    ends = [(s.owner, through.parent), (s.target, through.target)]
    there = S(" AND ").join(
        S("EXISTS (SELECT FROM {} AS linked WHERE linked.{} = returning_row.{})").format(
            live.identifier, I(live.mapping.id), I(name)
        )
        for live, name in ends
    )
    changes = S(
        "old ({columns}) AS MATERIALIZED (SELECT {values} "
        "FROM {undo_entries} AS entry CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, "
        "entry.old_value) AS returning_row "
        "WHERE {entries} AND entry.new_value IS NULL AND {there} AND NOT EXISTS (SELECT FROM {table} AS existing "
        "WHERE existing.{parent} = returning_row.{parent} AND existing.{target} = returning_row.{target})), "
        "added AS (INSERT INTO {table} AS joined ({columns}) OVERRIDING SYSTEM VALUE SELECT old.* FROM old "
        "ON CONFLICT DO NOTHING RETURNING joined.*), "
        "back AS MATERIALIZED (SELECT to_jsonb(added.*) AS doc FROM added), "
        "changed AS (SELECT {key} AS row_id, '*'::text AS column_name, NULL::jsonb AS old_value, returned.doc "
        "AS new_value "
        "FROM back AS returned), "
        "known AS (INSERT INTO {links} (account_id, table_name, amo_id, ref, is_made, document) "
        "SELECT owner.account_id, {name}, owner.amo_id, other.amo_id, true, returned.doc FROM back AS "
        "returned {owner} {other} "
        "ON CONFLICT (account_id, table_name, amo_id, ref) DO UPDATE SET is_made = true, document = excluded.document)"
    ).format(
        table=s.live.identifier,
        entries=_entries(s),
        columns=comma(map(I, columns)),
        values=comma(S("returning_row.{}").format(I(name)) for name in columns),
        name=s.name,
        there=there,
        parent=I(through.parent),
        target=I(through.target),
        key=s.row_key(S("returned.doc")),
        links=s.links,
        owner=row_of(s.owner, s.schema, "owner", S("(returned.doc->>{})").format(sql.Literal(through.parent)), None),
        other=row_of(
            s.target,
            s.schema,
            "other",
            S("(returned.doc->>{})").format(sql.Literal(through.target)),
            S("owner.account_id"),
        ),
        undo_entries=ENTRIES,
    )
    return undo.journalled(changes, through.table)


def count_left(s: ThroughSpec) -> sql.Composed:
    """How many of the added rows stay, since somebody changed them, or as they were, since something points at them. To
    be asked after the others are gone."""
    pair = S(" AND ").join(
        S("joined.{c} = (entry.new_value->>{})::{}").format(
            sql.Literal(name), S(s.live.columns[name].type_sql), c=I(name)
        )
        for name in (s.through.parent, s.through.target)
    )
    return S(
        "SELECT count(*) FILTER (WHERE NOT ({same})) AS edited, count(*) FILTER (WHERE {same}) AS referenced "
        "FROM {undo_entries} AS entry JOIN {table} AS joined ON {pair} WHERE {entries} AND entry.old_value IS NULL"
    ).format(
        table=s.live.identifier,
        pair=pair,
        same=s.as_written(S("entry.new_value")),
        entries=_entries(s),
        undo_entries=ENTRIES,
    )
