"""Compiles the plan of the three-way merge of records whose row exists; `sql.write` writes it.

Every statement is a pure function of the mapping and the live table, so their number does not depend on the number of
records. The plan is a temporary table with one row for each staged record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from psycopg import sql

from target_crm.sql.expressions import CONFLICT, EDIT, MOVE, TAKE, decisions, facts, is_empty
from target_crm.sql.joins import source_joins, theirs, under_name
from target_crm.sql.marks import mark_of, own_mark
from target_crm.sql.rules import lasting_tombstone
from target_crm.sql.spec import I, MergeSpec, S, Slot, comma, of_stream, tail
from target_crm.sql.staging import limited, set_base, set_moves
from target_crm.sql.staging_table import drop, insert_from, make
from target_crm.sql.stored import STORED, kept_forms


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


def _compared_values(spec: MergeSpec) -> list[sql.Composable]:
    """Of each column theirs, ours and base; of each set whether its items differ from the last time, and those."""
    values: list[sql.Composable] = []
    for slot in spec.slots:
        values += [
            S("{} AS {}").format(theirs(spec, slot), slot.theirs),
            S("{} AS {}").format(spec.live.cell("crm", slot.column.name), slot.ours),
            S("base.{} AS {}").format(I(slot.column.name), slot.base),
        ]
    for index, item_set in enumerate(spec.item_sets):
        items = sql.Literal(item_set.name)
        moves = S("staged.new_base ? {items} AND (parts.base->{items}) IS DISTINCT FROM (staged.new_base->{items})")
        values += [
            S("{} AS {}").format(moves.format(items=items), set_moves(index)),
            S("parts.base->{} AS {}").format(items, set_base(index)),
        ]
    return values


def _compared(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """Staged records beside their rows: theirs, ours and base of each column. OFFSET 0 keeps PostgreSQL from working
    out each value again wherever a decision names it."""
    table = spec.live.mapping
    mark = spec.service("amo_deleted_at")
    fields = [S("{} {}").format(I(x.column.name), S(x.live.type_sql)) for x in spec.slots]
    # What another program left as base may be anything; of our own rows the keys know.
    trusted_base = S("") if table.adopt.base == "trust" else S(" AND known.row_id IS NOT NULL")
    return S(
        """
        SELECT
            staged.seq, staged.account_id, staged.amo_id, staged.updated_at, staged.created_at, staged.record_hash,
            staged.document AS new_document, staged.new_base,
            -- A document that is a list or a text (a column's default may be one) holds nothing of ours, nor does a
            -- part of it that is not an object.
            CASE WHEN jsonb_typeof(unpacked.document) = 'object' THEN unpacked.document END AS old_document,
            CASE WHEN jsonb_typeof(parts.amo) = 'object' THEN parts.amo END AS old_amo,
            parts.base AS old_base,
            CASE WHEN jsonb_typeof(parts.stored) = 'object' THEN parts.stored END AS old_stored,
            known.row_id IS NULL AS is_adopted,
            crm.{id} AS row_id, {version} AS version, {mark} AS old_mark, {own_mark} AS own_mark,
            known.record_hash AS known_hash, known.account_id IS NOT NULL AS has_key{values}
        FROM {source} AS staged
        JOIN {table} AS crm ON {on_key}
        LEFT JOIN {keys} AS known
            ON known.account_id = staged.account_id AND known.table_name = staged.table_name
            AND known.amo_id = staged.amo_id
        -- Adding nothing to a document unpacks it, once for all that reads it here.
        CROSS JOIN LATERAL (SELECT crm.{raw} || '{{}}' AS document OFFSET 0) AS unpacked
        CROSS JOIN LATERAL (
            SELECT
                unpacked.document->'amo' AS amo, unpacked.document->'amo_stored' AS stored,
                CASE WHEN jsonb_typeof(unpacked.document->'amo_values') = 'object'{trusted_base}
                    THEN unpacked.document->'amo_values' END AS base
            OFFSET 0
        ) AS parts
        LEFT JOIN LATERAL jsonb_to_record(parts.base) AS base({fields}) ON true
        {joins}
        OFFSET 0
        """
    ).format(
        id=I(table.id),
        version=spec.version,
        mark=mark_of(spec.live, "crm", "known") if mark else S("NULL::timestamptz"),
        own_mark=own_mark(spec.live),
        raw=I(table.raw_fields),
        trusted_base=trusted_base,
        values=tail(_compared_values(spec)),
        source=under_name(S("({})").format(source), spec.table_name),
        table=spec.live.identifier,
        on_key=spec.on_key,
        keys=spec.control("sync_keys"),
        fields=comma(fields) if fields else S("no_column text"),
        joins=source_joins(spec),
    )


def _new_document(spec: MergeSpec) -> sql.Composed:
    """The document after the sync: the record as received, and for the base what amoCRM sent, column by column.

    As a rule that is the staged document itself. What else the row's document holds, and properties and bases of values
    that do not come any more, stay.
    """
    # Where forms are remembered, those that still hold are put in again.
    former = S("CASE WHEN summed.old_stored IS NULL THEN summed.old_document ELSE summed.old_document - {name} END")
    remembered = S(
        """
        CASE WHEN summed.old_stored IS NULL THEN '{{}}' ELSE coalesce(
            (
                SELECT jsonb_build_object({name}, stored.forms) FROM (SELECT {kept} AS forms OFFSET 0) AS stored
                WHERE stored.forms IS NOT NULL
            ),
            '{{}}'
        ) END
        """
    )
    if spec.only is None:
        document = S(
            """
            CASE WHEN summed.old_stored IS NULL AND summed.old_base IS NOT NULL AND summed.old_amo IS NOT NULL
                AND (summed.old_document - '{{amo,amo_values}}'::text[]) = '{{}}'
                AND summed.new_base ?& ARRAY(SELECT jsonb_object_keys(summed.old_base))
                AND (summed.new_document->'amo') ?& ARRAY(SELECT jsonb_object_keys(summed.old_amo))
            THEN summed.new_document
            ELSE coalesce(({former}) - '{{amo,amo_values}}'::text[], '{{}}') || jsonb_build_object(
                'amo', coalesce(summed.old_amo, '{{}}') || (summed.new_document->'amo'),
                'amo_values', coalesce(summed.old_base, '{{}}') || summed.new_base
            ) || {remembered} END
            """
        )
        value: sql.Composable = S("")
    else:
        (slot,) = spec.slots
        document = S(
            """
            coalesce({former}, '{{}}') || jsonb_build_object(
                'amo_values', coalesce(summed.old_base, '{{}}') || jsonb_strip_nulls({value})
            ) || {remembered}
            """
        )
        value = S("jsonb_build_object({}, CASE WHEN {} THEN summed.{} END)").format(
            sql.Literal(slot.column.name), bit(slot, MOVE, "summed"), slot.theirs
        )
    name = sql.Literal(STORED)
    return document.format(
        former=former.format(name=name),
        remembered=remembered.format(name=name, kept=kept_forms(spec, "summed")),
        value=value,
    )


def _decision(spec: MergeSpec, slot: Slot) -> sql.Composed:
    """A column's decision; of a row that is adopted by the policy for that, unless the column has its own."""
    late = spec.only is not None
    usual, first = spec.policy(slot.column), spec.first_policy(slot.column)
    decided: sql.Composable = decisions(slot, usual, late=late)
    if not late and first != usual:
        decided = S("CASE WHEN is_adopted THEN {} ELSE {} END").format(decisions(slot, first), decided)
    # An array is looked up: the truth table as an expression would make the statement long, and PostgreSQL reads and
    # plans it for each batch.
    return S("coalesce(({})[({}) + 1], 0)").format(decided, facts(slot))


def plan_query(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """The plan: each column's decision, what they add up to for the row, and the document it will have.

    From the inside out: staged records beside their rows (`compared`), with the decisions (`decided`), with what these
    add up to (`summed`), and with the document of rows that change (`planned`).
    """
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
                            AND decided.old_amo IS DISTINCT FROM
                                (coalesce(decided.old_amo, '{{}}') || (decided.new_document->'amo'))
                        )
                    ) AS changed
                FROM (
                    SELECT
                        decided.*, {takes} AS writes, ({moves}{moved}) AS moves, {edits} AS edited,
                        CASE WHEN decided.own_mark THEN decided.old_mark ELSE {tombstone} END AS new_mark
                    FROM (
                        SELECT compared.*{decisions} FROM ({compared}) AS compared OFFSET 0
                    ) AS decided
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
        tombstone=lasting_tombstone(S("decided.updated_at"), S("decided.old_mark")),
        moved=S("").join(S(" OR decided.{}").format(set_moves(index)) for index in sets),
        decisions=tail(S("{} AS {}").format(_decision(spec, slot), slot.decision) for slot in spec.slots),
        compared=_compared(spec, source),
    )


def fill_plan(spec: MergeSpec, source: sql.Composable) -> list[sql.Composed]:
    """Works the plan out; that of a partial merge has a separate table, made again each time."""
    query = plan_query(spec, source)
    if spec.only is None:
        return [insert_from(spec.plan, None, query)]
    return [drop(spec.plan_name), make(spec.plan_name, query)]


def count_plan(spec: MergeSpec) -> sql.Composed:
    """Sums the plan up (`PlanSummary`)."""
    conflicts = [S("{}::integer").format(bit(slot, CONFLICT)) for slot in spec.slots]
    overwrites = [S("count(*) FILTER (WHERE {})").format(_overwrites(slot)) for slot in spec.slots]
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


def _overwrites(slot: Slot) -> sql.Composed:
    """Whether a value of the column is replaced."""
    return S("{} AND NOT {}").format(bit(slot, TAKE), is_empty(slot, slot.ours))


def overwritten_keys(spec: MergeSpec, slot: Slot, most: int) -> sql.Composed:
    """The keys of the first rows in which the column would be overwritten."""
    return S("SELECT plan.row_id::text FROM {} AS plan WHERE {} ORDER BY plan.seq LIMIT {}").format(
        spec.plan, _overwrites(slot), sql.Literal(most)
    )


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


def leave_rows(spec: MergeSpec, rows: Iterable[str]) -> sql.Composed:
    """Takes rows out of the plan."""
    return S("DELETE FROM {} WHERE row_id::text = ANY({}::text[])").format(spec.plan, sql.Literal(sorted(rows)))


def lock_rows(spec: MergeSpec, source: sql.Composable) -> sql.Composed:
    """Locks the rows in their key's order, so that two sessions can't deadlock."""
    return S(
        """
        SELECT crm.{id} FROM {table} AS crm
        WHERE EXISTS (SELECT FROM ({source}) AS staged WHERE {on_key})
        ORDER BY crm.{id} FOR NO KEY UPDATE
        """
    ).format(id=I(spec.live.mapping.id), table=spec.live.identifier, source=source, on_key=spec.on_key)
