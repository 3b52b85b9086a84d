"""SQL that ties rows to records, and its entries in the journal.

An entry of column `TIE` holds on either side the row's ids of amoCRM, its stamps, and its line of `sync_keys`; an
undo puts these back (`sql.undo_ties`).
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.sql.journal import write_entries
from target_crm.sql.spec import I, MergeSpec, S, comma, trusted
from target_crm.sql.staging_table import on_citus
from target_crm.sql.untouched import stamps_of

# The column of such an entry; no column of a table is called that.
TIE = "@tie"


def stamps_kept(live: LiveTable) -> list[str]:
    """The stamps that such an entry keeps: all but the mark of deletion, which has its own entries."""
    if live.mapping.match_only:
        return []
    return sorted(stamps_of(live) - {live.mapping.service.get("amo_deleted_at")})


def tie_document(live: LiveTable, schema: str, rule: sql.Composable) -> sql.Composed:
    """What the journal keeps of row `crm`, whose record is `record`, or that of its own ids."""
    table = live.mapping
    stamps = [S("{}, crm.{}").format(sql.Literal(name), I(name)) for name in stamps_kept(live)]
    if table.match_only:
        ids: sql.Composable = S("NULL::bigint, 'amo_id', NULL::bigint")
    else:
        ids = S("crm.{}, 'amo_id', crm.{}").format(I(table.account or ""), I(table.amo_id or ""))
    return S(
        """
        jsonb_build_object(
            'of', jsonb_build_array(record.account_id, record.amo_id), 'account_id', {ids}, 'rule', {rule},
            'stamps', jsonb_build_object({stamps}),
            'key', (
                SELECT to_jsonb(known.*) FROM {keys} AS known
                WHERE known.account_id = record.account_id AND known.table_name = {name}
                    AND known.amo_id = record.amo_id
            )
        )
        """
    ).format(
        ids=ids,
        rule=rule,
        stamps=comma(stamps),
        keys=I(schema, "sync_keys"),
        name=sql.Literal(table.table),
    )


def _given(ties: Sequence[tuple[int, int, str, str]]) -> sql.Composed:
    columns = [[tie[place] for tie in ties] for place in range(4)]
    return S(
        "unnest({}::bigint[], {}::bigint[], {}::text[], {}::text[]) AS record(account_id, amo_id, row_id, rule)"
    ).format(*map(sql.Literal, columns))


# What of each tie is journalled; `tied` are the rows that were tied.
_ENTRIES = """
    SELECT tied.id::text, {tie}, tied.before, jsonb_build_object(
        'of', jsonb_build_array(tied.account_id, tied.amo_id),
        'account_id', tied.account_id, 'amo_id', tied.amo_id, 'rule', tied.rule
    )
    FROM tied ORDER BY tied.account_id, tied.amo_id
"""
_TIED = """
    free AS MATERIALIZED (
        SELECT crm.{id} AS id, record.account_id, record.amo_id, record.rule, {before} AS before
        FROM {given}
        JOIN {table} AS crm ON crm.{id} = record.row_id::{type}
        WHERE crm.{amo_id} IS NULL ORDER BY crm.{id}{locked}
    ),
    tied AS (
        UPDATE {table} AS crm SET {account} = free.account_id, {amo_id} = free.amo_id
        FROM free WHERE crm.{id} = free.id AND crm.{amo_id} IS NULL
        RETURNING free.*
    )
"""
_WITH_KEY = """
    , remembered AS (
        INSERT INTO {keys} (account_id, table_name, amo_id)
        SELECT tied.account_id, {name}, tied.amo_id FROM tied
        ON CONFLICT DO NOTHING
    )
"""
# Citus 13.2.2 can't read the result of a part that locks rows which it joined with something else than a table.
_LOCKED = on_citus(S(" FOR UPDATE OF crm"), S(""))
# Of tables whose rows are only matched sync_keys alone tells which row is whose.
_MATCHED = """
    tied AS MATERIALIZED (
        SELECT crm.{id} AS id, record.account_id, record.amo_id, record.rule, {before} AS before
        FROM {given}
        JOIN {table} AS crm ON crm.{id} = record.row_id::{type}
    ),
    remembered AS (
        INSERT INTO {keys} AS known (account_id, table_name, amo_id, row_id)
        SELECT tied.account_id, {name}, tied.amo_id, tied.id::text FROM tied
        ON CONFLICT (account_id, table_name, amo_id) DO UPDATE SET row_id = excluded.row_id
    )
"""
_SEEN = """
    (
        SELECT seen.account_id, seen.amo_id, known.row_id, NULL::text AS rule
        FROM {seen} AS seen
        JOIN {keys} AS known
            ON known.account_id = seen.account_id AND known.table_name = {name} AND known.amo_id = seen.amo_id
        WHERE known.row_id IS NOT NULL
    ) AS record
"""


def _tie(live: LiveTable, schema: str, run_id: int, changes: str, given: sql.Composable) -> sql.Composed:
    """Ties the rows that `given` names (record: account_id, amo_id, row_id, rule) by parts of a WITH, with the
    journal."""
    table = live.mapping
    parts = S(changes).format(
        id=I(table.id),
        before=tie_document(live, schema, S("NULL::text")),
        given=given,
        table=live.identifier,
        type=trusted(live.columns[table.id].type_sql),
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        keys=I(schema, "sync_keys"),
        name=sql.Literal(table.table),
        locked=_LOCKED,
    )
    return write_entries(schema, run_id, table.table, S(_ENTRIES).format(tie=sql.Literal(TIE)), parts)


def tie_emptied(spec: MergeSpec) -> sql.Composed:
    """Gives rows whose ids are empty back to those seen records whose rows they are by sync_keys; as many as it
    touches."""
    given = S(_SEEN).format(seen=spec.temp("seen"), keys=spec.control("sync_keys"), name=spec.table_name)
    return _tie(spec.live, spec.schema, spec.run_id, _TIED, given)


def tie_rows(live: LiveTable, schema: str, run_id: int, ties: Sequence[tuple[int, int, str, str]]) -> sql.Composed:
    """Gives rows to records (account, id, row, rule), with the journal; rows that belong to one are left alone. It
    touches as many rows as it ties."""
    changes = _MATCHED if live.mapping.match_only else _TIED + _WITH_KEY
    return _tie(live, schema, run_id, changes, _given(ties))
