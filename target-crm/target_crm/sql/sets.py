"""Compiles the merge of a set (phones, e-mails) that lives in a related table, three-way like the columns.

base = the items that came before (in the parent's `raw_fields.amo_values`) and each row's own `raw_fields.amo_values`;
ours = the rows; theirs = the items staged with the parent. What a person added, edited or deleted stays so. Parents
whose items are the same as before are left out: their rows are not even read.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable
from target_crm.mapping.foreign_keys import ForeignKey
from target_crm.sql.expressions import phone_digits
from target_crm.sql.insert import item_columns, item_value
from target_crm.sql.pointing import unreferenced
from target_crm.sql.spec import I, MergeSpec, S, comma
from target_crm.sql.stored import STORED
from target_crm.sql.text import text_rules
from target_crm.sql.untouched import (
    ITEM_COLUMNS,
    OWN_PREFIX,
    item_filled_columns,
    item_roles_untouched,
    item_untouched,
)


class SetSpec:
    """One set of one merge: names of the related table's columns, composed once."""

    def __init__(self, spec: MergeSpec, index: int) -> None:
        self.spec, self.index = spec, index
        self.item_set = spec.live.mapping.sets[index]
        self.live = spec.live.sets[self.item_set.name]
        self.data = [role for role in ITEM_COLUMNS if role in self.item_set.columns]

    @property
    def remembers(self) -> bool:
        """Whether the database may leave something in a row that nobody wrote."""
        return self.live.rewrites or bool(item_filled_columns(self.item_set, self.live))

    @property
    def encoding(self) -> str:
        """The database's encoding."""
        return self.live.columns[self.item_set.columns["value"]].encoding

    def column(self, role: str) -> sql.Composed:
        """A column of the related table by its role."""
        return S("c.{}").format(I(self.item_set.columns[role]))

    @property
    def base(self) -> sql.Composed:
        """The related row's own base."""
        return S("(c.{}->'amo_values')").format(I(self.item_set.raw_fields))

    @property
    def untouched(self) -> sql.Composed:
        """Whether what amoCRM sent for the related row is still in it."""
        return item_roles_untouched(self.item_set, "c")

    def coming(self, role: str) -> sql.Composable:
        """What the column of that role becomes."""
        return item_value(self.item_set, role, S("i.{}").format(I(ITEM_COLUMNS[role])))

    def journalled(self, changes: sql.Composable) -> sql.Composed:
        """The statement with its changes (`WITH x AS (...)`) written to the journal: whole rows, column `*`."""
        return changes + S(
            " INSERT INTO {} (run_id, table_name, row_id, column_name, old_value, new_value) "
            "SELECT {}, {}, x.row_id, '*', x.old_value, x.new_value FROM x"
        ).format(self.spec.control("sync_changes"), self.spec.run, sql.Literal(self.item_set.table))

    @property
    def id(self) -> sql.Identifier:
        """The related table's primary key."""
        return I(self.item_set.id)


def create_items(s: SetSpec) -> list[sql.Composed]:
    """The parents whose items differ from the last time, and their items; `fresh` ones did not come before."""
    owners, items = s.spec.temp("owners"), s.spec.temp("theirs")
    return [
        S("DROP TABLE IF EXISTS {}, {}").format(owners, items),
        S(
            "CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT p.q, p.row_id AS owner, p.{} AS base FROM {} AS p WHERE p.{}"
        ).format(owners, I(f"h{s.index}"), s.spec.plan, I(f"g{s.index}")),
        S(
            "CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT o.owner, x.*, "
            "NOT coalesce(o.base @> jsonb_build_array(jsonb_build_object('k', x.k)), false) AS fresh "
            "FROM {} AS o JOIN {} AS x ON x.q = o.q AND x.s = {}"
        ).format(items, owners, s.spec.temp("items"), sql.Literal(s.index)),
        S("ANALYZE {}").format(owners),
        S("ANALYZE {}").format(items),
    ]


def _gone(s: SetSpec, live: LiveTable) -> sql.Composed:
    """Rows of owners `o` that came with them, are gone from amoCRM, and that nobody edited."""
    return S(
        "c.{parent} = o.owner AND o.base @> jsonb_build_array(jsonb_build_object('k', {base}->>'key')) "
        "AND NOT EXISTS (SELECT FROM {items} AS i WHERE i.owner = o.owner AND i.k = {base}->>'key') AND {untouched}"
    ).format(
        parent=I(s.item_set.parent),
        base=s.base,
        items=s.spec.temp("theirs"),
        untouched=item_untouched(s.item_set, live, "c"),
    )


def lock_gone(s: SetSpec, live: LiveTable) -> sql.Composed:
    """Locks what is to be removed: from then on nobody can edit it or point at it."""
    return S(
        "SELECT FROM {table} AS c WHERE c.{id} IN (SELECT c.{id} FROM {table} AS c JOIN {owners} AS o ON {gone}) "
        "ORDER BY c.{id} FOR UPDATE"
    ).format(table=live.identifier, id=s.id, owners=s.spec.temp("owners"), gone=_gone(s, live))


def remove_items(s: SetSpec, live: LiveTable, pointing: Sequence[ForeignKey]) -> sql.Composed:
    """Removes what came before, is gone from amoCRM, and nobody edited or points at.

    `live` is the set's table as it is now, `pointing` the foreign keys that point at it.
    """
    return s.journalled(
        S(
            "WITH x AS (DELETE FROM {table} AS c USING {owners} AS o WHERE {gone} AND {free} "
            "RETURNING c.{id}::text AS row_id, to_jsonb(c) AS old_value, NULL::jsonb AS new_value)"
        ).format(
            table=live.identifier,
            owners=s.spec.temp("owners"),
            gone=_gone(s, live),
            free=unreferenced(pointing, "c"),
            id=s.id,
        )
    )


def update_items(s: SetSpec) -> sql.Composed:
    """Follows amoCRM in what else an item says (its kind, its place, its remark), in rows that nobody edited."""
    roles = [role for role in s.data if role != "value"]
    writes = [S("{} = {}").format(I(s.item_set.columns[r]), s.coming(r)) for r in roles]
    writes.append(
        S("{raw} = CASE WHEN jsonb_typeof(c.{raw}) = 'object' THEN c.{raw} - {name} ELSE '{{}}' END || i.raw").format(
            raw=I(s.item_set.raw_fields), name=sql.Literal(STORED)
        )
    )
    if s.item_set.updated_at:
        writes.append(S("{} = now()").format(I(s.item_set.updated_at)))
    differs = [S("{} IS DISTINCT FROM {}").format(s.column(r), s.coming(r)) for r in roles]
    return s.journalled(
        S(
            "WITH x AS (UPDATE {table} AS c SET {writes} FROM {items} AS i, {table} AS old "
            "WHERE c.{parent} = i.owner AND {base}->>'key' = i.k AND old.{id} = c.{id} "
            "AND ({differs}) AND {untouched} "
            # c.*, because the staged items have a column c.
            "RETURNING c.{id}::text AS row_id, to_jsonb(old.*) AS old_value, to_jsonb(c.*) AS new_value)"
        ).format(
            table=s.live.identifier,
            writes=comma(writes),
            items=s.spec.temp("theirs"),
            parent=I(s.item_set.parent),
            base=s.base,
            id=s.id,
            differs=S(" OR ").join(differs) if differs else S("false"),
            untouched=s.untouched,
        )
    )


def insert_items(s: SetSpec) -> sql.Composed:
    """Adds what is new in amoCRM, unless the row is there already or a person deleted it."""
    names, values = item_columns(s.item_set, S("x.owner"))
    return s.journalled(
        S(
            "WITH x AS (INSERT INTO {table} AS c ({names}) SELECT {values} FROM {items} AS x WHERE {is_missing} "
            "ORDER BY x.q, x.n "
            "RETURNING c.{id}::text AS row_id, NULL::jsonb AS old_value, to_jsonb(c) AS new_value)"
        ).format(
            table=s.live.identifier,
            names=names,
            values=values,
            items=s.spec.temp("theirs"),
            is_missing=_is_missing(s),
            id=s.id,
        )
    )


def _is_missing(s: SetSpec) -> sql.Composed:
    """Whether an item is new in amoCRM and has no row."""
    value = s.column("value")
    present = (
        S("{} = {}").format(phone_digits(value), phone_digits(S("x.v")))
        if s.item_set.item == "phone"
        else S("{} = x.v").format(text_rules(s.encoding).lower_key(value))
    )
    return S(
        "x.fresh AND NOT EXISTS (SELECT FROM {table} AS c WHERE c.{parent} = x.owner "
        "AND ({base}->>'key' = x.k OR {present}))"
    ).format(table=s.live.identifier, parent=I(s.item_set.parent), base=s.base, present=present)


def left_over(s: SetSpec) -> sql.Composed:
    """How many items a trigger kept from being added or changed: what is still to be done after it was done."""
    roles = [role for role in s.data if role != "value"]
    differs = [S("{} IS DISTINCT FROM {}").format(s.column(r), s.coming(r)) for r in roles]
    return S(
        "SELECT (SELECT count(*) FROM {items} AS x WHERE {is_missing}) + (SELECT count(*) FROM {table} AS c "
        "JOIN {items} AS i ON c.{parent} = i.owner AND {base}->>'key' = i.k WHERE ({differs}) AND {untouched})"
    ).format(
        items=s.spec.temp("theirs"),
        is_missing=_is_missing(s),
        table=s.live.identifier,
        parent=I(s.item_set.parent),
        base=s.base,
        differs=S(" OR ").join(differs) if differs else S("false"),
        untouched=s.untouched,
    )


def has_triggers(table: str) -> sql.Composed:
    """One row if triggers run before rows of the table are written (tgtype: 1 for each row, 2 before)."""
    return S(
        "SELECT 1 FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid = {}::regclass AND NOT g.tgisinternal "
        "AND g.tgtype & 3 = 3 LIMIT 1"
    ).format(sql.Literal(table))


def last_entry(s: SetSpec) -> sql.Composed:
    """The last entry of the run in the journal."""
    return S("SELECT coalesce(max(id), 0) FROM {} WHERE run_id = {}").format(s.spec.control("sync_changes"), s.spec.run)


def _stored_forms(s: SetSpec) -> sql.Composed:
    """What the database made of the values of row `c`, by role, where that is another spelling; NULL for nothing."""
    rows = S(", ").join(
        S("({role}, CASE WHEN {now} IS DISTINCT FROM nullif({base}->>{role}, '') THEN {now} END)").format(
            role=sql.Literal(role), now=S("nullif({}::text, '')").format(s.column(role)), base=s.base
        )
        for role in s.data
    )
    return S(
        "(SELECT jsonb_object_agg(v.role, v.form) FROM (VALUES {}) AS v(role, form) WHERE v.form IS NOT NULL)"
    ).format(rows)


def _own_forms(s: SetSpec) -> sql.Composable:
    """What row `c` got in columns of the application's own of which only the database knows; NULL for nothing."""
    filled = item_filled_columns(s.item_set, s.live)
    if not filled:
        return S("NULL::jsonb")
    rows = S(", ").join(S("({}, c.{}::text)").format(sql.Literal(OWN_PREFIX + name), I(name)) for name in filled)
    return S(
        "(SELECT jsonb_object_agg(v.name, v.form) FROM (VALUES {}) AS v(name, form) WHERE v.form IS NOT NULL)"
    ).format(rows)


def remember_stored(s: SetSpec, since: int) -> sql.Composed:
    """Keeps beside the bases how the database spelt what was written since that entry of the journal, there, too.

    What it filled into columns of the application's own is kept of new items; later somebody may have edited it.
    """
    own = S("CASE WHEN e.old_value IS NULL THEN {} ELSE {} END").format(
        _own_forms(s),
        S("(SELECT jsonb_object_agg(o.key, o.value) FROM jsonb_each({}) AS o WHERE starts_with(o.key, {}))").format(
            S("CASE jsonb_typeof(e.old_value->{raw}->{name}) WHEN 'object' THEN e.old_value->{raw}->{name} END").format(
                raw=sql.Literal(s.item_set.raw_fields), name=sql.Literal(STORED)
            ),
            sql.Literal(OWN_PREFIX),
        ),
    )
    return S(
        "WITH w AS (UPDATE {table} AS c SET {raw} = c.{raw} || jsonb_build_object({name}, {forms}) FROM {journal} AS e "
        "WHERE e.run_id = {run} AND e.id > {since} AND e.table_name = {table_name} AND e.column_name = '*' "
        "AND e.new_value IS NOT NULL AND c.{id}::text = e.row_id AND {forms} IS NOT NULL "
        "RETURNING e.id AS entry, to_jsonb(c.*) AS new_value) "
        "UPDATE {journal} AS e SET new_value = w.new_value FROM w WHERE e.run_id = {run} AND e.id = w.entry"
    ).format(
        table=s.live.identifier,
        raw=I(s.item_set.raw_fields),
        name=sql.Literal(STORED),
        forms=S("nullif(coalesce({}, '{{}}') || coalesce({}, '{{}}'), '{{}}')").format(_stored_forms(s), own),
        journal=s.spec.control("sync_changes"),
        run=s.spec.run,
        since=sql.Literal(since),
        table_name=sql.Literal(s.item_set.table),
        id=s.id,
    )


def remember_stored_of_new(s: SetSpec) -> sql.Composed:
    """The same for the items of new rows."""
    return S(
        "UPDATE {} AS c SET {raw} = c.{raw} || jsonb_build_object({}, {forms}) FROM {} AS b "
        "WHERE c.{} = b.row_id AND {forms} IS NOT NULL"
    ).format(
        s.live.identifier,
        sql.Literal(STORED),
        s.spec.temp("born"),
        I(s.item_set.parent),
        raw=I(s.item_set.raw_fields),
        forms=S("nullif(coalesce({}, '{{}}') || coalesce({}, '{{}}'), '{{}}')").format(_stored_forms(s), _own_forms(s)),
    )
