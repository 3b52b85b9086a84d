"""Compiles the three-way merge of records whose row exists: plan, write, remember.

Every statement is a pure function of the mapping and the live table, so their number does not depend on the number of
records. The plan is a temporary table with one row for each staged record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.sql.expressions import CONFLICT, EDIT, MOVE, TAKE, decision, is_empty
from target_crm.sql.joins import own_mark, source_joins, theirs, under_name
from target_crm.sql.spec import I, MergeSpec, S, Slot, comma, of_stream, tail
from target_crm.sql.staging import limited
from target_crm.sql.stored import STORED, kept_forms

# So many rows found unchanged the long way are worth remembering: a restored database, not a few edits.
_LEAST_TO_REMEMBER = 1000


class PlanSummary(NamedTuple):
    """The one row of `count_plan`: numbers of rows, conflicts in cells; the last two by column."""

    rows: int
    changed: int
    edited: int
    conflicts: int
    writing: int
    # Whether a mark of deletion changes.
    marks: bool
    overwrites: list[int]
    writes: list[int]


class Touched(NamedTuple):
    """The one row of `touched`: sequences of records, None where there are none."""

    changed: list[int] | None
    edited: list[int] | None


def bit(slot: Slot, flag: int, alias: str = "p") -> sql.Composed:
    """Whether the column's decision holds that flag."""
    return S("(({}.{} & {}) <> 0)").format(I(alias), slot.name("d"), sql.Literal(flag))


def _either(spec: MergeSpec, flag: int) -> sql.Composable:
    """Whether any column's decision holds the flag."""
    if not spec.slots:
        return S("false")
    names = [S("y.{}").format(slot.name("d")) for slot in spec.slots]
    return S("((({}) & {}) <> 0)").format(S(" | ").join(names), sql.Literal(flag))


def staged(spec: MergeSpec, rows: int) -> sql.Composed:
    """The staged records whose row exists; `rows` are staged in all."""
    columns = [S("s.{}").format(slot.name("c")) for slot in spec.slots]
    document: sql.Composable = S("s.doc")
    if spec.group is not None:
        # Of the base only what this part of the columns is about: the base of the others moves with them.
        names = [slot.column.name for slot in spec.slots] + [item_set.name for item_set in spec.item_sets]
        document = S(
            "jsonb_set(s.doc, '{{amo_values}}', coalesce((SELECT jsonb_object_agg(e.key, e.value) "
            "FROM jsonb_each(s.doc->'amo_values') AS e WHERE e.key = ANY({}::text[])), '{{}}'))"
        ).format(sql.Literal(names))
    return S(
        "SELECT s.q, s.a, s.i, s.u, s.n, s.h, s.doc, s.doc->'amo_values' AS new_base{} FROM (SELECT s.q, s.a, s.i, "
        "s.u, s.n, s.h, s.is_new, {} AS doc{} FROM {} AS s WHERE NOT s.is_new OFFSET 0) AS s"
        if spec.group is not None
        else "SELECT s.q, s.a, s.i, s.u, s.n, s.h, s.doc, s.doc->'amo_values' AS new_base{} FROM {} AS s "
        "WHERE NOT s.is_new OFFSET 0"
    ).format(
        tail(columns),
        *((document, tail(columns)) if spec.group is not None else ()),
        limited(spec.temp("stage"), rows),
    )


def touched(spec: MergeSpec) -> sql.Composed:
    """The records whose rows a plan changes, and those whose rows hold edits (`Touched`)."""
    return S("SELECT array_agg(q) FILTER (WHERE changed), array_agg(q) FILTER (WHERE edited) FROM {}").format(spec.plan)


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
    for index, item_set in enumerate(spec.item_sets):
        name = sql.Literal(item_set.name)
        values += [
            S("(s.new_base ? {n} AND (r.old_base->{n}) IS DISTINCT FROM (s.new_base->{n})) AS {}").format(
                I(f"g{index}"), n=name
            ),
            S("r.old_base->{} AS {}").format(name, I(f"h{index}")),
        ]
    mark = spec.service("amo_deleted_at")
    fields = [S("{} {}").format(I(x.column.name), S(x.live.type_sql)) for x in spec.slots]
    base = S("t.{}->'amo_values'").format(I(table.raw_fields))
    if table.adopt.base != "trust":
        # What another program left as base may be anything; of our own rows the keys know.
        base = S("CASE WHEN k.row_id IS NOT NULL THEN {} END").format(base)
    return S(
        "SELECT s.q, s.a, s.i, s.u, s.n, s.h, s.doc AS new_doc, s.new_base, "
        # A document that is a list or a text (a column's default may be one) holds nothing of ours.
        "CASE WHEN jsonb_typeof(t.{raw}) = 'object' THEN t.{raw} END AS old_doc, r.old_base, "
        "r.old_stored, k.row_id IS NULL AS is_adopted, "
        "t.{id} AS row_id, {version} AS version, {mark} AS old_mark, {own_mark} AS own_mark, "
        "k.record_hash AS known_hash, k.account_id IS NOT NULL AS has_key{values} "
        "FROM {source} AS s JOIN {table} AS t ON {on_key} "
        "LEFT JOIN {keys} AS k ON k.account_id = s.a AND k.table_name = s.name AND k.amo_id = s.i "
        "CROSS JOIN LATERAL (SELECT {base} AS old_base, t.{raw}->'amo_stored' AS old_stored OFFSET 0) "
        "AS r "
        "LEFT JOIN LATERAL jsonb_to_record(r.old_base) AS b({fields}) ON true {joins} OFFSET 0"
    ).format(
        id=I(table.id),
        version=spec.version,
        mark=S("t.{}").format(mark) if mark else S("NULL::timestamptz"),
        own_mark=own_mark(spec.live),
        raw=I(table.raw_fields),
        base=base,
        values=tail(values),
        source=under_name(S("({})").format(source), spec.table_name),
        table=spec.live.identifier,
        on_key=spec.on_key,
        keys=spec.control("sync_keys"),
        fields=comma(fields) if fields else S("no_column text"),
        joins=source_joins(spec),
    )


def _new_document(spec: MergeSpec) -> sql.Composed:
    """The document after the sync: the record as it came, and for the base what amoCRM sent, column by column.

    As a rule that is the staged document itself. What else the row's document holds, and properties and bases of values
    that do not come any more, stay.
    """
    if spec.only is None:
        document = S(
            "CASE WHEN z.old_base IS NOT NULL AND z.old_doc ? 'amo' "
            "AND (SELECT count(*) FROM jsonb_object_keys(z.old_doc)) = 2 "
            "AND z.new_base ?& ARRAY(SELECT jsonb_object_keys(z.old_base)) "
            "AND (z.new_doc->'amo') ?& ARRAY(SELECT jsonb_object_keys(z.old_doc->'amo')) THEN z.new_doc "
            "ELSE coalesce(z.old_doc, '{{}}') || z.new_doc "
            "|| jsonb_build_object('amo', coalesce(z.old_doc->'amo', '{{}}') || (z.new_doc->'amo'), "
            "'amo_values', coalesce(z.old_base, '{{}}') || z.new_base) END"
        ).format()
    else:
        (slot,) = spec.slots
        document = S(
            "coalesce(z.old_doc, '{{}}') || jsonb_build_object('amo_values', coalesce(z.old_base, '{{}}') || "
            "jsonb_strip_nulls(jsonb_build_object({}, CASE WHEN {} THEN z.{} END)))"
        ).format(sql.Literal(slot.column.name), bit(slot, MOVE, "z"), slot.name("t"))
    return S(
        "CASE WHEN z.old_stored IS NULL THEN {document} ELSE (SELECT CASE WHEN k.forms IS NULL "
        "THEN ({document}) - {name} ELSE ({document}) || jsonb_build_object({name}, k.forms) END "
        "FROM (SELECT {kept} AS forms) AS k) END"
    ).format(document=document, kept=kept_forms(spec), name=sql.Literal(STORED))


def _decision(spec: MergeSpec, slot: Slot) -> sql.Composed:
    """A column's decision; of a row that is adopted by the policy for that, unless the column has its own."""
    late = spec.only is not None
    usual = decision(slot, spec.policy(slot.column), late=late)
    first = spec.first_policy(slot.column)
    if late or first == spec.policy(slot.column):
        return usual
    return S("CASE WHEN is_adopted THEN {} ELSE {} END").format(decision(slot, first), usual)


def plan_query(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """The plan: each column's decision d*, what they add up to for the row, and the document it will have."""
    decisions = [S("({})::integer AS {}").format(_decision(spec, slot), slot.name("d")) for slot in spec.slots]
    indexes = range(len(spec.item_sets))
    sets = [I(f"{kind}{index}") for kind in "hg" for index in indexes]
    return S(
        "SELECT w.q, w.a, w.i, w.u, w.n, w.h, w.row_id, w.version, w.known_hash, w.has_key, w.old_mark, w.new_mark, "
        "w.writes, w.edited, w.changed, w.doc{named} FROM (SELECT z.*, CASE WHEN z.changed THEN {document} END AS doc "
        "FROM (SELECT y.*, (y.writes OR y.moves OR y.new_mark IS DISTINCT FROM y.old_mark OR "
        "(y.new_doc IS NOT NULL AND y.known_hash IS DISTINCT FROM y.h "
        "AND (y.old_doc->'amo') IS DISTINCT FROM (coalesce(y.old_doc->'amo', '{{}}') || (y.new_doc->'amo')))) "
        "AS changed "
        "FROM (SELECT y.*, {takes} AS writes, ({moves}{moved}) AS moves, {edits} AS edited, "
        "CASE WHEN y.own_mark OR (y.old_mark <= y.u) IS NOT TRUE THEN y.old_mark END AS new_mark "
        "FROM (SELECT x.*{decisions} FROM ({compared}) AS x OFFSET 0) AS y) AS y OFFSET 0) AS z) AS w"
    ).format(
        named=S("").join(
            [S(", w.{}").format(name) for name in sets]
            + [S(", w.{}").format(slot.name(kind)) for slot in spec.slots for kind in "tobd"]
        ),
        document=_new_document(spec),
        takes=_either(spec, TAKE),
        moves=_either(spec, MOVE),
        edits=_either(spec, EDIT),
        moved=S("").join(S(" OR y.{}").format(I(f"g{index}")) for index in indexes),
        decisions=tail(decisions),
        compared=_compared(spec, source),
    )


def fill_plan(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """Works the plan out; that of a partial merge has a table of its own, made again each time."""
    query = plan_query(spec, source)
    if spec.only is None:
        return S("INSERT INTO {} {}").format(spec.plan, query)
    return S("DROP TABLE IF EXISTS {plan}; CREATE TEMP TABLE {plan} ON COMMIT DROP AS {}").format(query, plan=spec.plan)


def count_plan(spec: MergeSpec) -> sql.Composed:
    """Sums the plan up (`PlanSummary`)."""
    conflicts = [S("{}::integer").format(bit(slot, CONFLICT)) for slot in spec.slots]
    overwrites = [
        S("count(*) FILTER (WHERE {} AND NOT {})").format(bit(slot, TAKE), is_empty(slot, slot.name("o")))
        for slot in spec.slots
    ]
    takes = [S("count(*) FILTER (WHERE {})").format(bit(slot, TAKE)) for slot in spec.slots]
    return S(
        "SELECT count(*), count(*) FILTER (WHERE changed), count(*) FILTER (WHERE edited), "
        "coalesce(sum({}), 0)::bigint, count(*) FILTER (WHERE writes), "
        "coalesce(bool_or(new_mark IS DISTINCT FROM old_mark), false), ARRAY[{}]::bigint[], ARRAY[{}]::bigint[] "
        "FROM {} AS p"
    ).format(S(" + ").join(conflicts) if conflicts else S("0"), comma(overwrites), comma(takes), spec.plan)


def had_properties(spec: MergeSpec, account: int, amo_ids: Sequence[int], names: Sequence[str]) -> sql.Composed:
    """The ids of those rows whose record has had one of the properties."""
    table = spec.live.mapping
    return S(
        "SELECT t.{amo_id} FROM {table} AS t WHERE t.{account} = {given} AND t.{amo_id} = ANY({ids}::bigint[])"
        "{of_stream} "
        "AND t.{raw}->'amo' ?| {names}::text[]"
    ).format(
        amo_id=I(table.amo_id or ""),
        table=spec.live.identifier,
        account=I(table.account or ""),
        given=sql.Literal(account),
        ids=sql.Literal(list(amo_ids)),
        of_stream=of_stream(spec.live, "t"),
        raw=I(table.raw_fields),
        names=sql.Literal(list(names)),
    )


def unwritten(spec: MergeSpec) -> sql.Composed:
    """The keys of rows that were to be written and are as they were."""
    return S(
        "SELECT p.row_id::text FROM {plan} AS p JOIN {table} AS t ON t.{id} = p.row_id "
        "WHERE p.changed AND {version} = p.version"
    ).format(plan=spec.plan, table=spec.live.identifier, id=I(spec.live.mapping.id), version=spec.version)


def leave_rows(spec: MergeSpec, rows: Iterable[str]) -> sql.Composed:
    """Takes rows out of the plan."""
    return S("DELETE FROM {} WHERE row_id::text = ANY({}::text[])").format(spec.plan, sql.Literal(sorted(rows)))


def vacate(spec: MergeSpec, slot: Slot) -> sql.Composed:
    """Empties a column in the rows in which it is going to be written; the plan goes on with the rows as they are then.

    Values that are unique and change places meet nothing when they are written after that.
    """
    table = spec.live.mapping
    return S(
        "WITH x AS (UPDATE {table} AS t SET {c} = NULL FROM {plan} AS p WHERE p.changed AND {take} "
        "AND t.{id} = p.row_id AND t.{account} = p.a AND t.{c} IS NOT NULL AND {same} "
        "RETURNING t.{id} AS row_id, {version} AS version) "
        "UPDATE {plan} AS p SET version = x.version, {ours} = NULL FROM x WHERE x.row_id = p.row_id"
    ).format(
        table=spec.live.identifier,
        c=I(slot.column.name),
        plan=spec.plan,
        take=bit(slot, TAKE),
        id=I(table.id),
        account=I(table.account or ""),
        same=S("{} = p.version").format(spec.version) if spec.live.has_versions else S("true"),
        version=spec.version,
        ours=slot.name("o"),
    )


def index_columns(live: LiveTable, name: str) -> sql.Composed:
    """The columns that an index of the table is made of."""
    return S(
        "SELECT a.attname FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid "
        "JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.indrelid AND (a.attnum = ANY(x.indkey) OR EXISTS ("
        "SELECT FROM pg_catalog.pg_depend AS d WHERE d.objid = i.oid AND d.refobjid = x.indrelid "
        "AND d.refobjsubid = a.attnum)) "
        "WHERE x.indrelid = {}::regclass AND i.relname = {} AND a.attnum > 0"
    ).format(sql.Literal(live.identifier.as_string()), sql.Literal(name))


def lock_rows(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """Locks the rows in their key's order, so that two sessions can't deadlock."""
    return S(
        "SELECT t.{id} FROM {table} AS t WHERE EXISTS (SELECT FROM ({source}) AS s WHERE {on_key}) "
        "ORDER BY t.{id} FOR NO KEY UPDATE"
    ).format(id=I(spec.live.mapping.id), table=spec.live.identifier, source=source, on_key=spec.on_key)


def update_rows(spec: MergeSpec, rows: int) -> sql.Composed:
    """Writes the changed rows, and only those that still are what the plan saw: people edit meanwhile."""
    table = spec.live.mapping
    writes: list[sql.Composable] = [
        S("{c} = CASE WHEN {} THEN p.{} ELSE t.{c} END").format(bit(slot, TAKE), slot.name("t"), c=I(slot.column.name))
        for slot in spec.slots
    ]
    writes.append(S("{} = p.doc").format(I(table.raw_fields)))
    stamp = spec.service("updated_at")
    if stamp:
        writes.append(S("{c} = CASE WHEN p.writes THEN now() ELSE t.{c} END").format(c=stamp))
    if spec.only is None:
        for role, value in (("amo_created_at", "p.n"), ("amo_updated_at", "p.u")):
            name = spec.service(role)
            if name:
                writes.append(S("{c} = coalesce({}, t.{c})").format(S(value), c=name))
        mark = spec.service("amo_deleted_at")
        if mark:
            writes.append(S("{} = p.new_mark").format(mark))
    if spec.live.has_versions:
        unchanged: sql.Composable = S(" AND {} = p.version").format(spec.version)
    else:
        unchanged = S("").join(
            S(" AND t.{} IS NOT DISTINCT FROM p.{}").format(I(slot.column.name), slot.name("o")) for slot in spec.slots
        )
    return S(
        "UPDATE {table} AS t SET {writes} FROM {plan} AS p WHERE p.changed AND t.{account} = p.a "
        "AND t.{id} = p.row_id{unchanged} "
        "RETURNING t.{account} AS a, {name}::text AS name, t.{amo_id} AS i, t.{id} AS row_id, {version} AS version, "
        "p.h, p.u, p.edited, p.has_key, p.version AS old_version"
    ).format(
        table=spec.live.identifier,
        writes=comma(writes),
        plan=limited(spec.plan, rows),
        id=I(table.id),
        unchanged=unchanged,
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        name=spec.table_name,
        version=spec.version,
    )


_KEEP_ONE = """
    kept AS (UPDATE {keys} AS k SET row_version = x.version FROM x
        WHERE k.account_id = x.a AND k.table_name = x.name AND k.amo_id = x.i AND k.row_version = x.old_version)
"""
_KEEP_ALL = """
    kept AS (UPDATE {keys} AS k SET row_id = x.row_id::text, record_hash = x.h, row_version = x.version,
        is_edited = {edited}, amo_updated_at = x.u,
        amo_deleted_at = CASE WHEN (x.u >= k.amo_deleted_at) IS NOT TRUE THEN k.amo_deleted_at END FROM x
        WHERE x.has_key AND k.account_id = x.a AND k.table_name = x.name AND k.amo_id = x.i),
    added AS (INSERT INTO {keys} AS k (account_id, table_name, amo_id, row_id, record_hash, row_version, is_edited,
        amo_updated_at) SELECT x.a, x.name, x.i, x.row_id::text, x.h, x.version, x.edited, x.u
        FROM x WHERE NOT x.has_key)
"""


def write_and_remember(spec: MergeSpec, rows: int) -> sql.Composed:
    """Writes the rows and keeps with their keys what was merged; one row: how many were written."""
    return S("WITH x AS ({update}), {keys} SELECT count(*) FROM x").format(
        update=update_rows(spec, rows),
        keys=S(_KEEP_ONE if spec.only else _KEEP_ALL).format(
            keys=spec.control("sync_keys"), edited=S("(x.edited OR k.is_edited)" if spec.group else "x.edited")
        ),
    )


def heal_keys(spec: MergeSpec, rows: int) -> sql.Composed:
    """Keeps with their keys what was found unchanged the long way.

    Always where the hash was another (a changed mapping, an adopted row). Where only the version was another, a person
    touched the row or the database was restored: that is remembered when many rows of the batch need it, a few are not
    worth a write.
    """
    return S(
        "UPDATE {keys} AS k SET row_id = p.row_id::text, record_hash = p.h, row_version = p.version, "
        "is_edited = {edited}, amo_updated_at = p.u "
        "FROM {rows} AS p WHERE NOT p.changed AND k.account_id = p.a AND k.table_name = p.name AND k.amo_id = p.i "
        "AND (p.known_hash IS DISTINCT FROM p.h OR (SELECT count(*) FROM {plan} AS r WHERE NOT r.changed) >= {least})"
    ).format(
        edited=S("(p.edited OR k.is_edited)" if spec.group else "p.edited"),
        keys=spec.control("sync_keys"),
        rows=under_name(limited(spec.plan, rows), spec.table_name),
        plan=spec.plan,
        least=sql.Literal(_LEAST_TO_REMEMBER),
    )
