"""Compiles what happens to staged records that have no row yet, where they can't be copied into the table directly."""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.model import ItemSet
from target_crm.sql.spec import I, MergeSpec, S, comma
from target_crm.sql.stored import default, with_defaults
from target_crm.sql.untouched import ITEM_COLUMNS, OWN, SOURCE, left_columns, left_document


def insert_rows(spec: MergeSpec) -> sql.Composed:
    """Inserts the new records in the order in which they came; the temporary table remembers row, version and base."""
    table = spec.live.mapping
    written: list[tuple[sql.Composable, sql.Composable]] = []
    for slot in spec.slots:
        value: sql.Composable = S("s.{}").format(slot.name("c"))
        if slot.column.name in table.defaults:
            value = S("coalesce({}, {})").format(value, default(spec, slot))
        written.append((I(slot.column.name), value))
    mapped = {slot.column.name for slot in spec.slots}
    written += [(I(n), sql.Literal(v)) for n, v in table.defaults.items() if n not in mapped]
    written += [
        (I(table.account or ""), S("s.a")),
        (I(table.amo_id or ""), S("s.i")),
        (I(table.raw_fields), with_defaults(spec, S("s.doc"))),
    ]
    stamps = {
        "created_at": S("now()"),
        "updated_at": S("now()"),
        "amo_created_at": S("s.n"),
        "amo_updated_at": S("s.u"),
        "amo_deleted_at": S("CASE WHEN (s.u >= k.amo_deleted_at) IS NOT TRUE THEN k.amo_deleted_at END"),
    }
    for role, stamp in stamps.items():
        name = spec.service(role)
        if name is not None:
            written.append((name, stamp))
    return S(
        "WITH x AS (INSERT INTO {table} AS t ({names}) SELECT {values} FROM {stage} AS s "
        "LEFT JOIN {keys} AS k ON k.account_id = s.a AND k.table_name = {name} AND k.amo_id = s.i "
        "WHERE s.is_new ORDER BY s.q RETURNING t.{account} AS a, t.{amo_id} AS i, t.{id} AS row_id, "
        "{version} AS version, (t.{raw}->'amo_values') || coalesce(t.{raw}->'amo_stored', '{{}}') AS base) "
        "INSERT INTO {born} (q, a, i, row_id, version, base) "
        "SELECT s.q, x.a, x.i, x.row_id, x.version, x.base FROM x JOIN {stage} AS s ON s.a = x.a AND s.i = x.i"
    ).format(
        table=spec.live.identifier,
        names=comma(name for name, _ in written),
        values=comma(value for _, value in written),
        stage=spec.temp("stage"),
        keys=spec.control("sync_keys"),
        name=spec.table_name,
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        id=I(table.id),
        version=spec.version,
        raw=I(table.raw_fields),
        born=spec.temp("born"),
    )


def remember_keys(spec: MergeSpec) -> sql.Composed:
    """Remembers which record became which row."""
    return S(
        "INSERT INTO {keys} AS k (account_id, table_name, amo_id, row_id, record_hash, row_version, amo_updated_at) "
        "SELECT b.a, {name}, b.i, b.row_id::text, s.h, b.version, s.u FROM {born} AS b JOIN {stage} AS s ON s.q = b.q "
        "ORDER BY b.q ON CONFLICT (account_id, table_name, amo_id) DO UPDATE SET row_id = excluded.row_id, "
        "record_hash = excluded.record_hash, row_version = excluded.row_version, is_edited = false, "
        "amo_updated_at = excluded.amo_updated_at, amo_deleted_at = CASE WHEN "
        "(excluded.amo_updated_at >= k.amo_deleted_at) IS NOT TRUE THEN k.amo_deleted_at END"
    ).format(
        keys=spec.control("sync_keys"),
        name=spec.table_name,
        born=spec.temp("born"),
        stage=spec.temp("stage"),
    )


def journal_born(spec: MergeSpec) -> sql.Composed:
    """One entry for each inserted row: column `*` with the new base, the items of its sets included; beside the base
    what else the row holds that nobody could tell later (`untouched.left_columns`)."""
    base, joined = S("b.base").format(), S("").format()
    if left_columns(spec.live):
        base = S("b.base || jsonb_build_object({}, {})").format(sql.Literal(OWN), left_document(spec.live, "t"))
        joined = S("JOIN {} AS t ON t.{} = b.row_id").format(spec.live.identifier, I(spec.live.mapping.id))
    return S(
        "INSERT INTO {} (run_id, table_name, row_id, column_name, new_value) "
        "SELECT {}, {}, b.row_id::text, '*', {} FROM {} AS b {} ORDER BY b.q"
    ).format(spec.control("sync_changes"), spec.run, spec.table_name, base, spec.temp("born"), joined)


def item_value(item_set: ItemSet, role: str, value: sql.Composable) -> sql.Composable:
    """An item's value as its column takes it: '' for nothing where the column is NOT NULL."""
    return S("coalesce({}, '')").format(value) if role in item_set.blank else value


def item_columns(item_set: ItemSet, owner: sql.Composable) -> tuple[sql.Composed, sql.Composed]:
    """Names and values of a set's row that is made of staged item `x`."""
    written: list[tuple[str, sql.Composable]] = [(item_set.parent, owner)]
    written += [
        (item_set.columns[role], item_value(item_set, role, S("x.{}").format(I(staged))))
        for role, staged in ITEM_COLUMNS.items()
        if role in item_set.columns
    ]
    written.append((item_set.raw_fields, S("x.raw")))
    if "source" in item_set.columns:
        written.append((item_set.columns["source"], sql.Literal(SOURCE)))
    written += [(stamp, S("now()")) for stamp in (item_set.created_at, item_set.updated_at) if stamp]
    written += [(name, sql.Literal(value)) for name, value in item_set.defaults.items()]
    return comma(I(name) for name, _ in written), comma(value for _, value in written)


def insert_born_items(spec: MergeSpec, index: int) -> sql.Composed:
    """The items of new rows: nothing can be there yet, so nothing is compared."""
    item_set = spec.live.mapping.sets[index]
    live = spec.live.sets[item_set.name]
    names, values = item_columns(item_set, S("b.row_id"))
    return S(
        "INSERT INTO {} ({}) SELECT {} FROM {} AS x JOIN {} AS b ON b.q = x.q WHERE x.s = {} ORDER BY x.q, x.n"
    ).format(live.identifier, names, values, spec.temp("items"), spec.temp("born"), sql.Literal(index))


def count_born_items(spec: MergeSpec, index: int) -> sql.Composed:
    """How many items new rows have in one set."""
    return S("SELECT count(*) FROM {} AS x JOIN {} AS b ON b.q = x.q WHERE x.s = {} AND x.n >= 0").format(
        spec.temp("items"), spec.temp("born"), sql.Literal(index)
    )
