"""SQL that puts back what a run did to join tables: the rows that it added go, those that it removed return."""

from __future__ import annotations

from psycopg import sql

from target_crm.sql.spec import I, S, comma
from target_crm.sql.through import ThroughSpec, row_of
from target_crm.sql.undo_entries import ENTRIES
from target_crm.sql.undo_restore import UndoSpec


def _entries(s: ThroughSpec) -> sql.Composed:
    return S("e.table_name = {} AND e.column_name = '*' AND NOT e.rewritten").format(s.name)


def remove_added(undo: UndoSpec, s: ThroughSpec) -> sql.Composed:
    """Removes the rows that the run added and that are as it left them; their links are to be made again."""
    changes = S(
        "gone AS MATERIALIZED (SELECT {own_key} FROM {table} AS c JOIN {undo_entries} AS e ON {entries} "
        "WHERE e.old_value IS NULL AND {same} FOR UPDATE OF c), "
        "removed AS (DELETE FROM {table} AS c USING gone WHERE {same_row} RETURNING c.*), "
        "x AS MATERIALIZED (SELECT {key} AS row_id, '*'::text AS column_name, to_jsonb(removed.*) AS old_value, "
        "NULL::jsonb AS new_value FROM removed), "
        "known AS (UPDATE {links} AS k SET is_made = false, document = NULL FROM x "
        "WHERE k.table_name = {name} AND k.document = x.old_value)"
    ).format(
        own_key=s.own_key,
        same_row=s.same_row("gone"),
        key=s.row_key(S("to_jsonb(removed.*)")),
        table=s.live.identifier,
        name=s.name,
        same=s.as_written(S("e.new_value")),
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
        S("EXISTS (SELECT FROM {} AS o WHERE o.{} = r.{})").format(live.identifier, I(live.mapping.id), I(name))
        for live, name in ends
    )
    changes = S(
        "old ({columns}) AS MATERIALIZED (SELECT {values} "
        "FROM {undo_entries} AS e CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, e.old_value) AS r "
        "WHERE {entries} AND e.new_value IS NULL AND {there} AND NOT EXISTS (SELECT FROM {table} AS d "
        "WHERE d.{parent} = r.{parent} AND d.{target} = r.{target})), "
        "added AS (INSERT INTO {table} AS c ({columns}) OVERRIDING SYSTEM VALUE SELECT old.* FROM old "
        "ON CONFLICT DO NOTHING RETURNING c.*), "
        "back AS MATERIALIZED (SELECT to_jsonb(added.*) AS doc FROM added), "
        "x AS (SELECT {key} AS row_id, '*'::text AS column_name, NULL::jsonb AS old_value, b.doc AS new_value "
        "FROM back AS b), "
        "known AS (INSERT INTO {links} (account_id, table_name, amo_id, ref, is_made, document) "
        "SELECT owner.account_id, {name}, owner.amo_id, other.amo_id, true, b.doc FROM back AS b {owner} {other} "
        "ON CONFLICT (account_id, table_name, amo_id, ref) DO UPDATE SET is_made = true, document = excluded.document)"
    ).format(
        table=s.live.identifier,
        entries=_entries(s),
        columns=comma(map(I, columns)),
        values=comma(S("r.{}").format(I(name)) for name in columns),
        name=s.name,
        there=there,
        parent=I(through.parent),
        target=I(through.target),
        key=s.row_key(S("b.doc")),
        links=s.links,
        owner=row_of(s.owner, s.schema, "owner", S("(b.doc->>{})").format(sql.Literal(through.parent)), None),
        other=row_of(
            s.target, s.schema, "other", S("(b.doc->>{})").format(sql.Literal(through.target)), S("owner.account_id")
        ),
        undo_entries=ENTRIES,
    )
    return undo.journalled(changes, through.table)


def count_left(s: ThroughSpec) -> sql.Composed:
    """How many of the added rows stay, since somebody changed them. To be asked after the others are gone."""
    pair = S(" AND ").join(
        S("c.{c} = (e.new_value->>{})::{}").format(sql.Literal(name), S(s.live.columns[name].type_sql), c=I(name))
        for name in (s.through.parent, s.through.target)
    )
    return S(
        "SELECT count(*) AS n FROM {undo_entries} AS e JOIN {table} AS c ON {pair} WHERE {entries} "
        "AND e.old_value IS NULL"
    ).format(table=s.live.identifier, pair=pair, entries=_entries(s), undo_entries=ENTRIES)
