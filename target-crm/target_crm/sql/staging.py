"""Temporary tables of one stream, and the first look at a batch: what is new, what may have changed."""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from target_crm.sql.joins import under_name
from target_crm.sql.spec import I, MergeSpec, S, comma, tail

# Rows of these tables are wider than two kilobytes, which is where PostgreSQL begins to compress: lost time here.
_WIDE = S("WITH (toast_tuple_target = 8160)")
_TABLES = ("seen", "stage", "items", "born", "waits")


class Classified(NamedTuple):
    """The one row of `classify`; places are those of the records in the batch, None where there are none."""

    new: list[int] | None
    changed: list[int] | None
    unchanged: int
    # Of the unchanged ones.
    edited: int
    # Of the new ones: those whose key is known already, those that are marked deleted, and their marks.
    new_with_key: list[int] | None
    new_marked: list[int] | None
    new_marks: list[str] | None
    # The transaction's time.
    now: str
    deleted_by_person: int
    superseded: int


def create_tables(spec: MergeSpec) -> list[sql.Composed]:
    """The temporary tables: keys seen, records staged, items of their sets, rows inserted, links that wait, the plan.

    They are empty after each commit and live as long as the connection.
    """
    staged = [S("{} {}").format(slot.name("c"), slot.staged_type) for slot in spec.slots]
    create = S("CREATE TEMP TABLE IF NOT EXISTS {} ({}) {} ON COMMIT DELETE ROWS")
    return [
        create.format(spec.temp("seen"), S("q integer, a bigint, i bigint, u timestamptz, h bigint"), S("")),
        create.format(
            spec.temp("stage"),
            S(
                "q integer, a bigint, i bigint, u timestamptz, n timestamptz, h bigint, is_new boolean, doc jsonb{}"
            ).format(tail(staged)),
            _WIDE,
        ),
        create.format(
            spec.temp("items"),
            S("q integer, s integer, k text, v text, c text, t text, n integer, raw jsonb"),
            S(""),
        ),
        create.format(
            spec.temp("born"),
            S("q integer, a bigint, i bigint, row_id {}, version bigint, base jsonb").format(spec.key_type),
            S(""),
        ),
        create.format(spec.temp("waits"), S("a bigint, name text, i bigint, source text, ref text"), S("")),
        *(_create_plan(group) for group in spec.groups),
    ]


def _create_plan(spec: MergeSpec) -> sql.Composed:
    planned = [
        S("{} {}").format(slot.name(kind), slot.staged_type if kind != "d" else S("integer"))
        for slot in spec.slots
        for kind in "tobd"
    ]
    bases = [S("{} jsonb").format(I(f"h{index}")) for index in range(len(spec.item_sets))]
    moved = [S("{} boolean").format(I(f"g{index}")) for index in range(len(spec.item_sets))]
    return S(
        "CREATE TEMP TABLE IF NOT EXISTS {} (q integer, a bigint, i bigint, u timestamptz, n timestamptz, h bigint, "
        "row_id {}, version bigint, known_hash bigint, has_key boolean, old_mark timestamptz, new_mark timestamptz, "
        "writes boolean, edited boolean, changed boolean, doc jsonb{}) {} ON COMMIT DELETE ROWS"
    ).format(spec.plan, spec.key_type, tail([*bases, *moved, *planned]), _WIDE)


def truncate_tables(spec: MergeSpec) -> sql.Composed:
    """Empties them: several batches may share a transaction."""
    return S("TRUNCATE {}").format(comma([*(spec.temp(name) for name in _TABLES), *(g.plan for g in spec.groups)]))


def copy_seen(spec: MergeSpec) -> sql.Composed:
    """COPY of keys: sequence, account, amo id, updated, hash."""
    return S("COPY {} (q, a, i, u, h) FROM STDIN").format(spec.temp("seen"))


def copy_stage(spec: MergeSpec) -> sql.Composed:
    """COPY of records: the fixed columns, then the mapped ones."""
    names = [slot.name("c") for slot in spec.slots]
    return S("COPY {} (q, a, i, u, n, h, is_new, doc{}) FROM STDIN").format(spec.temp("stage"), tail(names))


def copy_items(spec: MergeSpec) -> sql.Composed:
    """COPY of the items of sets."""
    return S("COPY {} (q, s, k, v, c, t, n, raw) FROM STDIN").format(spec.temp("items"))


def copy_waits(spec: MergeSpec) -> sql.Composed:
    """COPY of links whose other end has not come."""
    return S("COPY {} (a, name, i, source, ref) FROM STDIN").format(spec.temp("waits"))


def truncate_waits(spec: MergeSpec) -> sql.Composed:
    """Forgets those links."""
    return S("TRUNCATE {}").format(spec.temp("waits"))


def keep_waits(spec: MergeSpec) -> sql.Composed:
    """Remembers those links until the other end comes."""
    return S(
        "INSERT INTO {} (account_id, table_name, column_name, amo_id, source, ref) "
        "SELECT a, {}, name, i, source, ref FROM {} ON CONFLICT DO NOTHING"
    ).format(spec.control("sync_pending"), spec.table_name, spec.temp("waits"))


def analyze(spec: MergeSpec, name: str) -> sql.Composed:
    """Statistics: without them the planner guesses, and a join over a batch becomes quadratic."""
    columns = {"seen": "a, i", "stage": "q, a, i", "items": "q, s", "born": "q, a, i, row_id"}
    names = [I(column) for column in columns[name].split(", ")]
    told = S("ANALYZE {} ({})").format(spec.temp(name), comma(names))
    if name != "stage":
        return told
    return S("CREATE INDEX ON {} (q); {}").format(spec.temp(name), told)


def count_seen(spec: MergeSpec) -> sql.Composed:
    """How many records the batch has."""
    return S("SELECT count(*) FROM {}").format(spec.temp("seen"))


def limited(table: sql.Composable, rows: int) -> sql.Composed:
    """A temporary table with its number of rows known to the planner, rounded up: reading a wide table for statistics
    costs more than that."""
    return S("(SELECT * FROM {} LIMIT {})").format(table, sql.Literal(limit_of(rows)))


def limit_of(rows: int) -> int:
    """The number rounded up to a power of two, so that there are few different statements."""
    return 1 << max(rows - 1, 1).bit_length()


def classify(spec: MergeSpec, *, show_edits: bool = False) -> sql.Composed:
    """Classifies the batch (`Classified`). With `show_edits` rows that hold edits count as changed.

    Left out as not to be loaded: records older than their row, and records whose row a person deleted, unless the
    mapping's `resurrect` brings it back.
    """
    table = spec.live.mapping
    updated = spec.service("amo_updated_at")
    known = S("t.{}").format(updated) if updated else S("k.amo_updated_at")
    returns = {
        "never": S("false"),
        "changed": S("(s.u > k.amo_updated_at) IS TRUE"),
        "always": S("true"),
    }[table.resurrect]
    return S(
        "SELECT array_agg(q) FILTER (WHERE fits AND NOT present), "
        "array_agg(q) FILTER (WHERE fits AND present AND NOT same), "
        "count(*) FILTER (WHERE fits AND present AND same), "
        "count(*) FILTER (WHERE fits AND present AND same AND is_edited), "
        "array_agg(q) FILTER (WHERE fits AND NOT present AND has_key), "
        "array_agg(q) FILTER (WHERE fits AND NOT present AND mark IS NOT NULL), "
        "array_agg(mark::text) FILTER (WHERE fits AND NOT present AND mark IS NOT NULL), now()::text, "
        "count(*) FILTER (WHERE is_gone), count(*) FILTER (WHERE NOT fits AND NOT is_gone) "
        "FROM (SELECT x.*, NOT (x.is_older OR x.is_gone) AS fits FROM ("
        "SELECT s.q, t.{id} IS NOT NULL AS present, k.is_edited, k.account_id IS NOT NULL AS has_key, "
        "CASE WHEN (s.u >= k.amo_deleted_at) IS NOT TRUE THEN k.amo_deleted_at END AS mark, "
        "(k.record_hash = s.h AND k.row_version = {version}{known_edits}) IS TRUE AS same, "
        "(s.u < {known}) IS TRUE AS is_older, "
        "t.{id} IS NULL AND k.row_id IS NOT NULL AND NOT {returns} AS is_gone "
        "FROM {seen} AS s LEFT JOIN {keys} AS k ON k.account_id = s.a AND k.table_name = s.name "
        "AND k.amo_id = s.i LEFT JOIN {table} AS t ON {on_key}) AS x) AS x"
    ).format(
        id=I(table.id),
        version=spec.version,
        known_edits=S(" AND NOT k.is_edited") if show_edits else S(""),
        seen=under_name(spec.temp("seen"), spec.table_name),
        keys=spec.control("sync_keys"),
        table=spec.live.identifier,
        on_key=spec.on_key,
        known=known,
        returns=returns,
    )
