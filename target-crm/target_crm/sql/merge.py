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
from target_crm.sql.rules import lasting_tombstone
from target_crm.sql.spec import I, MergeSpec, S, Slot, comma, of_stream, tail
from target_crm.sql.staging import limited, set_base, set_moves
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


def bit(slot: Slot, flag: int, alias: str = "plan") -> sql.Composed:
    """Whether the column's decision holds that flag."""
    return S("(({}.{} & {}) <> 0)").format(I(alias), slot.decision, sql.Literal(flag))


def _either(spec: MergeSpec, flag: int) -> sql.Composable:
    """Whether any column's decision holds the flag."""
    if not spec.slots:
        return S("false")
    names = [S("decided.{}").format(slot.decision) for slot in spec.slots]
    return S("((({}) & {}) <> 0)").format(S(" | ").join(names), sql.Literal(flag))


def staged(spec: MergeSpec, rows: int) -> sql.Composed:
    """The staged records whose row exists; `rows` are staged in all."""
    columns = tail(S("staged.{}").format(slot.staged) for slot in spec.slots)
    stage: sql.Composable = limited(spec.temp("stage"), rows)
    if spec.group is not None:
        # Of the base only what this part of the columns is about: the base of the others moves with them.
        names = [slot.column.name for slot in spec.slots] + [item_set.name for item_set in spec.item_sets]
        stage = S(
            """
            (SELECT
                staged.seq, staged.account_id, staged.amo_id, staged.updated_at, staged.created_at, staged.record_hash,
                staged.is_new,
                jsonb_set(staged.document, '{{amo_values}}', coalesce(
                    (SELECT jsonb_object_agg(base.key, base.value)
                    FROM jsonb_each(staged.document->'amo_values') AS base WHERE base.key = ANY({names}::text[])),
                    '{{}}'
                )) AS document{columns}
            FROM {stage} AS staged WHERE NOT staged.is_new OFFSET 0)
            """
        ).format(names=sql.Literal(names), columns=columns, stage=stage)
    return S(
        """
        SELECT
            staged.seq, staged.account_id, staged.amo_id, staged.updated_at, staged.created_at, staged.record_hash,
            staged.document, staged.document->'amo_values' AS new_base{columns}
        FROM {stage} AS staged WHERE NOT staged.is_new OFFSET 0
        """
    ).format(columns=columns, stage=stage)


def touched(spec: MergeSpec) -> sql.Composed:
    """The records whose rows a plan changes, and those whose rows hold edits (`Touched`)."""
    return S("SELECT array_agg(seq) FILTER (WHERE changed), array_agg(seq) FILTER (WHERE edited) FROM {}").format(
        spec.plan
    )


def _compared(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """Staged records beside their rows: theirs, ours and base of each column. OFFSET 0 keeps PostgreSQL from working
    out each value again wherever a decision names it."""
    table = spec.live.mapping
    values: list[sql.Composable] = []
    for slot in spec.slots:
        name = I(slot.column.name)
        values += [
            S("{} AS {}").format(theirs(spec, slot), slot.theirs),
            S("crm.{} AS {}").format(name, slot.ours),
            S("base.{} AS {}").format(name, slot.base),
        ]
    for index, item_set in enumerate(spec.item_sets):
        items = sql.Literal(item_set.name)
        moves = S(
            "(staged.new_base ? {items} AND (kept.old_base->{items}) IS DISTINCT FROM (staged.new_base->{items}))"
        )
        values += [
            S("{} AS {}").format(moves.format(items=items), set_moves(index)),
            S("kept.old_base->{} AS {}").format(items, set_base(index)),
        ]
    mark = spec.service("amo_deleted_at")
    fields = [S("{} {}").format(I(x.column.name), S(x.live.type_sql)) for x in spec.slots]
    base = S("crm.{}->'amo_values'").format(I(table.raw_fields))
    if table.adopt.base != "trust":
        # What another program left as base may be anything; of our own rows the keys know.
        base = S("CASE WHEN known.row_id IS NOT NULL THEN {} END").format(base)
    return S(
        """
        SELECT
            staged.seq, staged.account_id, staged.amo_id, staged.updated_at, staged.created_at, staged.record_hash,
            staged.document AS new_document, staged.new_base,
            -- A document that is a list or a text (a column's default may be one) holds nothing of ours.
            CASE WHEN jsonb_typeof(crm.{raw}) = 'object' THEN crm.{raw} END AS old_document,
            kept.old_base, kept.old_stored, known.row_id IS NULL AS is_adopted,
            crm.{id} AS row_id, {version} AS version, {mark} AS old_mark, {own_mark} AS own_mark,
            known.record_hash AS known_hash, known.account_id IS NOT NULL AS has_key{values}
        FROM {source} AS staged
        JOIN {table} AS crm ON {on_key}
        LEFT JOIN {keys} AS known
            ON known.account_id = staged.account_id AND known.table_name = staged.table_name
            AND known.amo_id = staged.amo_id
        CROSS JOIN LATERAL (
            SELECT {base} AS old_base, crm.{raw}->'amo_stored' AS old_stored OFFSET 0
        ) AS kept
        LEFT JOIN LATERAL jsonb_to_record(kept.old_base) AS base({fields}) ON true
        {joins}
        OFFSET 0
        """
    ).format(
        id=I(table.id),
        version=spec.version,
        mark=S("crm.{}").format(mark) if mark else S("NULL::timestamptz"),
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
            """
            CASE WHEN summed.old_base IS NOT NULL AND summed.old_document ? 'amo'
                AND (SELECT count(*) FROM jsonb_object_keys(summed.old_document)) = 2
                AND summed.new_base ?& ARRAY(SELECT jsonb_object_keys(summed.old_base))
                AND (summed.new_document->'amo') ?& ARRAY(SELECT jsonb_object_keys(summed.old_document->'amo'))
            THEN summed.new_document
            ELSE coalesce(summed.old_document, '{{}}') || summed.new_document || jsonb_build_object(
                'amo', coalesce(summed.old_document->'amo', '{{}}') || (summed.new_document->'amo'),
                'amo_values', coalesce(summed.old_base, '{{}}') || summed.new_base
            ) END
            """
        ).format()
    else:
        (slot,) = spec.slots
        document = S(
            """
            coalesce(summed.old_document, '{{}}') || jsonb_build_object(
                'amo_values', coalesce(summed.old_base, '{{}}') || jsonb_strip_nulls(
                    jsonb_build_object({}, CASE WHEN {} THEN summed.{} END)
                )
            )
            """
        ).format(sql.Literal(slot.column.name), bit(slot, MOVE, "summed"), slot.theirs)
    return S(
        """
        CASE WHEN summed.old_stored IS NULL THEN {document}
        ELSE (
            SELECT CASE WHEN stored.forms IS NULL THEN ({document}) - {name}
                ELSE ({document}) || jsonb_build_object({name}, stored.forms) END
            FROM (SELECT {kept} AS forms) AS stored
        ) END
        """
    ).format(document=document, kept=kept_forms(spec, "summed"), name=sql.Literal(STORED))


def _decision(spec: MergeSpec, slot: Slot) -> sql.Composed:
    """A column's decision; of a row that is adopted by the policy for that, unless the column has its own."""
    late = spec.only is not None
    usual = decision(slot, spec.policy(slot.column), late=late)
    first = spec.first_policy(slot.column)
    if late or first == spec.policy(slot.column):
        return usual
    return S("CASE WHEN is_adopted THEN {} ELSE {} END").format(decision(slot, first), usual)


def plan_query(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """The plan: each column's decision, what they add up to for the row, and the document it will have.

    From the inside out: staged records beside their rows (`compared`), with the decisions (`decided`), with what these
    add up to (`summed`), and with the document of rows that change (`planned`).
    """
    decisions = [S("({})::integer AS {}").format(_decision(spec, slot), slot.decision) for slot in spec.slots]
    sets = range(len(spec.item_sets))
    named = [*map(set_base, sets), *map(set_moves, sets)]
    for slot in spec.slots:
        named += [slot.theirs, slot.ours, slot.base, slot.decision]
    return S(
        """
        SELECT
            planned.seq, planned.account_id, planned.amo_id, planned.updated_at, planned.created_at,
            planned.record_hash, planned.row_id, planned.version, planned.known_hash, planned.has_key,
            planned.old_mark, planned.new_mark, planned.writes, planned.edited, planned.changed,
            planned.document{named}
        FROM (
            SELECT summed.*, CASE WHEN summed.changed THEN {document} END AS document
            FROM (
                SELECT
                    decided.*,
                    (
                        decided.writes OR decided.moves OR decided.new_mark IS DISTINCT FROM decided.old_mark OR (
                            decided.new_document IS NOT NULL
                            AND decided.known_hash IS DISTINCT FROM decided.record_hash
                            AND (decided.old_document->'amo') IS DISTINCT FROM
                                (coalesce(decided.old_document->'amo', '{{}}') || (decided.new_document->'amo'))
                        )
                    ) AS changed
                FROM (
                    SELECT
                        decided.*, {takes} AS writes, ({moves}{moved}) AS moves, {edits} AS edited,
                        CASE WHEN decided.own_mark OR (decided.old_mark <= decided.updated_at) IS NOT TRUE
                            THEN decided.old_mark END AS new_mark
                    FROM (SELECT compared.*{decisions} FROM ({compared}) AS compared OFFSET 0) AS decided
                ) AS decided
                OFFSET 0
            ) AS summed
        ) AS planned
        """
    ).format(
        named=tail(S("planned.{}").format(name) for name in named),
        document=_new_document(spec),
        takes=_either(spec, TAKE),
        moves=_either(spec, MOVE),
        edits=_either(spec, EDIT),
        moved=S("").join(S(" OR decided.{}").format(set_moves(index)) for index in sets),
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
        S("count(*) FILTER (WHERE {} AND NOT {})").format(bit(slot, TAKE), is_empty(slot, slot.ours))
        for slot in spec.slots
    ]
    takes = [S("count(*) FILTER (WHERE {})").format(bit(slot, TAKE)) for slot in spec.slots]
    return S(
        """
        SELECT
            count(*),
            count(*) FILTER (WHERE changed),
            count(*) FILTER (WHERE edited),
            coalesce(sum({}), 0)::bigint,
            count(*) FILTER (WHERE writes),
            coalesce(bool_or(new_mark IS DISTINCT FROM old_mark), false),
            ARRAY[{}]::bigint[],
            ARRAY[{}]::bigint[]
        FROM {} AS plan
        """
    ).format(S(" + ").join(conflicts) if conflicts else S("0"), comma(overwrites), comma(takes), spec.plan)


def had_properties(spec: MergeSpec, account: int, amo_ids: Sequence[int], names: Sequence[str]) -> sql.Composed:
    """The ids of those rows whose record has had one of the properties."""
    table = spec.live.mapping
    return S(
        """
        SELECT crm.{amo_id} FROM {table} AS crm
        WHERE crm.{account} = {given} AND crm.{amo_id} = ANY({ids}::bigint[]){of_stream}
            AND crm.{raw}->'amo' ?| {names}::text[]
        """
    ).format(
        amo_id=I(table.amo_id or ""),
        table=spec.live.identifier,
        account=I(table.account or ""),
        given=sql.Literal(account),
        ids=sql.Literal(list(amo_ids)),
        of_stream=of_stream(spec.live, "crm"),
        raw=I(table.raw_fields),
        names=sql.Literal(list(names)),
    )


def unwritten(spec: MergeSpec) -> sql.Composed:
    """The keys of rows that were to be written and are as they were."""
    return S(
        """
        SELECT plan.row_id::text FROM {plan} AS plan JOIN {table} AS crm ON crm.{id} = plan.row_id
        WHERE plan.changed AND {version} = plan.version
        """
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
        """
        WITH emptied AS (
            UPDATE {table} AS crm SET {column} = NULL FROM {plan} AS plan
            WHERE plan.changed AND {take} AND crm.{id} = plan.row_id AND crm.{account} = plan.account_id
                AND crm.{column} IS NOT NULL AND {same}
            RETURNING crm.{id} AS row_id, {version} AS version
        )
        UPDATE {plan} AS plan SET version = emptied.version, {ours} = NULL
        FROM emptied WHERE emptied.row_id = plan.row_id
        """
    ).format(
        table=spec.live.identifier,
        column=I(slot.column.name),
        plan=spec.plan,
        take=bit(slot, TAKE),
        id=I(table.id),
        account=I(table.account or ""),
        same=S("{} = plan.version").format(spec.version) if spec.live.has_versions else S("true"),
        version=spec.version,
        ours=slot.ours,
    )


def index_columns(live: LiveTable, name: str) -> sql.Composed:
    """The columns that an index of the table is made of."""
    return S(
        """
        SELECT a.attname
        FROM pg_catalog.pg_index AS x
        JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.indrelid AND (
            a.attnum = ANY(x.indkey) OR EXISTS (
                SELECT FROM pg_catalog.pg_depend AS d
                WHERE d.objid = i.oid AND d.refobjid = x.indrelid AND d.refobjsubid = a.attnum
            )
        )
        WHERE x.indrelid = {}::regclass AND i.relname = {} AND a.attnum > 0
        """
    ).format(sql.Literal(live.identifier.as_string()), sql.Literal(name))


def lock_rows(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """Locks the rows in their key's order, so that two sessions can't deadlock."""
    return S(
        """
        SELECT crm.{id} FROM {table} AS crm
        WHERE EXISTS (SELECT FROM ({source}) AS staged WHERE {on_key})
        ORDER BY crm.{id} FOR NO KEY UPDATE
        """
    ).format(id=I(spec.live.mapping.id), table=spec.live.identifier, source=source, on_key=spec.on_key)


def update_rows(spec: MergeSpec, rows: int) -> sql.Composed:
    """Writes the changed rows, and only those that still are what the plan saw: people edit meanwhile."""
    table = spec.live.mapping
    writes: list[sql.Composable] = [
        S("{column} = CASE WHEN {} THEN plan.{} ELSE crm.{column} END").format(
            bit(slot, TAKE), slot.theirs, column=I(slot.column.name)
        )
        for slot in spec.slots
    ]
    writes.append(S("{} = plan.document").format(I(table.raw_fields)))
    stamp = spec.service("updated_at")
    if stamp:
        writes.append(S("{column} = CASE WHEN plan.writes THEN now() ELSE crm.{column} END").format(column=stamp))
    if spec.only is None:
        for role, value in (("amo_created_at", "plan.created_at"), ("amo_updated_at", "plan.updated_at")):
            name = spec.service(role)
            if name:
                writes.append(S("{column} = coalesce({}, crm.{column})").format(S(value), column=name))
        mark = spec.service("amo_deleted_at")
        if mark:
            writes.append(S("{} = plan.new_mark").format(mark))
    if spec.live.has_versions:
        unchanged: sql.Composable = S(" AND {} = plan.version").format(spec.version)
    else:
        unchanged = S("").join(
            S(" AND crm.{} IS NOT DISTINCT FROM plan.{}").format(I(slot.column.name), slot.ours) for slot in spec.slots
        )
    return S(
        """
        UPDATE {table} AS crm SET {writes} FROM {plan} AS plan
        WHERE plan.changed AND crm.{account} = plan.account_id AND crm.{id} = plan.row_id{unchanged}
        RETURNING crm.{account} AS account_id, {name}::text AS table_name, crm.{amo_id} AS amo_id,
            crm.{id} AS row_id, {version} AS version, plan.record_hash, plan.updated_at, plan.edited, plan.has_key,
            plan.version AS old_version
        """
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


_KEEP_VERSION = """
    kept AS (
        UPDATE {keys} AS known SET row_version = written.version
        FROM written
        WHERE known.account_id = written.account_id AND known.table_name = written.table_name
            AND known.amo_id = written.amo_id AND known.row_version = written.old_version
    )
"""
_KEEP_ALL = """
    kept AS (
        UPDATE {keys} AS known SET row_id = written.row_id::text, record_hash = written.record_hash,
            row_version = written.version, is_edited = {edited}, amo_updated_at = written.updated_at,
            amo_deleted_at = {tombstone}
        FROM written
        WHERE written.has_key AND known.account_id = written.account_id
            AND known.table_name = written.table_name AND known.amo_id = written.amo_id
    ),
    added AS (
        INSERT INTO {keys} AS known (account_id, table_name, amo_id, row_id, record_hash, row_version, is_edited,
            amo_updated_at)
        SELECT written.account_id, written.table_name, written.amo_id, written.row_id::text, written.record_hash,
            written.version, written.edited, written.updated_at
        FROM written WHERE NOT written.has_key
    )
"""


def write_and_remember(spec: MergeSpec, rows: int) -> sql.Composed:
    """Writes the rows and keeps with their keys what was merged; one row: how many were written."""
    return S("WITH written AS ({update}), {keys} SELECT count(*) FROM written").format(
        update=update_rows(spec, rows),
        keys=S(_KEEP_VERSION if spec.only else _KEEP_ALL).format(
            keys=spec.control("sync_keys"),
            edited=S("(written.edited OR known.is_edited)" if spec.group else "written.edited"),
            tombstone=lasting_tombstone(S("written.updated_at"), S("known.amo_deleted_at")),
        ),
    )


def remember_unchanged(spec: MergeSpec, rows: int) -> sql.Composed:
    """Keeps with their keys what was found unchanged the long way.

    Always where the hash was another (a changed mapping, an adopted row). Where only the version was another, a person
    touched the row or the database was restored: that is remembered when many rows of the batch need it, a few are not
    worth a write.
    """
    return S(
        """
        UPDATE {keys} AS known SET row_id = plan.row_id::text, record_hash = plan.record_hash,
            row_version = plan.version, is_edited = {edited}, amo_updated_at = plan.updated_at
        FROM {rows} AS plan
        WHERE NOT plan.changed AND known.account_id = plan.account_id AND known.table_name = plan.table_name
            AND known.amo_id = plan.amo_id AND (
                plan.known_hash IS DISTINCT FROM plan.record_hash
                OR (SELECT count(*) FROM {plan} AS unchanged WHERE NOT unchanged.changed) >= {least}
            )
        """
    ).format(
        edited=S("(plan.edited OR known.is_edited)" if spec.group else "plan.edited"),
        keys=spec.control("sync_keys"),
        rows=under_name(limited(spec.plan, rows), spec.table_name),
        plan=spec.plan,
        least=sql.Literal(_LEAST_TO_REMEMBER),
    )
