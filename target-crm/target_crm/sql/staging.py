"""Staging tables of one stream, and the first look at a batch: what is new, what may have changed."""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from target_crm.sql.joins import under_name
from target_crm.sql.rules import lasting_tombstone
from target_crm.sql.spec import I, MergeSpec, S, comma, tail
from target_crm.sql.staging_table import create, index

# Rows of these tables are wider than two kilobytes, which is where PostgreSQL begins to compress: lost time here.
_WIDE = S("WITH (toast_tuple_target = 8160)")
_TABLES = ("seen", "stage", "items", "inserted", "waiting_links")
# Of each table the columns by which it is joined: the planner needs statistics of these alone.
_JOINED = {
    "seen": ("account_id", "amo_id"),
    "stage": ("seq", "account_id", "amo_id"),
    "items": ("seq", "set_number"),
    "inserted": ("seq", "account_id", "amo_id", "row_id"),
}


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
    """The staging tables: keys seen, records staged, items of their sets, rows inserted, links that wait, the plan.

    They live as long as the connection; each merge empties them first.
    """
    staged = [S("{} {}").format(slot.staged, slot.staged_type) for slot in spec.slots]
    return [
        create(
            spec.staging_name("seen"),
            S("seq integer, account_id bigint, amo_id bigint, updated_at timestamptz, record_hash bigint"),
        ),
        create(
            spec.staging_name("stage"),
            S(
                "seq integer, account_id bigint, amo_id bigint, updated_at timestamptz, created_at timestamptz, "
                "record_hash bigint, is_new boolean, document jsonb{}"
            ).format(tail(staged)),
            _WIDE,
        ),
        index(spec.staging_name("stage"), "seq"),
        create(
            spec.staging_name("items"),
            S(
                "seq integer, set_number integer, item_key text, value text, comment text, type text, "
                "position integer, document jsonb"
            ),
        ),
        create(
            spec.staging_name("inserted"),
            S("seq integer, account_id bigint, amo_id bigint, row_id {}, version bigint, base jsonb").format(
                spec.key_type
            ),
        ),
        create(
            spec.staging_name("waiting_links"),
            S("account_id bigint, column_name text, amo_id bigint, source text, ref text"),
        ),
        *(_create_plan(group) for group in spec.groups),
    ]


def _create_plan(spec: MergeSpec) -> sql.Composed:
    sets = range(len(spec.item_sets))
    columns = [
        *(S("{} jsonb").format(set_base(index)) for index in sets),
        *(S("{} boolean").format(set_moves(index)) for index in sets),
    ]
    for slot in spec.slots:
        columns += [S("{} {}").format(name, slot.staged_type) for name in (slot.theirs, slot.ours, slot.base)]
        columns.append(S("{} integer").format(slot.decision))
    return create(
        spec.plan_name,
        S(
            "seq integer, account_id bigint, amo_id bigint, updated_at timestamptz, created_at timestamptz, "
            "record_hash bigint, row_id {}, version bigint, known_hash bigint, has_key boolean, "
            "old_mark timestamptz, new_mark timestamptz, writes boolean, edited boolean, changed boolean, "
            "document jsonb{}"
        ).format(spec.key_type, tail(columns)),
        _WIDE,
    )


def set_base(index: int) -> sql.Identifier:
    """The plan's column with the items that a set had the last time."""
    return I(f"set_base_{index}")


def set_moves(index: int) -> sql.Identifier:
    """The plan's column that tells whether the items of a set differ from the last time."""
    return I(f"set_moves_{index}")


def _all_tables(spec: MergeSpec) -> list[sql.Composable]:
    return [*(spec.temp(name) for name in _TABLES), *(group.plan for group in spec.groups)]


def have_rows(spec: MergeSpec) -> sql.Composed:
    """Whether any of them has a row: temporary ones are empty when a transaction begins, and emptying them again makes
    new files for each."""
    return S("SELECT {}").format(
        S(" OR ").join(S("EXISTS (SELECT FROM {})").format(table) for table in _all_tables(spec))
    )


def truncate_tables(spec: MergeSpec) -> sql.Composed:
    """Empties them: several batches may share a transaction."""
    return S("TRUNCATE {}").format(comma(_all_tables(spec)))


def copy_seen(spec: MergeSpec) -> sql.Composed:
    """COPY of keys."""
    return S("COPY {} (seq, account_id, amo_id, updated_at, record_hash) FROM STDIN").format(spec.temp("seen"))


def copy_stage(spec: MergeSpec) -> sql.Composed:
    """COPY of records: the fixed columns, then the mapped ones."""
    return S(
        "COPY {} (seq, account_id, amo_id, updated_at, created_at, record_hash, is_new, document{}) FROM STDIN"
    ).format(spec.temp("stage"), tail(slot.staged for slot in spec.slots))


def copy_items(spec: MergeSpec) -> sql.Composed:
    """COPY of the items of sets."""
    return S("COPY {} (seq, set_number, item_key, value, comment, type, position, document) FROM STDIN").format(
        spec.temp("items")
    )


def copy_waiting_links(spec: MergeSpec) -> sql.Composed:
    """COPY of links whose other end has not come."""
    return S("COPY {} (account_id, column_name, amo_id, source, ref) FROM STDIN").format(spec.temp("waiting_links"))


def keep_waiting_links(spec: MergeSpec) -> sql.Composed:
    """Remembers those links until the other end comes."""
    return S(
        """
        INSERT INTO {} (account_id, table_name, column_name, amo_id, source, ref)
        SELECT account_id, {}, column_name, amo_id, source, ref FROM {}
        ON CONFLICT DO NOTHING
        """
    ).format(spec.control("sync_pending"), spec.table_name, spec.temp("waiting_links"))


def truncate_waiting_links(spec: MergeSpec) -> sql.Composed:
    """Forgets those links."""
    return S("TRUNCATE {}").format(spec.temp("waiting_links"))


def analyze(spec: MergeSpec, name: str) -> sql.Composed:
    """Statistics: without them the planner guesses, and a join over a batch becomes quadratic."""
    return S("ANALYZE {} ({})").format(spec.temp(name), comma(map(I, _JOINED[name])))


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


def classify(spec: MergeSpec, *, show_edits: bool = False, compares_all: bool = False) -> sql.Composed:
    """Classifies the batch (`Classified`). With `show_edits` rows that hold edits count as changed, with `compares_all`
    all rows.

    Left out as not to be loaded: records older than their row, and records whose row a person deleted, unless the
    mapping's `resurrect` brings it back.
    """
    table = spec.live.mapping
    updated = spec.service("amo_updated_at")
    returns = {
        "never": S("false"),
        "changed": S("(staged.updated_at > known.amo_updated_at) IS TRUE"),
        "always": S("true"),
    }[table.resurrect]
    return S(
        """
        SELECT
            array_agg(seq) FILTER (WHERE fits AND NOT present),
            array_agg(seq) FILTER (WHERE fits AND present AND NOT same),
            count(*) FILTER (WHERE fits AND present AND same),
            count(*) FILTER (WHERE fits AND present AND same AND is_edited),
            array_agg(seq) FILTER (WHERE fits AND NOT present AND has_key),
            array_agg(seq) FILTER (WHERE fits AND NOT present AND mark IS NOT NULL),
            array_agg(mark::text) FILTER (WHERE fits AND NOT present AND mark IS NOT NULL),
            now()::text,
            count(*) FILTER (WHERE is_gone),
            count(*) FILTER (WHERE NOT fits AND NOT is_gone)
        FROM (
            SELECT compared.*, NOT (compared.is_older OR compared.is_gone) AS fits
            FROM (
                SELECT
                    staged.seq,
                    crm.{id} IS NOT NULL AS present,
                    known.is_edited,
                    known.account_id IS NOT NULL AS has_key,
                    {mark} AS mark,
                    (known.record_hash = staged.record_hash AND known.row_version = {version}{known_edits}) IS TRUE
                        AS same,
                    (staged.updated_at < {updated}) IS TRUE AS is_older,
                    crm.{id} IS NULL AND known.row_id IS NOT NULL AND NOT {returns} AS is_gone
                FROM {seen} AS staged
                LEFT JOIN {keys} AS known
                    ON known.account_id = staged.account_id AND known.table_name = staged.table_name
                    AND known.amo_id = staged.amo_id
                LEFT JOIN {table} AS crm ON {on_key}
            ) AS compared
        ) AS classified
        """
    ).format(
        id=I(table.id),
        mark=lasting_tombstone(S("staged.updated_at"), S("known.amo_deleted_at")),
        version=spec.version,
        known_edits=S(" AND false" if compares_all else " AND NOT known.is_edited" if show_edits else ""),
        updated=S("crm.{}").format(updated) if updated else S("known.amo_updated_at"),
        returns=returns,
        seen=under_name(spec.temp("seen"), spec.table_name),
        keys=spec.control("sync_keys"),
        table=spec.live.identifier,
        on_key=spec.on_key,
    )
