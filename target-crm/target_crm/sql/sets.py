"""Compiles the merge of a set (phones, e-mails) that lives in a related table, three-way like the columns.

base = the keys that came before (`raw_fields.amo_values` of the parent) and each row's own `raw_fields.amo_values`;
ours = the rows; theirs = the items staged with the parent. What a person added, edited or deleted stays so.
"""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.mapping.model import ItemSet
from target_crm.sql.expressions import phone_digits
from target_crm.sql.merge import I, MergeSpec, S

SOURCE = "amocrm"
_ITEM_KEYS = {"value": "v", "comment": "c", "type": "t", "position": "n"}


class SetSpec:
    """One set of one merge: names of the related table's columns, composed once."""

    def __init__(self, spec: MergeSpec, item_set: ItemSet, index: int) -> None:
        live = spec.live.sets[item_set.name]
        assert live is not None
        self.spec, self.item_set, self.live = spec, item_set, live
        self.items = S("p.{}").format(I(f"s{index}"))
        self.data = [c for c in ("value", "comment", "type", "position") if c in item_set.columns]

    def column(self, role: str) -> sql.Composed:
        """A column of the related table by its role."""
        return S("c.{}").format(I(self.item_set.columns[role]))

    @property
    def owner(self) -> sql.Composed:
        """The parent's rows beside the plan."""
        table = self.spec.live.mapping
        return S("JOIN {} AS t ON t.{} = p.a AND t.{} = p.i").format(
            self.spec.live.identifier, I(table.account or ""), I(table.amo_id or "")
        )

    @property
    def theirs(self) -> sql.Composed:
        """The staged items as rows, those of parents that the plan writes."""
        return S("CROSS JOIN LATERAL jsonb_to_recordset({}) AS i(k text, v text, c text, t text, n integer)").format(self.items)

    @property
    def base(self) -> sql.Composed:
        """The related row's own base."""
        return S("c.{}->'amo_values'").format(I(self.item_set.raw_fields))

    @property
    def untouched(self) -> sql.Composed:
        """Whether nobody edited the related row since it came."""
        tests: list[sql.Composable] = [
            S("{}::text IS NOT DISTINCT FROM {}->>{}").format(self.column(role), self.base, sql.Literal(role))
            for role in self.data
        ]
        return S(" AND ").join(tests)

    @property
    def base_object(self) -> sql.Composed:
        """An item as the base that is kept with its row."""
        pairs = [S("{}, i.{}").format(sql.Literal(role), I(_ITEM_KEYS[role])) for role in self.data]
        return S("jsonb_build_object('amo_values', jsonb_build_object('key', i.k, {}))").format(S(", ").join(pairs))


def _row_id(live: LiveTable) -> sql.Composable:
    return S("c.id::text") if "id" in live.columns else S("''")


def _journal(spec: MergeSpec, name: str, changes: sql.Composable) -> sql.Composed:
    return S(
        "INSERT INTO {} (run_id, table_name, row_id, column_name, old_value, new_value) "
        "SELECT %(run)s, {}, x.row_id, x.column_name, x.old_value, x.new_value FROM ({}) AS x"
    ).format(spec.control("sync_changes"), sql.Literal(name), changes)


def remove_items(s: SetSpec) -> sql.Composed:
    """Removes what came before, is gone from amoCRM, and nobody edited."""
    gone = S(
        "WITH x AS (DELETE FROM {table} AS c USING crm_plan AS p {owner} WHERE c.{parent} = t.{id} AND p.changed AND NOT p.is_new "
        "AND NOT p.d AND {items} IS NOT NULL AND {base}->>'key' IS NOT NULL "
        "AND NOT EXISTS (SELECT FROM jsonb_array_elements({items}) AS e WHERE e->>'k' = {base}->>'key') AND {untouched} "
        "RETURNING {row_id} AS row_id, '*' AS column_name, to_jsonb(c) AS old_value, NULL::jsonb AS new_value) "
    ).format(
        table=s.live.identifier,
        owner=s.owner,
        parent=I(s.item_set.parent),
        id=I(s.spec.live.mapping.id),
        items=s.items,
        base=s.base,
        untouched=s.untouched,
        row_id=_row_id(s.live),
    )
    return gone + _journal(s.spec, s.item_set.table, S("SELECT * FROM x"))


def update_items(s: SetSpec) -> sql.Composed:
    """Follows amoCRM in what else an item says (its kind, its place, its remark), in rows that nobody edited."""
    roles = [role for role in s.data if role != "value"]
    sets = [
        S("{} = i.{}").format(I(s.item_set.columns[role]), I(_ITEM_KEYS[role])) for role in roles
    ]
    sets.append(S("{raw} = coalesce(c.{raw}, '{{}}') || {base}").format(raw=I(s.item_set.raw_fields), base=s.base_object))
    if s.item_set.updated_at:
        sets.append(S("{} = now()").format(I(s.item_set.updated_at)))
    differs = [S("{} IS DISTINCT FROM i.{}").format(s.column(role), I(_ITEM_KEYS[role])) for role in roles]
    changed = S(
        "WITH x AS (UPDATE {table} AS c SET {sets} FROM crm_plan AS p {owner} {theirs}, {table} AS old "
        "WHERE c.{parent} = t.{id} AND {base}->>'key' = i.k AND old.id = c.id AND p.changed AND NOT p.is_new "
        "AND NOT p.d AND ({differs}) AND {untouched} RETURNING {row_id} AS row_id, '*' AS column_name, "
        "to_jsonb(old) AS old_value, to_jsonb(c) AS new_value) "
    ).format(
        row_id=_row_id(s.live),
        id=I(s.spec.live.mapping.id),
        owner=s.owner,
        theirs=s.theirs,
        table=s.live.identifier,
        parent=I(s.item_set.parent),
        base=s.base,
        differs=S(" OR ").join(differs) if differs else S("false"),
        untouched=s.untouched,
        sets=S(", ").join(sets),
    )
    return changed + _journal(s.spec, s.item_set.table, S("SELECT * FROM x"))


def insert_items(s: SetSpec) -> sql.Composed:
    """Adds what is new in amoCRM, unless the row is there already or a person deleted it."""
    names: list[sql.Composable] = [I(s.item_set.parent)]
    values: list[sql.Composable] = [S("t.{}").format(I(s.spec.live.mapping.id))]
    for role in s.data:
        names.append(I(s.item_set.columns[role]))
        values.append(S("i.{}").format(I(_ITEM_KEYS[role])))
    names.append(I(s.item_set.raw_fields))
    values.append(s.base_object)
    if "source" in s.item_set.columns:
        names.append(I(s.item_set.columns["source"]))
        values.append(sql.Literal(SOURCE))
    for stamp in (s.item_set.created_at, s.item_set.updated_at):
        if stamp:
            names.append(I(stamp))
            values.append(S("now()"))
    for name, default in s.item_set.defaults.items():
        names.append(I(name))
        values.append(sql.Literal(default))
    value = s.column("value")
    present = (
        S("{} = {}").format(phone_digits(value), phone_digits(S("i.v")))
        if s.item_set.item == "phone"
        else S("lower(btrim({})) = i.v").format(value)
    )
    added = S(
        "WITH x AS (INSERT INTO {table} AS c ({names}) SELECT {values} FROM crm_plan AS p {owner} {theirs} "
        "WHERE p.changed AND NOT p.d AND (p.is_new OR (coalesce(NOT (p.raw->'amo_values'->{name}) ? i.k, true) "
        "AND NOT EXISTS (SELECT FROM {table} AS c WHERE c.{parent} = t.{id} AND ({base}->>'key' = i.k OR {present})))) "
        "ORDER BY p.q, i.n "
        "RETURNING {row_id} AS row_id, '*' AS column_name, NULL::jsonb AS old_value, to_jsonb(c) AS new_value) "
    ).format(
        table=s.live.identifier,
        names=S(", ").join(names),
        values=S(", ").join(values),
        owner=s.owner,
        theirs=s.theirs,
        name=sql.Literal(s.item_set.name),
        parent=I(s.item_set.parent),
        id=I(s.spec.live.mapping.id),
        base=s.base,
        present=present,
        row_id=_row_id(s.live),
    )
    return added + _journal(s.spec, s.item_set.table, S("SELECT * FROM x"))
