"""Compiles the merge of a set (phones, e-mails) that lives in a related table, three-way like the columns.

base = the items that came before (in the parent's `raw_fields.amo_values`) and each row's own `raw_fields.amo_values`;
ours = the rows; theirs = the items staged with the parent. What a person added, edited or deleted stays so. Parents
whose items are the same as before are left out: their rows are not even read.
"""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.model import ItemSet
from target_crm.sql.expressions import phone_digits
from target_crm.sql.merge import I, MergeSpec, S

SOURCE = "amocrm"
DROP_ITEMS = S("DROP TABLE IF EXISTS crm_owners, crm_items")
ANALYZE_ITEMS = S("ANALYZE crm_owners, crm_items")
_ITEM_KEYS = {"value": "v", "comment": "c", "type": "t", "position": "n"}


class SetSpec:
    """One set of one merge: names of the related table's columns, composed once."""

    def __init__(self, spec: MergeSpec, item_set: ItemSet, index: int) -> None:
        live = spec.live.sets[item_set.name]
        assert live is not None
        self.spec, self.item_set, self.live, self.index = spec, item_set, live, index
        self.data = [c for c in ("value", "comment", "type", "position") if c in item_set.columns]

    def column(self, role: str) -> sql.Composed:
        """A column of the related table by its role."""
        return S("c.{}").format(I(self.item_set.columns[role]))

    @property
    def base(self) -> sql.Composed:
        """The related row's own base."""
        return S("(c.{}->'amo_values')").format(I(self.item_set.raw_fields))

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

    def journalled(self, changes: sql.Composable) -> sql.Composed:
        """The statement with its changes (`WITH x AS (...)`) written to the journal: whole rows, column `*`."""
        return changes + S(
            " INSERT INTO {} (run_id, table_name, row_id, column_name, old_value, new_value) "
            "SELECT %(run)s, {}, x.row_id, '*', x.old_value, x.new_value FROM x"
        ).format(self.spec.control("sync_changes"), sql.Literal(self.item_set.table))


def create_owners(s: SetSpec) -> sql.Composed:
    """The parents whose items differ from the last time."""
    table = s.spec.live.mapping
    return S(
        "CREATE TEMP TABLE crm_owners ON COMMIT DROP AS SELECT t.{id} AS owner, p.is_new, p.q, p.{items} AS items, "
        "p.raw->'amo_values'->{name} AS base FROM crm_plan AS p "
        "JOIN {table} AS t ON t.{account} = p.a AND t.{amo_id} = p.i WHERE p.changed AND p.{moved}"
    ).format(
        id=I(table.id),
        items=I(f"s{s.index}"),
        name=sql.Literal(s.item_set.name),
        table=s.spec.live.identifier,
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        moved=I(f"g{s.index}"),
    )


CREATE_ITEMS = S(
    "CREATE TEMP TABLE crm_items ON COMMIT DROP AS SELECT o.owner, o.is_new, o.q, i.*, "
    "NOT coalesce(o.base @> jsonb_build_array(jsonb_build_object('k', i.k)), false) AS fresh FROM crm_owners AS o "
    "CROSS JOIN LATERAL jsonb_to_recordset(o.items) AS i(k text, v text, c text, t text, n integer)"
)


def remove_items(s: SetSpec) -> sql.Composed:
    """Removes what came before, is gone from amoCRM, and nobody edited."""
    return s.journalled(
        S(
            "WITH x AS (DELETE FROM {table} AS c USING crm_owners AS o WHERE c.{parent} = o.owner AND NOT o.is_new "
            "AND {base}->>'key' IS NOT NULL AND NOT EXISTS "
            "(SELECT FROM crm_items AS i WHERE i.owner = o.owner AND i.k = {base}->>'key') AND {untouched} "
            "RETURNING c.id::text AS row_id, to_jsonb(c) AS old_value, NULL::jsonb AS new_value)"
        ).format(table=s.live.identifier, parent=I(s.item_set.parent), base=s.base, untouched=s.untouched)
    )


def update_items(s: SetSpec) -> sql.Composed:
    """Follows amoCRM in what else an item says (its kind, its place, its remark), in rows that nobody edited."""
    roles = [role for role in s.data if role != "value"]
    writes = [S("{} = i.{}").format(I(s.item_set.columns[role]), I(_ITEM_KEYS[role])) for role in roles]
    writes.append(
        S("{raw} = coalesce(c.{raw}, '{{}}') || {base}").format(raw=I(s.item_set.raw_fields), base=s.base_object)
    )
    if s.item_set.updated_at:
        writes.append(S("{} = now()").format(I(s.item_set.updated_at)))
    differs = [S("{} IS DISTINCT FROM i.{}").format(s.column(role), I(_ITEM_KEYS[role])) for role in roles]
    return s.journalled(
        S(
            "WITH x AS (UPDATE {table} AS c SET {writes} FROM crm_items AS i, {table} AS old "
            "WHERE c.{parent} = i.owner AND NOT i.is_new AND {base}->>'key' = i.k AND old.id = c.id "
            "AND ({differs}) AND {untouched} "
            "RETURNING c.id::text AS row_id, to_jsonb(old) AS old_value, to_jsonb(c) AS new_value)"
        ).format(
            table=s.live.identifier,
            writes=S(", ").join(writes),
            parent=I(s.item_set.parent),
            base=s.base,
            differs=S(" OR ").join(differs) if differs else S("false"),
            untouched=s.untouched,
        )
    )


def insert_items(s: SetSpec) -> sql.Composed:
    """Adds what is new in amoCRM, unless the row is there already or a person deleted it."""
    names: list[sql.Composable] = [I(s.item_set.parent)]
    values: list[sql.Composable] = [S("i.owner")]
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
    return s.journalled(
        S(
            "WITH x AS (INSERT INTO {table} AS c ({names}) SELECT {values} FROM crm_items AS i "
            "WHERE i.is_new OR (i.fresh AND NOT EXISTS (SELECT FROM {table} AS c WHERE c.{parent} = i.owner "
            "AND ({base}->>'key' = i.k OR {present}))) ORDER BY i.q, i.n "
            "RETURNING c.id::text AS row_id, NULL::jsonb AS old_value, to_jsonb(c) AS new_value)"
        ).format(
            table=s.live.identifier,
            names=S(", ").join(names),
            values=S(", ").join(values),
            parent=I(s.item_set.parent),
            base=s.base,
            present=present,
        )
    )
