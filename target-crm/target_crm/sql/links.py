"""SQL of what comes late: links whose parent arrives after its child, names of pipelines and the like."""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.model import Column
from target_crm.sql.merge import I, MergeSpec, S

DROP_LATE = S("DROP TABLE IF EXISTS crm_late")


def take_pending(schema: str, stream: str) -> sql.Composed:
    """Takes the pending links to records of a stream that are keys by now."""
    return S(
        "CREATE TEMP TABLE crm_late ON COMMIT DROP AS SELECT q.* FROM {pending} AS q "
        "WHERE q.source = {stream} AND EXISTS (SELECT FROM crm_born AS b WHERE b.a = q.account_id AND b.i::text = q.ref)"
    ).format(pending=I(schema, "sync_pending"), stream=sql.Literal(stream))


BORN = S("CREATE TEMP TABLE crm_born ON COMMIT DROP AS SELECT p.a, p.i FROM crm_plan AS p WHERE p.is_new")
DROP_BORN = S("DROP TABLE IF EXISTS crm_born")
LATE_COLUMNS = S("SELECT DISTINCT table_name, column_name FROM crm_late")


def forget_pending(schema: str) -> sql.Composed:
    """Removes what has been linked."""
    return S(
        "DELETE FROM {} AS q USING crm_late AS l WHERE q.account_id = l.account_id AND q.source = l.source "
        "AND q.ref = l.ref AND q.table_name = l.table_name AND q.column_name = l.column_name AND q.amo_id = l.amo_id"
    ).format(I(schema, "sync_pending"))


def _partial(spec: MergeSpec, rows: sql.Composable, ref: sql.Composable) -> sql.Composed:
    """Rows as staging would give them, with one column and no record."""
    sets = S("").join(S(", NULL::jsonb AS {}").format(I(f"s{k}")) for k in range(len(spec.live.mapping.sets)))
    return S(
        "SELECT 0 AS q, {rows}, NULL::timestamptz AS u, NULL::timestamptz AS n, false AS d, NULL::jsonb AS r, {ref} AS c0{sets}"
    ).format(rows=rows, ref=ref, sets=sets)


def late_rows(spec: MergeSpec, column: Column) -> sql.Composed:
    """The source of a partial merge: one link column of the rows whose parent has come."""
    return _partial(spec, S("l.account_id AS a, l.amo_id AS i"), S("l.ref::bigint")) + S(
        " FROM crm_late AS l WHERE l.table_name = {} AND l.column_name = {}"
    ).format(sql.Literal(spec.live.mapping.table), sql.Literal(column.name))


def upsert_lookups(schema: str) -> sql.Composed:
    """Writes staged names {a, s: kind, f: reference, v: name}; crm_named keeps those that are new or renamed."""
    return S(
        "CREATE TEMP TABLE crm_named ON COMMIT DROP AS SELECT DISTINCT ON (x.a, x.s, x.f) x.a, x.s, x.f, x.v "
        "FROM crm_stage CROSS JOIN LATERAL jsonb_to_record(crm_stage.line) AS x(q integer, a bigint, s text, f text, v text) "
        "WHERE NOT EXISTS (SELECT FROM {} AS k WHERE k.account_id = x.a AND k.source = x.s AND k.ref = x.f AND k.name = x.v) "
        "ORDER BY x.a, x.s, x.f, x.q DESC"
    ).format(I(schema, "sync_lookups"))


def write_lookups(schema: str) -> sql.Composed:
    """Writes the names that are new or changed."""
    return S(
        "INSERT INTO {} AS k (account_id, source, ref, name) SELECT a, s, f, v FROM crm_named "
        "ON CONFLICT (account_id, source, ref) DO UPDATE SET name = excluded.name"
    ).format(I(schema, "sync_lookups"))


DROP_NAMED = S("DROP TABLE IF EXISTS crm_named")


def named_rows(spec: MergeSpec, column: Column) -> sql.Composed:
    """The source of a partial merge: one name column of the rows that use a new or changed name."""
    table = spec.live.mapping
    parts = [
        S("t.{}#>>{}").format(I(table.raw_fields), sql.Literal(["amo", *path.split(".")])) for path in column.path
    ]
    ref = S("concat_ws(':', {})").format(S(", ").join(parts))
    return _partial(
        spec, S("t.{} AS a, t.{} AS i").format(I(table.account or ""), I(table.amo_id or "")), ref
    ) + S(" FROM {} AS t JOIN crm_named AS x ON x.a = t.{} AND x.s = {} AND x.f = {}").format(
        spec.live.identifier, I(table.account or ""), sql.Literal(column.lookup), ref
    )


def adopt_rows(spec: MergeSpec, column: Column) -> sql.Composed:
    """Gives rows that the CRM already had their amoCRM key: one row, unclaimed, with the same e-mail or name."""
    table = spec.live.mapping
    index = next(k for k, c in enumerate(table.columns) if c.name == column.name)
    value = S("crm_stage.line->>{}").format(sql.Literal(f"c{index}"))
    return S(
        "WITH found AS (SELECT min(t.{id}::text) AS row_id, (crm_stage.line->>'a')::bigint AS a, "
        "(crm_stage.line->>'i')::bigint AS i FROM crm_stage JOIN {table} AS t ON lower(btrim(t.{column}::text)) = lower(btrim({value})) "
        "{unclaimed} GROUP BY 2, 3 HAVING count(*) = 1), "
        "one AS (SELECT min(found.i) AS i, found.a, found.row_id FROM found WHERE NOT EXISTS "
        "(SELECT FROM {known}) GROUP BY found.a, found.row_id) {write}"
    ).format(
        id=I(table.id),
        table=spec.live.identifier,
        column=I(column.name),
        value=value,
        unclaimed=S("") if table.match_only else S("AND t.{} IS NULL").format(I(table.amo_id or "")),
        known=(
            S("{} AS k WHERE k.account_id = found.a AND k.table_name = {} AND k.amo_id = found.i").format(
                spec.control("sync_keys"), sql.Literal(table.table)
            )
            if table.match_only
            else S("{} AS u WHERE u.{} = found.a AND u.{} = found.i").format(
                spec.live.identifier, I(table.account or ""), I(table.amo_id or "")
            )
        ),
        write=_claim(spec),
    )


def _claim(spec: MergeSpec) -> sql.Composed:
    table = spec.live.mapping
    remember = S(
        "INSERT INTO {} AS k (account_id, table_name, amo_id, row_id) SELECT a, {}, i, row_id FROM {} "
        "ON CONFLICT (account_id, table_name, amo_id) DO UPDATE SET row_id = excluded.row_id"
    )
    keys, name = spec.control("sync_keys"), sql.Literal(table.table)
    if table.match_only:
        return remember.format(keys, name, S("one"))
    return S(
        ", claimed AS (UPDATE {table} AS t SET {account} = one.a, {amo_id} = one.i FROM one WHERE t.{id}::text = one.row_id "
        "RETURNING one.a, one.i, one.row_id) "
    ).format(
        table=spec.live.identifier, account=I(table.account or ""), amo_id=I(table.amo_id or ""), id=I(table.id)
    ) + remember.format(keys, name, S("claimed"))
