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
from target_crm.sql.journal import write_entries
from target_crm.sql.pointing import unreferenced
from target_crm.sql.spec import I, MergeSpec, S, comma, tail
from target_crm.sql.staging import set_base, set_moves
from target_crm.sql.staging_table import drop, make
from target_crm.sql.stored import STORED, object_of
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
        return S("child.{}").format(I(self.item_set.columns[role]))

    @property
    def base(self) -> sql.Composed:
        """The related row's own base."""
        return S("(child.{}->'amo_values')").format(I(self.item_set.raw_fields))

    @property
    def untouched(self) -> sql.Composed:
        """Whether what amoCRM sent for the related row is still in it."""
        return item_roles_untouched(self.item_set, "child")

    def coming(self, role: str) -> sql.Composable:
        """What the column of that role becomes."""
        return item_value(self.item_set, role, S("item.{}").format(I(role)))

    def journalled(self, changes: sql.Composable) -> sql.Composed:
        """The statement with its changes (`..., changed AS (...)`) written to the journal: whole rows, column `*`."""
        entries = S("SELECT row_id, '*', old_value, new_value FROM changed")
        return write_entries(self.spec.schema, self.spec.run_id, self.item_set.table, entries, changes)

    @property
    def id(self) -> sql.Identifier:
        """The related table's primary key."""
        return I(self.item_set.id)


def create_items(s: SetSpec) -> list[sql.Composed]:
    """The parents whose items differ from the last time, and their items; `fresh` ones did not come before."""
    owners, items = s.spec.temp("owners"), s.spec.temp("theirs")
    return [
        drop(s.spec.staging_name("owners"), s.spec.staging_name("theirs")),
        make(
            s.spec.staging_name("owners"),
            S("SELECT plan.seq, plan.row_id AS owner_id, plan.{} AS base FROM {} AS plan WHERE plan.{}").format(
                set_base(s.index), s.spec.plan, set_moves(s.index)
            ),
        ),
        make(
            s.spec.staging_name("theirs"),
            S(
                """
                SELECT
                    owner.owner_id, item.*,
                    NOT coalesce(owner.base @> jsonb_build_array(jsonb_build_object('k', item.item_key)), false)
                        AS fresh
                FROM {} AS owner
                JOIN {} AS item ON item.seq = owner.seq AND item.set_number = {}
                """
            ).format(owners, s.spec.temp("items"), sql.Literal(s.index)),
        ),
        S("ANALYZE {}").format(owners),
        S("ANALYZE {}").format(items),
    ]


def _gone(s: SetSpec, live: LiveTable) -> sql.Composed:
    """Child rows of `owner` that came with them, are gone from amoCRM, and that nobody edited."""
    return S(
        """
        child.{parent} = owner.owner_id
        AND owner.base @> jsonb_build_array(jsonb_build_object('k', {base}->>'key'))
        AND NOT EXISTS (
            SELECT FROM {items} AS item WHERE item.owner_id = owner.owner_id AND item.item_key = {base}->>'key'
        )
        AND {untouched}
        """
    ).format(
        parent=I(s.item_set.parent),
        base=s.base,
        items=s.spec.temp("theirs"),
        untouched=item_untouched(s.item_set, live, "child"),
    )


def lock_gone(s: SetSpec, live: LiveTable) -> sql.Composed:
    """Locks what is to be removed: from then on nobody can edit it or point at it."""
    return S(
        """
        SELECT FROM {table} AS child
        WHERE child.{id} IN (SELECT child.{id} FROM {table} AS child JOIN {owners} AS owner ON {gone})
        ORDER BY child.{id} FOR UPDATE
        """
    ).format(table=live.identifier, id=s.id, owners=s.spec.temp("owners"), gone=_gone(s, live))


def remove_items(s: SetSpec, live: LiveTable, pointing: Sequence[ForeignKey]) -> sql.Composed:
    """Removes what came before, is gone from amoCRM, and nobody edited or points at.

    `live` is the set's table as it is now, `pointing` the foreign keys that point at it.
    """
    return s.journalled(
        S(
            """
            gone AS MATERIALIZED (
                SELECT child.{id} AS child_id FROM {table} AS child JOIN {owners} AS owner ON {gone} WHERE {free}
            ),
            removed AS (
                DELETE FROM {table} AS child USING gone WHERE child.{id} = gone.child_id RETURNING child.*
            ),
            changed AS (
                SELECT removed.{id}::text AS row_id, to_jsonb(removed.*) AS old_value, NULL::jsonb AS new_value
                FROM removed
            )
            """
        ).format(
            table=live.identifier,
            owners=s.spec.temp("owners"),
            gone=_gone(s, live),
            free=unreferenced(pointing, "child"),
            id=s.id,
        )
    )


def _differs(s: SetSpec) -> sql.Composable:
    """Whether a child row says something else than its item: its kind, its place, its remark."""
    differs = [S("{} IS DISTINCT FROM {}").format(s.column(r), s.coming(r)) for r in s.data if r != "value"]
    return S(" OR ").join(differs) if differs else S("false")


def update_items(s: SetSpec) -> sql.Composed:
    """Follows amoCRM in what else an item says (its kind, its place, its remark), in rows that nobody edited."""
    values = [(s.item_set.columns[r], s.coming(r)) for r in s.data if r != "value"]
    document = S(
        "CASE WHEN jsonb_typeof(child.{raw}) = 'object' THEN child.{raw} - {name} ELSE '{{}}' END || item.document"
    ).format(raw=I(s.item_set.raw_fields), name=sql.Literal(STORED))
    values.append((s.item_set.raw_fields, document))
    if s.item_set.updated_at:
        values.append((s.item_set.updated_at, S("now()")))
    return s.journalled(
        S(
            """
            chosen_items AS MATERIALIZED (
                SELECT child.{id} AS child_id, to_jsonb(child.*) AS old_value{values}
                FROM {table} AS child
                JOIN {items} AS item ON child.{parent} = item.owner_id AND {base}->>'key' = item.item_key
                WHERE ({differs}) AND {untouched}
                FOR UPDATE OF child
            ),
            written AS (
                UPDATE {table} AS child SET {writes} FROM chosen_items AS item WHERE child.{id} = item.child_id
                RETURNING child.*
            ),
            changed AS (
                SELECT written.{id}::text AS row_id, item.old_value, to_jsonb(written.*) AS new_value
                FROM written JOIN chosen_items AS item ON item.child_id = written.{id}
            )
            """
        ).format(
            table=s.live.identifier,
            values=tail(S("{} AS {}").format(value, I(f"new_{name}")) for name, value in values),
            writes=comma(S("{} = item.{}").format(I(name), I(f"new_{name}")) for name, _ in values),
            items=s.spec.temp("theirs"),
            parent=I(s.item_set.parent),
            base=s.base,
            id=s.id,
            differs=_differs(s),
            untouched=s.untouched,
        )
    )


def insert_items(s: SetSpec) -> sql.Composed:
    """Adds what is new in amoCRM, unless the row exists or a person deleted it."""
    names, values = item_columns(s.item_set, s.live, S("item.owner_id"))
    return s.journalled(
        S(
            """
            missing ({names}) AS MATERIALIZED (
                SELECT {values} FROM {items} AS item WHERE {is_missing} ORDER BY item.seq, item.position
            ),
            added AS (INSERT INTO {table} AS child ({names}) SELECT missing.* FROM missing RETURNING child.*),
            changed AS (
                SELECT added.{id}::text AS row_id, NULL::jsonb AS old_value, to_jsonb(added.*) AS new_value FROM added
            )
            """
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
        S("{} = {}").format(phone_digits(value), phone_digits(S("item.value")))
        if s.item_set.item == "phone"
        else S("{} = item.value").format(text_rules(s.encoding).lower_key(value))
    )
    return S(
        """
        item.fresh AND NOT EXISTS (
            SELECT FROM {table} AS child
            WHERE child.{parent} = item.owner_id AND ({base}->>'key' = item.item_key OR {present})
        )
        """
    ).format(table=s.live.identifier, parent=I(s.item_set.parent), base=s.base, present=present)


def left_over(s: SetSpec) -> sql.Composed:
    """How many items a trigger kept from being added or changed: what is still to be done after it was done."""
    return S(
        """
        SELECT (
            SELECT count(*) FROM {items} AS item WHERE {is_missing}
        ) + (
            SELECT count(*)
            FROM {table} AS child
            JOIN {items} AS item ON child.{parent} = item.owner_id AND {base}->>'key' = item.item_key
            WHERE ({differs}) AND {untouched}
        )
        """
    ).format(
        items=s.spec.temp("theirs"),
        is_missing=_is_missing(s),
        table=s.live.identifier,
        parent=I(s.item_set.parent),
        base=s.base,
        differs=_differs(s),
        untouched=s.untouched,
    )


def has_triggers(table: str) -> sql.Composed:
    """One row if triggers run before rows of the table are written (tgtype: 1 for each row, 2 before)."""
    return S(
        "SELECT 1 FROM pg_catalog.pg_trigger AS own WHERE own.tgrelid = {}::regclass AND NOT own.tgisinternal "
        "AND own.tgtype & 3 = 3 LIMIT 1"
    ).format(sql.Literal(table))


def last_entry(s: SetSpec) -> sql.Composed:
    """The last entry of the run in the journal."""
    return S("SELECT coalesce(max(id), 0) FROM {} WHERE run_id = {}").format(s.spec.control("sync_changes"), s.spec.run)


def _stored_forms(s: SetSpec) -> sql.Composed:
    """What the database made of the values of row `child`, by role, where that is another spelling."""
    return object_of(
        S(", ").join(
            S("({role}, CASE WHEN {now} IS DISTINCT FROM nullif({base}->>{role}, '') THEN {now} END)").format(
                role=sql.Literal(role), now=S("nullif({}::text, '')").format(s.column(role)), base=s.base
            )
            for role in s.data
        )
    )


def _own_forms(s: SetSpec) -> sql.Composable:
    """What row `child` got in columns of the application's own of which only the database knows; NULL for nothing."""
    filled = item_filled_columns(s.item_set, s.live)
    if not filled:
        return S("NULL::jsonb")
    return object_of(
        S(", ").join(S("({}, child.{}::text)").format(sql.Literal(OWN_PREFIX + name), I(name)) for name in filled)
    )


def _all_forms(s: SetSpec, own: sql.Composable) -> sql.Composed:
    return S("nullif(coalesce({}, '{{}}') || coalesce({}, '{{}}'), '{{}}')").format(_stored_forms(s), own)


def remember_stored(s: SetSpec, since: int) -> sql.Composed:
    """Keeps beside the bases how the database spelt what was written since that entry of the journal, there, too.

    What it filled into columns of the application's own is kept of new items; later somebody may have edited it.
    """
    own = S(
        """
        CASE WHEN entry.old_value IS NULL THEN {new} ELSE (
            SELECT jsonb_object_agg(form.key, form.value)
            FROM jsonb_each(
                CASE
                    WHEN jsonb_typeof(entry.old_value->{raw}->{name}) = 'object' THEN entry.old_value->{raw}->{name}
                END
            ) AS form
            WHERE starts_with(form.key, {prefix})
        ) END
        """
    ).format(
        new=_own_forms(s),
        raw=sql.Literal(s.item_set.raw_fields),
        name=sql.Literal(STORED),
        prefix=sql.Literal(OWN_PREFIX),
    )
    return S(
        """
        WITH written AS (
            UPDATE {table} AS child SET {raw} = child.{raw} || jsonb_build_object({name}, {forms})
            FROM {journal} AS entry
            WHERE entry.run_id = {run} AND entry.id > {since} AND entry.table_name = {table_name}
                AND entry.column_name = '*' AND entry.new_value IS NOT NULL
                AND child.{id}::text = entry.row_id AND {forms} IS NOT NULL
            RETURNING entry.id AS entry_id, to_jsonb(child.*) AS new_value
        )
        UPDATE {journal} AS entry SET new_value = written.new_value
        FROM written WHERE entry.run_id = {run} AND entry.id = written.entry_id
        """
    ).format(
        table=s.live.identifier,
        raw=I(s.item_set.raw_fields),
        name=sql.Literal(STORED),
        forms=_all_forms(s, own),
        journal=s.spec.control("sync_changes"),
        run=s.spec.run,
        since=sql.Literal(since),
        table_name=sql.Literal(s.item_set.table),
        id=s.id,
    )


def remember_stored_of_new(s: SetSpec) -> sql.Composed:
    """The same for the items of new rows."""
    return S(
        """
        UPDATE {table} AS child SET {raw} = child.{raw} || jsonb_build_object({name}, {forms})
        FROM {inserted} AS inserted
        WHERE child.{parent} = inserted.row_id AND {forms} IS NOT NULL
        """
    ).format(
        table=s.live.identifier,
        raw=I(s.item_set.raw_fields),
        name=sql.Literal(STORED),
        forms=_all_forms(s, _own_forms(s)),
        inserted=s.spec.temp("inserted"),
        parent=I(s.item_set.parent),
    )
