"""Temporary tables of one stream, and the first look at a batch: what is new, what may have changed."""

from __future__ import annotations

from psycopg import sql

from target_crm.sql.spec import I, MergeSpec, S, comma, tail

# Rows of a staging table are wider than two kilobytes, which is where PostgreSQL begins to compress: lost time here.
_WIDE = S("WITH (toast_tuple_target = 8160)")


def create_tables(spec: MergeSpec) -> list[sql.Composed]:
    """The temporary tables: keys seen, records staged, items of their sets, rows born.

    They are empty after each commit and live as long as the connection.
    """
    columns = [S("{} {}").format(slot.name("c"), slot.staged_type) for slot in spec.slots]
    create = S("CREATE TEMP TABLE IF NOT EXISTS {} ({}) {} ON COMMIT DELETE ROWS")
    return [
        create.format(spec.temp("seen"), S("q integer, a bigint, i bigint, u timestamptz, h bigint"), S("")),
        create.format(
            spec.temp("stage"),
            S(
                "q integer, a bigint, i bigint, u timestamptz, n timestamptz, h bigint, is_new boolean, doc jsonb{}"
            ).format(tail(columns)),
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
    ]


def truncate_tables(spec: MergeSpec) -> sql.Composed:
    """Empties them: several batches may share a transaction."""
    names = ("seen", "stage", "items", "born")
    return S("TRUNCATE {}").format(comma(spec.temp(name) for name in names))


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


_INDEXED = ("stage", "plan")


def analyze(spec: MergeSpec, name: str) -> sql.Composed:
    """Statistics: without them the planner guesses, and a join over a batch becomes quadratic."""
    columns = {
        "seen": "a, i",
        "stage": "q, a, i",
        "items": "q, s",
        "born": "q, a, i, row_id",
        "plan": "q, row_id",
    }
    names = [I(column) for column in columns[name].split(", ")]
    told = S("ANALYZE {} ({})").format(spec.temp(name), comma(names))
    if name not in _INDEXED:
        return told
    # The guards of an update (each column as it was planned) make the planner expect a single row and loop over these
    # tables for each; by their key that costs nothing.
    return S("CREATE INDEX ON {} (q); {}").format(spec.temp(name), told)


def sort_out(spec: MergeSpec) -> sql.Composed:
    """One row: the sequences of new records, of those that may have changed, then how many did not.

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
        "SELECT array_agg(q) FILTER (WHERE NOT present), array_agg(q) FILTER (WHERE present AND NOT same), "
        "count(*) FILTER (WHERE present AND same), count(*) FILTER (WHERE present AND same AND is_edited) "
        "FROM (SELECT s.q, t.{id} IS NOT NULL AS present, k.is_edited, "
        "(k.record_hash = s.h AND k.row_version = {version}) IS TRUE AS same "
        "FROM {seen} AS s LEFT JOIN {keys} AS k ON k.account_id = s.a AND k.table_name = {name} "
        "AND k.amo_id = s.i LEFT JOIN {table} AS t ON {on_key} "
        "WHERE (s.u < {known}) IS NOT TRUE AND (t.{id} IS NOT NULL OR k.row_id IS NULL OR {returns})) AS x"
    ).format(
        id=I(table.id),
        version=spec.version,
        seen=spec.temp("seen"),
        keys=spec.control("sync_keys"),
        name=spec.table_name,
        table=spec.live.identifier,
        on_key=spec.on_key,
        known=known,
        returns=returns,
    )
