"""SQL that takes a record off its row: the row stays as it is, the record waits in sync_proposals."""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable
from target_crm.sql.journal import write_entries
from target_crm.sql.spec import I, S, comma
from target_crm.sql.staging_table import drop, make
from target_crm.sql.ties import TIE, tie_document
from target_crm.sql.typed import as_key
from target_crm.sql.undo_remove import REMOVED
from target_crm.sql.untouched import DOCUMENT_KEYS


def _row(live: LiveTable, row: str) -> sql.Composed:
    """The row `crm` with its record `record`, if it has one."""
    table = live.mapping
    return S(
        "{table} AS crm CROSS JOIN LATERAL (SELECT crm.{account} AS account_id, crm.{amo_id} AS amo_id) AS record "
        "WHERE crm.{id} = {key} AND crm.{amo_id} IS NOT NULL"
    ).format(
        table=live.identifier,
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        id=I(table.id),
        key=as_key(live, sql.Literal(row)),
    )


def lock(live: LiveTable, row: str) -> sql.Composed:
    """Locks the row."""
    return S("SELECT FROM {} AS crm WHERE crm.{} = {} FOR UPDATE").format(
        live.identifier, I(live.mapping.id), as_key(live, sql.Literal(row))
    )


def _entries(live: LiveTable, schema: str, found: sql.Composable) -> sql.Composed:
    """What the journal keeps: the tie, and the raw record."""
    return S(
        """
        SELECT crm.{id}::text, {tie}, {before}, jsonb_build_object(
            'of', jsonb_build_array(record.account_id, record.amo_id), 'account_id', NULL, 'amo_id', NULL
        )
        FROM {found}
        UNION ALL
        SELECT crm.{id}::text, {name}, crm.{raw}, NULL::jsonb FROM {found}
        """
    ).format(
        id=I(live.mapping.id),
        tie=sql.Literal(TIE),
        before=tie_document(live, schema, S("NULL::text")),
        found=found,
        name=sql.Literal(live.mapping.raw_fields),
        raw=I(live.mapping.raw_fields),
    )


def untie(live: LiveTable, schema: str, run: int, row: str) -> list[sql.Composed]:
    """Lets the record wait, journals what the row was, closes its conflicts, and takes the record off it."""
    table, found = live.mapping, _row(live, row)
    name, run_id, raw = sql.Literal(table.table), sql.Literal(run), I(table.raw_fields)
    emptied = [table.account, table.amo_id]
    emptied += [table.service[role] for role in ("amo_created_at", "amo_updated_at")]
    return [
        drop("undo_removed"),
        make("undo_removed", S("SELECT record.account_id AS account, record.amo_id FROM {}").format(found)),
        S(
            "INSERT INTO {proposals} (run_id, stream, account_id, amo_id, record, zone, refused, amo_updated_at) "
            "SELECT {run}, {stream}, record.account_id, record.amo_id, (crm.{raw}->'amo')::text::json, "
            "coalesce((SELECT account.timezone FROM {accounts} AS account "
            "WHERE account.account_id = record.account_id), 'UTC'), ARRAY[{row}]::text[], "
            "(SELECT known.amo_updated_at FROM {keys} AS known WHERE known.account_id = record.account_id "
            "AND known.table_name = {name} AND known.amo_id = record.amo_id) FROM {found} ON CONFLICT DO NOTHING"
        ).format(
            proposals=I(schema, "sync_proposals"),
            run=run_id,
            stream=sql.Literal(table.stream),
            raw=raw,
            accounts=I(schema, "sync_accounts"),
            keys=I(schema, "sync_keys"),
            name=name,
            row=sql.Literal(row),
            found=found,
        ),
        write_entries(schema, run, table.table, _entries(live, schema, found)),
        S(
            "UPDATE {} AS conflict SET resolved_at = now(), resolution = 'untied' "
            "WHERE conflict.table_name = {} AND conflict.row_id = {} AND conflict.resolved_at IS NULL"
        ).format(I(schema, "sync_conflicts"), name, sql.Literal(row)),
        S("DELETE FROM {} AS known USING {undo_removed} AS untied WHERE known.account_id = untied.account "
          "AND known.table_name = {} AND known.amo_id = untied.amo_id"
        ).format(I(schema, "sync_keys"), name, undo_removed=REMOVED),
        S("UPDATE {} AS crm SET {}, {} = crm.{} - {}::text[] WHERE crm.{} = {}").format(
            live.identifier,
            comma(S("{} = NULL").format(I(column)) for column in emptied if column),
            raw,
            raw,
            sql.Literal(DOCUMENT_KEYS),
            I(table.id),
            as_key(live, sql.Literal(row)),
        ),
    ]  # fmt: skip
