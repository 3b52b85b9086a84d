"""SQL of a comparison with a whole account: what came is kept in temporary tables, and compared with the CRM's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.sql.spec import I, S, comma, of_stream
from target_crm.sql.ties import TIE

# The keys of all records that came, and of each what it holds for which there is no column.
CREATE = S(
    """
    CREATE TEMP TABLE IF NOT EXISTS crm_came (
        table_name text NOT NULL, account_id bigint NOT NULL, amo_id bigint NOT NULL
    ) ON COMMIT DROP;
    CREATE TEMP TABLE IF NOT EXISTS crm_left_over (
        table_name text NOT NULL, account_id bigint NOT NULL, amo_id bigint NOT NULL, kind text NOT NULL,
        name text NOT NULL
    ) ON COMMIT DROP
    """
)
COPY_CAME = S("COPY crm_came (table_name, account_id, amo_id) FROM STDIN")
COPY_LEFT_OVER = S("COPY crm_left_over (table_name, account_id, amo_id, kind, name) FROM STDIN")
# Several versions of a record may have come.
SETTLE = S(
    """
    CREATE TEMP TABLE crm_read ON COMMIT DROP AS SELECT DISTINCT table_name, account_id, amo_id FROM crm_came;
    CREATE INDEX ON crm_read (table_name, account_id, amo_id);
    ANALYZE crm_read
    """
)
ACCOUNTS = S("SELECT DISTINCT account_id FROM crm_read")
LEFT_OVER = S(
    """
    SELECT table_name, kind, name, count(DISTINCT (account_id, amo_id)) FROM crm_left_over
    GROUP BY table_name, kind, name ORDER BY table_name, kind, count(DISTINCT (account_id, amo_id)) DESC, name
    """
)


class TableCounts(NamedTuple):
    """The one row of `count_rows`: rows of these accounts as they were before the load that was rolled back."""

    rows: int
    marked: int
    own: int


def find_changes(schema: str, run_id: int) -> sql.Composed:
    """Keeps what the load changed, one row for each row of a table: which record it is of, whether it was inserted or
    tied, the columns, and of rows of sets and join tables the row itself."""
    return S(
        """
        CREATE TEMP TABLE crm_changed ON COMMIT DROP AS
        SELECT change.table_name, change.row_id, min(keys.account_id) AS account_id, min(keys.amo_id) AS amo_id,
            bool_or(change.column_name = '*' AND change.old_value IS NULL) AS is_inserted,
            bool_or(change.column_name = {tie}) AS is_tied,
            bool_or(change.new_value IS NULL OR change.new_value = 'null') AS empties,
            array_agg(DISTINCT change.column_name ORDER BY change.column_name) AS columns,
            (array_agg(coalesce(change.new_value, change.old_value)) FILTER (WHERE change.column_name = '*'))[1]
                AS document
        FROM {changes} AS change
        LEFT JOIN {keys} AS keys ON keys.table_name = change.table_name AND keys.row_id = change.row_id
        WHERE change.run_id = {run}
        GROUP BY change.table_name, change.row_id;
        CREATE INDEX ON crm_changed (table_name, row_id);
        ANALYZE crm_changed
        """
    ).format(
        changes=I(schema, "sync_changes"), keys=I(schema, "sync_keys"), run=sql.Literal(run_id), tie=sql.Literal(TIE)
    )


def has_keys(live: LiveTable) -> bool:
    """Whether the table's rows name account and record; those of others are known by `sync_keys` alone."""
    return bool(live.mapping.account and live.mapping.amo_id) and not live.mapping.match_only


def _known(live: LiveTable, schema: str) -> sql.Composed:
    """What came of the table's stream beside its keys and its row."""
    table = live.mapping
    on_row = S("crm.{}::text = known.row_id").format(I(table.id))
    if has_keys(live):
        on_row = S("crm.{} = came.account_id AND crm.{} = came.amo_id{}").format(
            I(table.account or ""), I(table.amo_id or ""), of_stream(live, "crm")
        )
    return S(
        """
        FROM crm_read AS came
        LEFT JOIN {keys} AS known
            ON known.account_id = came.account_id AND known.table_name = came.table_name AND known.amo_id = came.amo_id
        LEFT JOIN {table} AS crm ON {on_row}
        LEFT JOIN crm_changed AS changed ON changed.table_name = came.table_name AND changed.row_id = crm.{id}::text
        WHERE came.table_name = {name}
        """
    ).format(
        keys=I(schema, "sync_keys"),
        table=live.identifier,
        on_row=on_row,
        id=I(table.id),
        name=sql.Literal(table.table),
    )


def _is_open(live: LiveTable, schema: str, account: sql.Composable, amo_id: sql.Composable) -> sql.Composed:
    """Whether it is known of a record why it has no row: it is rejected, or waits."""
    return S(
        """
        (EXISTS (
            SELECT FROM {rejects} AS open WHERE open.resolved_at IS NULL AND open.stream = {stream}
                AND open.account_id = {account} AND open.amo_id = {amo_id}
        ) OR EXISTS (
            SELECT FROM {proposals} AS open WHERE open.resolved_at IS NULL AND open.stream = {stream}
                AND open.account_id = {account} AND open.amo_id = {amo_id}
        ) OR EXISTS (
            SELECT FROM {warnings} AS open WHERE open.resolved_at IS NULL AND open.table_name = {table}
                AND open.account_id = {account} AND open.amo_id = {amo_id}
                AND open.code IN ('W_ROW_HELD', 'W_RECORD_WAITS')
        ))
        """
    ).format(
        rejects=I(schema, "sync_rejects"),
        proposals=I(schema, "sync_proposals"),
        warnings=I(schema, "sync_warnings"),
        stream=sql.Literal(live.mapping.stream),
        table=sql.Literal(live.mapping.table),
        account=account,
        amo_id=amo_id,
    )


_CAME = S("came.account_id"), S("came.amo_id")


def find_missing(live: LiveTable, schema: str) -> sql.Composed:
    """Records that came and had no row. Not among them are those whose row a person removed, and those of which it is
    known why they have none."""
    return S(
        """
        SELECT came.account_id, came.amo_id, NULL::text AS row_id, NULL::text[] AS columns {known}
            AND (changed.is_inserted OR changed.is_tied OR (crm.{id} IS NULL AND known.row_id IS NULL AND NOT {open}))
        ORDER BY came.account_id, came.amo_id
        """
    ).format(known=_known(live, schema), id=I(live.mapping.id), open=_is_open(live, schema, *_CAME))


def find_removed(live: LiveTable, schema: str) -> sql.Composed:
    """Records that came and whose row a person has removed from the CRM."""
    return S(
        """
        SELECT came.account_id, came.amo_id, known.row_id, NULL::text[] AS columns {known}
            AND crm.{id} IS NULL AND known.row_id IS NOT NULL
        ORDER BY came.account_id, came.amo_id
        """
    ).format(known=_known(live, schema), id=I(live.mapping.id))


def _left_with_owner(live: LiveTable, schema: str, owners: Mapping[str, str]) -> sql.Composable:
    """Whether the record belongs to one that was deleted: notes and tasks leave amoCRM with it, without events."""
    if not owners:
        return S("false")
    return S(
        """
        EXISTS (
            SELECT FROM {keys} AS owner
            JOIN (VALUES {owners}) AS known(stream, table_name) ON known.table_name = owner.table_name
            WHERE known.stream = crm.{raw}->'amo'->>'entity_type' AND owner.account_id = crm.{account}
                AND owner.amo_id::text = crm.{raw}->'amo'->>'entity_id' AND owner.amo_deleted_at IS NOT NULL
        )
        """
    ).format(
        keys=I(schema, "sync_keys"),
        owners=comma(S("({}, {})").format(sql.Literal(stream), sql.Literal(name)) for stream, name in owners.items()),
        raw=I(live.mapping.raw_fields),
        account=I(live.mapping.account or ""),
    )


def find_surplus(
    live: LiveTable, schema: str, accounts: list[int], owners: Mapping[str, str], *, left: bool
) -> sql.Composed:
    """Rows that came from amoCRM, are not marked deleted, and whose record did not come.

    Args:
        live: The table.
        schema: That of the loader's own tables.
        accounts: The accounts that were read.
        owners: The tables of the streams that records may belong to, by stream.
        left: Those alone that left amoCRM with what they belonged to, or all others.
    """
    table = live.mapping
    mark = table.service["amo_deleted_at"]
    account, amo_id = S("crm.{}").format(I(table.account or "")), S("crm.{}").format(I(table.amo_id or ""))
    return S(
        """
        SELECT {account} AS account_id, {amo_id} AS amo_id, crm.{id}::text AS row_id, NULL::text[] AS columns
        FROM {table} AS crm
        WHERE {account} = ANY({accounts}::bigint[]) AND {amo_id} IS NOT NULL{alive}{of_stream}
            AND NOT EXISTS (
                SELECT FROM crm_read AS came
                WHERE came.table_name = {name} AND came.account_id = {account} AND came.amo_id = {amo_id}
            ) AND NOT {open} AND {left}{with_owner}
        ORDER BY {account}, {amo_id}
        """
    ).format(
        account=account,
        amo_id=amo_id,
        id=I(table.id),
        table=live.identifier,
        accounts=sql.Literal(accounts),
        alive=S(" AND crm.{} IS NULL").format(I(mark)) if mark else S(""),
        of_stream=of_stream(live, "crm"),
        name=sql.Literal(table.table),
        open=_is_open(live, schema, account, amo_id),
        left=S("") if left else S("NOT "),
        with_owner=_left_with_owner(live, schema, owners),
    )


def _is_mark(live: LiveTable) -> sql.Composable:
    """Whether all that changes in a row is that it is marked deleted."""
    mark = live.mapping.service["amo_deleted_at"]
    if not mark:
        return S("false")
    return S("(changed.columns = ARRAY[{}]::text[] AND NOT changed.empties)").format(sql.Literal(mark))


def find_stale(live: LiveTable, schema: str) -> sql.Composed:
    """Rows that hold something else than the record without a manual edit. For columns of sets and join tables the
    table's name is given."""
    table = live.mapping
    branches = [
        S(
            """
            SELECT changed.account_id, changed.amo_id, changed.row_id, unnest(changed.columns) AS column_name
            FROM crm_changed AS changed
            WHERE changed.table_name = {} AND NOT changed.is_inserted AND NOT changed.is_tied AND NOT {}
            """
        ).format(sql.Literal(table.table), _is_mark(live))
    ]
    others = [(item_set.table, item_set.parent) for item_set in table.sets]
    others += [(through.table, through.parent) for through in table.through]
    for other, parent in others:
        branches.append(
            S(
                """
                SELECT keys.account_id, keys.amo_id, changed.document->>{parent}, changed.table_name
                FROM crm_changed AS changed
                LEFT JOIN {keys} AS keys ON keys.table_name = {table} AND keys.row_id = changed.document->>{parent}
                LEFT JOIN crm_changed AS owner
                    ON owner.table_name = {table} AND owner.row_id = changed.document->>{parent}
                WHERE changed.table_name = {other} AND NOT coalesce(owner.is_inserted OR owner.is_tied, false)
                """
            ).format(
                parent=sql.Literal(parent),
                keys=I(schema, "sync_keys"),
                table=sql.Literal(table.table),
                other=sql.Literal(other),
            )
        )
    return S(
        """
        SELECT account_id, amo_id, row_id, array_agg(DISTINCT column_name ORDER BY column_name) AS columns
        FROM ({}) AS stale GROUP BY account_id, amo_id, row_id ORDER BY account_id, amo_id, row_id
        """
    ).format(S(" UNION ALL ").join(branches))


def find_unmarked(live: LiveTable) -> sql.Composed:
    """Rows whose record was deleted in amoCRM and that are not marked."""
    return S(
        """
        SELECT changed.account_id, changed.amo_id, changed.row_id, NULL::text[] AS columns FROM crm_changed AS changed
        WHERE changed.table_name = {name} AND {mark} ORDER BY changed.account_id, changed.amo_id
        """
    ).format(name=sql.Literal(live.mapping.table), mark=_is_mark(live))


def count_of(found: sql.Composable) -> sql.Composed:
    """How many a statement finds."""
    return S("SELECT count(*) FROM ({}) AS found").format(found)


def first_of(found: sql.Composable, limit: int) -> sql.Composed:
    """The first that a statement finds; all for 0."""
    return S("{} LIMIT {}").format(found, sql.Literal(limit or None))


def count_rows(live: LiveTable, accounts: list[int]) -> sql.Composed:
    """How many rows there were before the load (`TableCounts`): of records, of these marked deleted, and others."""
    table = live.mapping
    if not has_keys(live):
        return S("SELECT count(*), 0, 0 FROM {} AS crm WHERE true{}").format(live.identifier, of_stream(live, "crm"))
    mark = table.service["amo_deleted_at"]
    marked = S("crm.{} IS NOT NULL").format(I(mark)) if mark else S("false")
    return S(
        """
        SELECT
            count(*) FILTER (WHERE {ours} AND NOT {fresh}),
            count(*) FILTER (WHERE {ours} AND NOT {fresh} AND {marked} AND ({is_mark}) IS NOT TRUE),
            count(*) FILTER (WHERE crm.{amo_id} IS NULL)
        FROM {table} AS crm
        LEFT JOIN crm_changed AS changed ON changed.table_name = {name} AND changed.row_id = crm.{id}::text
        WHERE true{of_stream}
        """
    ).format(
        ours=S("(crm.{} = ANY({}::bigint[]) AND crm.{} IS NOT NULL)").format(
            I(table.account or ""), sql.Literal(accounts), I(table.amo_id or "")
        ),
        fresh=S("coalesce(changed.is_inserted OR changed.is_tied, false)"),
        marked=marked,
        is_mark=_is_mark(live),
        amo_id=I(table.amo_id or ""),
        table=live.identifier,
        name=sql.Literal(table.table),
        id=I(table.id),
        of_stream=of_stream(live, "crm"),
    )


def count_read(live: LiveTable) -> sql.Composed:
    """How many records came."""
    return S("SELECT count(*) FROM crm_read WHERE table_name = {}").format(sql.Literal(live.mapping.table))


def row_of(live: LiveTable, account: int, amo_id: int, schema: str) -> sql.Composed:
    """A record's row as a document: key, row."""
    table = live.mapping
    where = S(
        "crm.{}::text = (SELECT row_id FROM {} WHERE account_id = {} AND table_name = {} AND amo_id = {})"
    ).format(I(table.id), I(schema, "sync_keys"), sql.Literal(account), sql.Literal(table.table), sql.Literal(amo_id))
    if has_keys(live):
        where = S("crm.{} = {} AND crm.{} = {}{}").format(
            I(table.account or ""),
            sql.Literal(account),
            I(table.amo_id or ""),
            sql.Literal(amo_id),
            of_stream(live, "crm"),
        )
    columns = S(", ").join(S("crm.{}").format(I(column.name)) for column in table.columns)
    return S(
        """
        SELECT crm.{id}::text, (SELECT to_jsonb(held) FROM (SELECT {columns}) AS held) FROM {table} AS crm WHERE {where}
        """
    ).format(id=I(table.id), columns=columns, table=live.identifier, where=where)


def written_of(schema: str, run_id: int, table: str, row: str) -> sql.Composed:
    """The columns of a row that the load wrote."""
    return S("SELECT column_name FROM {} WHERE run_id = {} AND table_name = {} AND row_id = {}").format(
        I(schema, "sync_changes"), sql.Literal(run_id), sql.Literal(table), sql.Literal(row)
    )
