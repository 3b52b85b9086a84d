"""Compiles the three-way merge of records whose row exists: plan, write, remember.

Every statement is a pure function of the mapping and the live table, so their number does not depend on the number of
records. The plan is a temporary table with one row for each staged record; the documents stay out of it.
"""

from __future__ import annotations

from psycopg import sql

from target_crm.sql.expressions import CONFLICT, EDIT, MOVE, TAKE, decision, is_empty
from target_crm.sql.joins import reference_base, source_joins, theirs
from target_crm.sql.spec import I, MergeSpec, S, Slot, comma, tail


def bit(slot: Slot, flag: int, alias: str = "p") -> sql.Composed:
    """Whether the column's decision holds that flag."""
    return S("(({}.{} & {}) <> 0)").format(I(alias), slot.name("d"), sql.Literal(flag))


def _either(spec: MergeSpec, flag: int) -> sql.Composable:
    """Whether any column's decision holds the flag."""
    if not spec.slots:
        return S("false")
    names = [S("y.{}").format(slot.name("d")) for slot in spec.slots]
    return S("((({}) & {}) <> 0)").format(S(" | ").join(names), sql.Literal(flag))


def staged(spec: MergeSpec) -> sql.Composed:
    """The staged records whose row exists."""
    columns = [S("s.{}").format(slot.name("c")) for slot in spec.slots]
    return S("SELECT s.q, s.a, s.i, s.u, s.h, s.doc{} FROM {} AS s WHERE NOT s.is_new").format(
        tail(columns), spec.temp("stage")
    )


def mark_adopted(spec: MergeSpec) -> sql.Composed:
    """A staged record whose key a row has been given meanwhile is not new any more."""
    return S("UPDATE {} AS s SET is_new = false FROM {} AS t WHERE s.is_new AND {}").format(
        spec.temp("stage"), spec.live.identifier, spec.on_key
    )


def _compared(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """Staged records beside their rows: theirs t*, ours o*, base b*. OFFSET 0 keeps PostgreSQL from
    working out each value again wherever a decision names it."""
    table = spec.live.mapping
    values: list[sql.Composable] = []
    for slot in spec.slots:
        values += [
            S("{} AS {}").format(theirs(spec, slot), slot.name("t")),
            S("t.{} AS {}").format(I(slot.column.name), slot.name("o")),
            S("b.{} AS {}").format(I(slot.column.name), slot.name("b")),
        ]
    base = S("(t.{}->'amo_values')").format(I(table.raw_fields))
    for index, item_set in enumerate(() if spec.only else table.sets):
        name = sql.Literal(item_set.name)
        values += [
            S("(s.doc->'amo_values' ? {n} AND ({b}->{n}) IS DISTINCT FROM (s.doc->'amo_values'->{n})) AS {}").format(
                I(f"g{index}"), n=name, b=base
            ),
            S("{}->{} AS {}").format(base, name, I(f"h{index}")),
        ]
    mark = spec.service("amo_deleted_at")
    fields = [S("{} {}").format(I(x.column.name), S(x.live.type_sql)) for x in spec.slots]
    return S(
        "SELECT s.q, s.a, s.i, s.u, s.h, t.{id} AS row_id, {version} AS version, {mark} AS old_mark, "
        "k.record_hash AS known_hash, k.row_version AS known_version, k.is_edited AS known_edit, "
        "(s.doc IS NOT NULL AND k.record_hash IS DISTINCT FROM s.h "
        "AND (t.{raw}->'amo') IS DISTINCT FROM (s.doc->'amo')) AS record_differs{values} "
        "FROM ({source}) AS s JOIN {table} AS t ON {on_key} "
        "LEFT JOIN {keys} AS k ON k.account_id = s.a AND k.table_name = {name} AND k.amo_id = s.i "
        "LEFT JOIN LATERAL jsonb_to_record({base}) AS b({fields}) ON true {joins} OFFSET 0"
    ).format(
        id=I(table.id),
        version=spec.version,
        mark=S("t.{}").format(mark) if mark else S("NULL::timestamptz"),
        raw=I(table.raw_fields),
        values=tail(values),
        source=source,
        table=spec.live.identifier,
        on_key=spec.on_key,
        keys=spec.control("sync_keys"),
        name=spec.table_name,
        base=base,
        fields=comma(fields) if fields else S("no_column text"),
        joins=source_joins(spec),
    )


def plan_query(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """The plan: each column's decision d*, and what they add up to for the row."""
    decisions = [
        S("({})::integer AS {}").format(
            decision(slot, spec.policy(slot.column), late=spec.only is not None), slot.name("d")
        )
        for slot in spec.slots
    ]
    sets = [] if spec.only else [S("y.{}").format(I(f"g{k}")) for k in range(len(spec.live.mapping.sets))]
    return S(
        "SELECT z.*, (z.writes OR z.moves OR z.record_differs OR z.new_mark IS DISTINCT FROM z.old_mark) AS changed "
        "FROM (SELECT y.*, {takes} AS writes, ({moves}{sets}) AS moves, {edits} AS edited, "
        "CASE WHEN (y.old_mark <= y.u) IS NOT TRUE THEN y.old_mark END AS new_mark "
        "FROM (SELECT x.*{decisions} FROM ({compared}) AS x OFFSET 0) AS y) AS z"
    ).format(
        takes=_either(spec, TAKE),
        moves=_either(spec, MOVE),
        edits=_either(spec, EDIT),
        sets=S("").join(S(" OR {}").format(moved) for moved in sets),
        decisions=tail(decisions),
        compared=_compared(spec, source),
    )


def create_plan(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """Makes the plan, in place of the one before."""
    return S("DROP TABLE IF EXISTS {plan}; CREATE TEMP TABLE {plan} ON COMMIT DROP AS {}").format(
        plan_query(spec, source), plan=spec.temp("plan")
    )


def count_plan(spec: MergeSpec) -> sql.Composed:
    """One row: changed rows, rows with edits, conflicts, rows with writes; then each column's overwrites."""
    conflicts = [S("{}::integer").format(bit(slot, CONFLICT)) for slot in spec.slots]
    overwrites = [
        S("count(*) FILTER (WHERE {} AND NOT {})").format(bit(slot, TAKE), is_empty(slot, slot.name("o")))
        for slot in spec.slots
    ]
    return S(
        "SELECT count(*) FILTER (WHERE changed), count(*) FILTER (WHERE edited), "
        "coalesce(sum({}), 0)::bigint, count(*) FILTER (WHERE writes){} FROM {} AS p"
    ).format(S(" + ").join(conflicts) if conflicts else S("0"), tail(overwrites), spec.temp("plan"))


def lock_rows(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """Locks the rows in their key's order, so that two sessions can't deadlock."""
    return S(
        "SELECT t.{id} FROM {table} AS t WHERE EXISTS (SELECT FROM ({source}) AS s WHERE {on_key}) "
        "ORDER BY t.{id} FOR UPDATE"
    ).format(id=I(spec.live.mapping.id), table=spec.live.identifier, source=source, on_key=spec.on_key)


def _new_document(spec: MergeSpec) -> sql.Composed:
    """The document after the sync: the record as it came, and for the base what amoCRM sent, column by column."""
    raw = I(spec.live.mapping.raw_fields)
    references = reference_base(
        spec,
        {
            slot.index: S("CASE WHEN {} THEN p.{} END").format(bit(slot, MOVE), slot.name("t"))
            for slot in spec.referring
        },
    )
    base: sql.Composable = S("coalesce(t.{}->'amo_values', '{{}}')").format(raw)
    if spec.only is None:
        base = S("{} || (s.doc->'amo_values')").format(base)
    if references is not None:
        base = S("{} || {}").format(base, references)
    document: sql.Composable = S("coalesce(t.{}, '{{}}')").format(raw)
    if spec.only is None:
        document = S("{} || s.doc").format(document)
    return S("{} || jsonb_build_object('amo_values', {})").format(document, base)


def update_rows(spec: MergeSpec) -> sql.Composed:
    """Writes the changed rows, and only those that still hold what the plan saw: people edit meanwhile.

    Returns rows (q, account, amo id, version) of what was written.
    """
    table = spec.live.mapping
    writes: list[sql.Composable] = [
        S("{c} = CASE WHEN {} THEN p.{} ELSE t.{c} END").format(bit(slot, TAKE), slot.name("t"), c=I(slot.column.name))
        for slot in spec.slots
    ]
    writes.append(S("{} = {}").format(I(table.raw_fields), _new_document(spec)))
    stamp = spec.service("updated_at")
    if stamp:
        writes.append(S("{c} = CASE WHEN p.writes THEN now() ELSE t.{c} END").format(c=stamp))
    if spec.only is None:
        for role, value in (("amo_created_at", "s.n"), ("amo_updated_at", "s.u")):
            name = spec.service(role)
            if name:
                writes.append(S("{c} = coalesce({}, t.{c})").format(S(value), c=name))
        mark = spec.service("amo_deleted_at")
        if mark:
            writes.append(S("{} = p.new_mark").format(mark))
    unchanged = [
        S(" AND t.{} IS NOT DISTINCT FROM p.{}").format(I(slot.column.name), slot.name("o")) for slot in spec.slots
    ]
    return S(
        "UPDATE {table} AS t SET {writes} FROM {plan} AS p {stage} WHERE p.changed AND t.{id} = p.row_id{unchanged} "
        "RETURNING p.q, t.{account} AS a, t.{amo_id} AS i, t.{id} AS row_id, {version} AS version"
    ).format(
        table=spec.live.identifier,
        writes=comma(writes),
        plan=spec.temp("plan"),
        stage=S("") if spec.only else S("JOIN {} AS s ON s.q = p.q").format(spec.temp("stage")),
        id=I(table.id),
        unchanged=S("").join(unchanged),
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        version=spec.version,
    )


def write_and_remember(spec: MergeSpec) -> sql.Composed:
    """Writes the rows and keeps with their keys what was merged; one row: how many were written."""
    if spec.only:
        keys = S(
            "UPDATE {keys} AS k SET row_version = x.version FROM x JOIN {plan} AS p ON p.q = x.q "
            "WHERE k.account_id = x.a AND k.table_name = {name} AND k.amo_id = x.i AND k.row_version = p.version"
        )
    else:
        keys = S(
            "INSERT INTO {keys} AS k (account_id, table_name, amo_id, row_id, record_hash, row_version, is_edited, "
            "amo_updated_at) SELECT x.a, {name}, x.i, x.row_id::text, p.h, x.version, p.edited, p.u "
            "FROM x JOIN {plan} AS p ON p.q = x.q ON CONFLICT (account_id, table_name, amo_id) DO UPDATE SET "
            "row_id = excluded.row_id, record_hash = excluded.record_hash, row_version = excluded.row_version, "
            "is_edited = excluded.is_edited, amo_updated_at = excluded.amo_updated_at, amo_deleted_at = "
            "CASE WHEN (excluded.amo_updated_at >= k.amo_deleted_at) IS NOT TRUE THEN k.amo_deleted_at END"
        )
    return S("WITH x AS ({update}), kept AS ({keys}) SELECT count(*) FROM x").format(
        update=update_rows(spec),
        keys=keys.format(keys=spec.control("sync_keys"), name=spec.table_name, plan=spec.temp("plan")),
    )


def heal_keys(spec: MergeSpec, least: int) -> sql.Composed:
    """Keeps with their keys what was found unchanged the long way.

    Always where the hash was another (a changed mapping, an adopted row). Where only the version was another, a person
    touched the row or the database was restored: that is remembered when at least `least` rows of the batch need it,
    a few are not worth a write.
    """
    plan = spec.temp("plan")
    return S(
        "UPDATE {keys} AS k SET row_id = p.row_id::text, record_hash = p.h, row_version = p.version, "
        "is_edited = p.edited, amo_updated_at = p.u "
        "FROM {plan} AS p WHERE NOT p.changed AND k.account_id = p.a AND k.table_name = {name} AND k.amo_id = p.i "
        "AND (p.known_hash IS DISTINCT FROM p.h OR (SELECT count(*) FROM {plan} AS r WHERE NOT r.changed) >= {least})"
    ).format(keys=spec.control("sync_keys"), plan=plan, name=spec.table_name, least=sql.Literal(least))


def keep_pending(spec: MergeSpec, *, born: bool) -> sql.Composed | None:
    """Remembers links whose other end has not come, of new rows or of changed ones; None without links."""
    branches = []
    for slot in spec.slots:
        if not slot.column.link:
            continue
        column = sql.Literal(slot.column.name)
        if born:
            rows = S("{} AS b ON b.q = s.q WHERE NOT b.base ? {}").format(spec.temp("born"), column)
        else:
            rows = S("{} AS p ON p.q = s.q WHERE p.changed AND p.{} IS NULL").format(spec.temp("plan"), slot.name("t"))
        branches.append(
            S("SELECT s.a, {}, {}, s.i, {}, s.{c}::text FROM {} AS s JOIN {} AND s.{c} IS NOT NULL").format(
                spec.table_name,
                column,
                sql.Literal(slot.column.link),
                spec.temp("stage"),
                rows,
                c=slot.name("c"),
            )
        )
    if not branches:
        return None
    return S(
        "INSERT INTO {} (account_id, table_name, column_name, amo_id, source, ref) {} ON CONFLICT DO NOTHING"
    ).format(spec.control("sync_pending"), S(" UNION ALL ").join(branches))
