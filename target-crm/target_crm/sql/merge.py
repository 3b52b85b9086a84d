"""Compiles the three-way merge of one table into a fixed handful of statements.

Every statement is a pure function of the mapping and the live table, so their number does not depend on the number of
records. They work on two temporary tables: `crm_stage` (one JSON line a record, see `extract.Extractor`) and `crm_plan`
(one row for each record that writes something, or whose row holds a manual edit).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.mapping.model import Column
from target_crm.sql import expressions as ex

I = sql.Identifier  # noqa: E741 - the two names stand in every other line
S = sql.SQL

CREATE_STAGE = S("CREATE TEMP TABLE IF NOT EXISTS crm_stage (line jsonb NOT NULL) ON COMMIT DELETE ROWS")
# CSV with a quote and a delimiter that JSON never holds raw: the lines need no escaping.
COPY_STAGE = S("COPY crm_stage (line) FROM STDIN (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')")
DROP_PLAN = S("DROP TABLE IF EXISTS crm_plan")
# Without statistics of the temporary tables the planner guesses, and a join over a batch becomes quadratic.
ANALYZE_STAGE = S("ANALYZE crm_stage")
ANALYZE_PLAN = S("ANALYZE crm_plan (row_id, a, i)")


@dataclass(frozen=True)
class MergeSpec:
    """What a merge is compiled from: the table, the columns taking part, the schema of the sync_* tables."""

    live: LiveTable
    parents: Mapping[str, LiveTable]
    columns: Sequence[Column]
    schema: str
    default_policy: str

    def control(self, name: str) -> sql.Identifier:
        """One of the loader's own tables."""
        return I(self.schema, name)

    def policy(self, column: Column) -> str:
        """The column's own policy or the default one."""
        return column.policy or self.default_policy


def plan_name(kind: str, index: int) -> sql.Identifier:
    return I(f"{kind}{index}")


def _staged_type(spec: MergeSpec, column: Column) -> sql.SQL:
    if column.link:
        return S("bigint")
    if column.lookup:
        return S("text")
    return S(spec.live.columns[column.name].type_sql)  # type: ignore[arg-type]  # format_type's own output


def staged_rows(spec: MergeSpec) -> sql.Composed:
    """The staging lines as typed rows."""
    columns = [S("q integer, a bigint, i bigint, u timestamptz, n timestamptz, d boolean, r jsonb")]
    index_of = {c.name: k for k, c in enumerate(spec.live.mapping.columns)}
    columns += [
        S("{} {}").format(I(f"c{index_of[c.name]}"), _staged_type(spec, c)) for c in spec.columns
    ]
    columns += [S("{} jsonb").format(I(f"s{k}")) for k in range(len(spec.live.mapping.sets))]
    renamed = [S("x.{} AS {}").format(I(f"c{index_of[c.name]}"), plan_name("c", k)) for k, c in enumerate(spec.columns)]
    renamed += [S("x.{}").format(I(f"s{k}")) for k in range(len(spec.live.mapping.sets))]
    return S(
        "SELECT x.q, x.a, x.i, x.u, x.n, coalesce(x.d, false) AS d, x.r{} "
        "FROM crm_stage CROSS JOIN LATERAL jsonb_to_record(crm_stage.line) AS x({})"
    ).format(_tail(renamed), S(", ").join(columns))


def _tail(items: Sequence[sql.Composable]) -> sql.Composed:
    return S("").join(S(", {}").format(item) for item in items)


def _source_joins(spec: MergeSpec) -> tuple[list[sql.Composable], list[sql.Composable]]:
    """Joins that turn references into the CRM's keys or names, and theirs for every column."""
    joins: list[sql.Composable] = []
    theirs: list[sql.Composable] = []
    for k, column in enumerate(spec.columns):
        ref, alias = S("s.{}").format(plan_name("c", k)), I(f"l{k}")
        if column.link:
            parent = spec.parents[column.link]
            keys = parent.mapping
            if keys.match_only:
                joins.append(
                    S(
                        "LEFT JOIN {keys} AS {kalias} ON {kalias}.account_id = s.a AND {kalias}.table_name = {name} "
                        "AND {kalias}.amo_id = {ref} LEFT JOIN {parent} AS {alias} "
                        "ON {alias}.{id} = {kalias}.row_id::{type}"
                    ).format(
                        keys=spec.control("sync_keys"),
                        kalias=I(f"k{k}"),
                        name=sql.Literal(keys.table),
                        ref=ref,
                        parent=parent.identifier,
                        alias=alias,
                        id=I(keys.id),
                        type=S(parent.columns[keys.id].type_sql),  # type: ignore[arg-type]
                    )
                )
            else:
                joins.append(
                    S("LEFT JOIN {parent} AS {alias} ON {alias}.{account} = s.a AND {alias}.{amo_id} = {ref}").format(
                        parent=parent.identifier,
                        alias=alias,
                        account=I(keys.account or ""),
                        amo_id=I(keys.amo_id or ""),
                        ref=ref,
                    )
                )
            theirs.append(S("{}.{}").format(alias, I(keys.id)))
        elif column.lookup:
            joins.append(
                S("LEFT JOIN {} AS {a} ON {a}.account_id = s.a AND {a}.source = {} AND {a}.ref = {}").format(
                    spec.control("sync_lookups"), sql.Literal(column.lookup), ref, a=alias
                )
            )
            theirs.append(S("{}.name").format(alias))
        else:
            theirs.append(ref)
    return joins, theirs


def _base_record(spec: MergeSpec) -> sql.Composed:
    """The base as typed columns, taken out of jsonb once a row."""
    fields = [
        S("{} {}").format(I(c.name), S(spec.live.columns[c.name].type_sql))  # type: ignore[arg-type]
        for c in spec.columns
    ]
    return S("LEFT JOIN LATERAL jsonb_to_record(t.{raw}->'amo_values') AS b({fields}) ON t.{id} IS NOT NULL").format(
        raw=I(spec.live.mapping.raw_fields), fields=S(", ").join(fields), id=I(spec.live.mapping.id)
    )


def _joined(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """Staged rows beside their live rows: theirs t*, ours o*, base b*, and their comparable forms."""
    table = spec.live.mapping
    joins, theirs = _source_joins(spec)
    items: list[sql.Composable] = []
    for k, column in enumerate(spec.columns):
        live = spec.live.columns[column.name]
        ours, base = S("t.{}").format(I(column.name)), S("b.{}").format(I(column.name))
        items += [
            S("{} AS {}").format(theirs[k], plan_name("t", k)),
            S("{} AS {}").format(ours, plan_name("o", k)),
            S("{} AS {}").format(base, plan_name("b", k)),
            S("{} AS {}").format(ex.comparable(column, live, theirs[k]), plan_name("ct", k)),
            S("{} AS {}").format(ex.comparable(column, live, ours), plan_name("co", k)),
            S("{} AS {}").format(ex.comparable(column, live, base), plan_name("cb", k)),
        ]
    deleted = S("t.{}").format(I(table.service["amo_deleted_at"])) if table.service["amo_deleted_at"] else S("NULL::timestamptz")
    updated = S("t.{}").format(I(table.service["amo_updated_at"])) if table.service["amo_updated_at"] else (
        S("k.amo_updated_at")
    )
    return S(
        "SELECT s.*, t.{id} AS row_id, t.{id} IS NULL AS is_new, t.{raw} AS raw, {updated} AS known_updated, "
        "{deleted} AS deleted_at, k.row_id AS known_row, k.amo_updated_at AS key_updated, "
        "k.amo_deleted_at AS tombstone{items} "
        "FROM ({source}) AS s "
        "LEFT JOIN {table} AS t ON t.{account} = s.a AND t.{amo_id} = s.i "
        "LEFT JOIN {keys} AS k ON k.account_id = s.a AND k.table_name = {name} AND k.amo_id = s.i "
        "{base} {joins}"
    ).format(
        id=I(table.id),
        raw=I(table.raw_fields),
        updated=updated,
        deleted=deleted,
        items=_tail(items),
        source=source,
        table=spec.live.identifier,
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        keys=spec.control("sync_keys"),
        name=sql.Literal(table.table),
        base=_base_record(spec),
        joins=S(" ").join(joins),
    )


def _decided(spec: MergeSpec, joined: sql.Composable) -> sql.Composed:
    """Adds what to do with each column: w* take theirs, m* move the base, x* conflict."""
    items: list[sql.Composable] = []
    kept: list[sql.Composable] = []
    for k, column in enumerate(spec.columns):
        live, policy = spec.live.columns[column.name], spec.policy(column)
        base, ours, theirs = plan_name("cb", k), plan_name("co", k), plan_name("ct", k)
        take = ex.take_theirs(column, live, policy, base, ours, theirs)
        take = S("NOT j.d AND CASE WHEN j.is_new THEN {} IS NOT NULL ELSE {} END").format(theirs, take)
        conflict = S("NOT j.is_new AND NOT j.d AND {}").format(ex.is_conflict(live, policy, base, ours, theirs))
        items += [
            S("{} AS {}").format(take, plan_name("w", k)),
            S("NOT j.d AND {} AS {}").format(ex.move_base(live, base, theirs), plan_name("m", k)),
            S("{} AS {}").format(conflict, plan_name("x", k)),
        ]
        kept.append(ex.is_kept_edit(live, base, ours))
    sets = [
        S("(NOT j.d AND j.{s} IS NOT NULL AND (j.raw->'amo_values'->{name}) IS DISTINCT FROM j.{s})").format(
            s=I(f"s{k}"), name=sql.Literal(item_set.name)
        )
        for k, item_set in enumerate(spec.live.mapping.sets)
    ]
    items += [S("{} AS {}").format(moved, I(f"g{k}")) for k, moved in enumerate(sets)]
    return S(
        "SELECT j.*{items}, ({kept}) AS has_edit, ({sets}) AS sets_moved, "
        "NOT j.d AND (j.raw->'amo') IS DISTINCT FROM j.r AND j.r IS NOT NULL AS record_differs, "
        "(j.u < j.known_updated) IS TRUE AS is_stale, "
        "j.is_new AND j.known_row IS NOT NULL AS gone, "
        "CASE WHEN j.d THEN coalesce(j.deleted_at, j.u, now()) "
        "WHEN j.deleted_at <= j.u THEN NULL ELSE coalesce(j.deleted_at, CASE WHEN j.is_new AND (j.tombstone <= j.u) IS NOT TRUE "
        "THEN j.tombstone END) END AS new_deleted_at "
        "FROM ({joined}) AS j"
    ).format(
        items=_tail(items),
        kept=S(" OR ").join(kept) if kept else S("false"),
        sets=S(" OR ").join(sets) if sets else S("false"),
        joined=joined,
    )


def _new_base(spec: MergeSpec) -> sql.Composed:
    """The base after the sync: what amoCRM sent, column by column."""
    pairs: list[sql.Composable] = []
    documents: list[sql.Composable] = []
    for k, column in enumerate(spec.columns):
        moved, theirs = plan_name("m", k), plan_name("t", k)
        if spec.live.columns[column.name].family == "json":
            # Stripping nulls goes into documents, too: theirs would never equal its base again.
            documents.append(
                S(" || CASE WHEN p.{} THEN jsonb_build_object({}, p.{}) ELSE '{{}}' END").format(
                    moved, sql.Literal(column.name), theirs
                )
            )
        else:
            pairs.append(
                S("{}, CASE WHEN p.{} THEN to_jsonb(p.{}) END").format(
                    sql.Literal(column.name), moved, theirs
                )
            )
    for k, item_set in enumerate(spec.live.mapping.sets):
        pairs.append(
            S("{}, CASE WHEN NOT p.d THEN p.{} END").format(sql.Literal(item_set.name), I(f"s{k}"))
        )
    return S("(jsonb_strip_nulls(jsonb_build_object({})){})").format(
        S(", ").join(pairs), S("").join(documents)
    )


def create_plan(spec: MergeSpec, source: sql.Composable, *, partial: bool = False) -> sql.Composed:
    """The plan itself: what each staged record does to its row.

    `partial` re-merges single columns of rows that exist (a link or a name whose other end came later).
    """
    resurrect = {
        "never": S("false"),
        "changed": S("(d.u > d.key_updated) IS TRUE"),
        "always": S("true"),
    }[spec.live.mapping.resurrect]
    takes = [S("d.{}").format(plan_name("w", k)) for k in range(len(spec.columns))]
    moves = [S("d.{}").format(plan_name("m", k)) for k in range(len(spec.columns))]
    return S(
        "CREATE TEMP TABLE crm_plan ON COMMIT DROP AS "
        "SELECT p.*, {new_base} AS base_moved FROM ("
        "SELECT d.*, ({takes}) AS any_take, (d.is_new OR ({takes}) OR ({moves}) OR d.sets_moved OR d.record_differs "
        "OR d.new_deleted_at IS DISTINCT FROM d.deleted_at) AS changed "
        "FROM ({decided}) AS d WHERE NOT d.is_stale AND (NOT d.gone OR {resurrect}) AND NOT (d.is_new AND d.d) {partial}"
        ") AS p WHERE p.changed OR p.has_edit"
    ).format(
        new_base=_new_base(spec),
        takes=S(" OR ").join(takes) if takes else S("false"),
        moves=S(" OR ").join(moves) if moves else S("false"),
        decided=_decided(spec, _joined(spec, source)),
        resurrect=resurrect,
        partial=S("AND NOT d.is_new") if partial else S(""),
    )


def count_plan(spec: MergeSpec) -> sql.Composed:
    """One row: inserts, updates, kept edits, conflicts, then for each column its takes over a filled base."""
    conflicts = [S("{}::int").format(plan_name("x", k)) for k in range(len(spec.columns))]
    overwrites = [
        S("count(*) FILTER (WHERE NOT is_new AND {} AND {} IS NOT NULL)").format(plan_name("w", k), plan_name("co", k))
        for k in range(len(spec.columns))
    ]
    return S(
        "SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE changed AND NOT is_new), "
        "count(*) FILTER (WHERE has_edit AND NOT is_new), "
        "coalesce(sum({}) FILTER (WHERE changed), 0)::bigint, count(*) FILTER (WHERE any_take AND NOT is_new){} "
        "FROM crm_plan"
    ).format(S(" + ").join(conflicts) if conflicts else S("0"), _tail(overwrites))


def lock_rows(spec: MergeSpec) -> sql.Composed:
    """Locks the rows that the plan would update, in the key's order so that two sessions can't deadlock."""
    table = spec.live.mapping
    return S(
        "SELECT t.{id} FROM {table} AS t WHERE t.{id} IN "
        "(SELECT p.row_id FROM crm_plan AS p WHERE p.changed AND NOT p.is_new) ORDER BY t.{id} FOR UPDATE"
    ).format(id=I(table.id), table=spec.live.identifier)


def update_rows(spec: MergeSpec) -> sql.Composed:
    """Writes the changed rows, and only those that still hold what the plan saw: a person may have edited meanwhile."""
    table = spec.live.mapping
    sets: list[sql.Composable] = [
        S("{c} = CASE WHEN p.{w} THEN p.{t} ELSE t.{c} END").format(
            c=I(column.name), w=plan_name("w", k), t=plan_name("t", k)
        )
        for k, column in enumerate(spec.columns)
    ]
    sets.append(
        S(
            "{raw} = coalesce(t.{raw}, '{{}}') || jsonb_build_object('amo', CASE WHEN p.d THEN t.{raw}->'amo' ELSE "
            "coalesce(p.r, t.{raw}->'amo') END, 'amo_values', coalesce(t.{raw}->'amo_values', '{{}}') || p.base_moved)"
        ).format(raw=I(table.raw_fields))
    )
    service = table.service
    if service["updated_at"]:
        sets.append(S("{c} = CASE WHEN p.any_take THEN now() ELSE t.{c} END").format(c=I(service["updated_at"])))
    if service["amo_created_at"]:
        sets.append(S("{c} = coalesce(p.n, t.{c})").format(c=I(service["amo_created_at"])))
    if service["amo_updated_at"]:
        sets.append(S("{c} = coalesce(p.u, t.{c})").format(c=I(service["amo_updated_at"])))
    if service["amo_deleted_at"]:
        sets.append(S("{} = p.new_deleted_at").format(I(service["amo_deleted_at"])))
    seen = [
        S("t.{} IS NOT DISTINCT FROM p.{}").format(I(c.name), plan_name("o", k)) for k, c in enumerate(spec.columns)
    ]
    return S("UPDATE {table} AS t SET {sets} FROM crm_plan AS p WHERE p.changed AND NOT p.is_new AND t.{id} = p.row_id{seen}").format(
        table=spec.live.identifier,
        sets=S(", ").join(sets),
        id=I(table.id),
        seen=S("").join(S(" AND {}").format(s) for s in seen),
    )


def insert_rows(spec: MergeSpec) -> sql.Composed:
    """Inserts the new rows and remembers which record became which row."""
    table = spec.live.mapping
    names: list[sql.Composable] = []
    values: list[sql.Composable] = []
    for k, column in enumerate(spec.columns):
        names.append(I(column.name))
        value: sql.Composable = S("p.{}").format(plan_name("t", k))
        if column.name in table.defaults:
            value = S("coalesce({}, {}::{})").format(
                value,
                sql.Literal(table.defaults[column.name]),
                S(spec.live.columns[column.name].type_sql),  # type: ignore[arg-type]
            )
        values.append(value)
    mapped = {c.name for c in spec.columns}
    for name, default in table.defaults.items():
        if name not in mapped:
            names.append(I(name))
            values.append(sql.Literal(default))
    fixed: list[tuple[str | None, sql.Composable]] = [
        (table.account, S("p.a")),
        (table.amo_id, S("p.i")),
        (table.raw_fields, S("jsonb_build_object('amo', p.r, 'amo_values', p.base_moved)")),
        (table.service["created_at"], S("now()")),
        (table.service["updated_at"], S("now()")),
        (table.service["amo_created_at"], S("p.n")),
        (table.service["amo_updated_at"], S("p.u")),
        (table.service["amo_deleted_at"], S("p.new_deleted_at")),
    ]
    for fixed_name, value in fixed:
        if fixed_name:
            names.append(I(fixed_name))
            values.append(value)
    return S(
        "WITH born AS (INSERT INTO {table} ({names}) SELECT {values} FROM crm_plan AS p WHERE p.is_new ORDER BY p.q "
        "RETURNING {id}::text AS row_id, {account} AS a, {amo_id} AS i) "
        "INSERT INTO {keys} AS k (account_id, table_name, amo_id, row_id, amo_updated_at) "
        "SELECT born.a, {name}, born.i, born.row_id, p.u FROM born JOIN crm_plan AS p ON p.a = born.a AND p.i = born.i "
        "ON CONFLICT (account_id, table_name, amo_id) DO UPDATE SET row_id = excluded.row_id, "
        "amo_updated_at = excluded.amo_updated_at, amo_deleted_at = NULL"
    ).format(
        table=spec.live.identifier,
        names=S(", ").join(names),
        values=S(", ").join(values),
        id=I(table.id),
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        keys=spec.control("sync_keys"),
        name=sql.Literal(table.table),
    )


def remember_versions(spec: MergeSpec) -> sql.Composed:
    """Keeps each record's time beside its key: a row that a person deletes may come back when the record changes."""
    return S(
        "UPDATE {keys} AS k SET amo_updated_at = p.u FROM crm_plan AS p WHERE p.changed AND NOT p.is_new "
        "AND k.account_id = p.a AND k.table_name = {name} AND k.amo_id = p.i"
    ).format(keys=spec.control("sync_keys"), name=sql.Literal(spec.live.mapping.table))


def keep_pending(spec: MergeSpec) -> sql.Composed | None:
    """Remembers links whose other end has not come yet; None for a table without links."""
    branches = [
        S(
            "SELECT p.a, {table}, {column}, p.i, {source}, p.{c}::text FROM crm_plan AS p "
            "WHERE p.changed AND NOT p.d AND p.{c} IS NOT NULL AND p.{t} IS NULL"
        ).format(
            table=sql.Literal(spec.live.mapping.table),
            column=sql.Literal(column.name),
            source=sql.Literal(column.link),
            c=plan_name("c", k),
            t=plan_name("t", k),
        )
        for k, column in enumerate(spec.columns)
        if column.link
    ]
    if not branches:
        return None
    return S(
        "INSERT INTO {} (account_id, table_name, column_name, amo_id, source, ref) {} ON CONFLICT DO NOTHING"
    ).format(spec.control("sync_pending"), S(" UNION ALL ").join(branches))
