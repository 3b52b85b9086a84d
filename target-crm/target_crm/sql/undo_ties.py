"""SQL that takes back which rows belong to which records: ids, stamps and the lines of sync_keys, as they were.

`undo_ties` holds one line for each entry of column TIE that can go back: its row is as the run left it, and no other
row has the ids that it had before. `untouched` tells that nobody wrote the row since, or left no time of it.
"""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable
from target_crm.sql.journal import write_entries
from target_crm.sql.spec import I, S, comma, tail
from target_crm.sql.staging_table import StagingTable, create, drop, insert_from, make
from target_crm.sql.ties import TIE, stamps_kept, tie_document
from target_crm.sql.typed import as_key
from target_crm.sql.undo_entries import ENTRIES
from target_crm.sql.undo_restore import UndoSpec

TIES, _UNTIED = StagingTable("undo_ties"), StagingTable("undo_untied")
DROP = drop("undo_ties")
# The ids on either side of an entry, and those of the record that it is about.
_OLD_IDS = ("(entry.old_value->>'account_id')::bigint", "(entry.old_value->>'amo_id')::bigint")
_NEW_IDS = ("(entry.new_value->>'account_id')::bigint", "(entry.new_value->>'amo_id')::bigint")
_OF = ("(entry.new_value->'of'->>0)::bigint", "(entry.new_value->'of'->>1)::bigint")


def collect(undo: UndoSpec, live: LiveTable) -> sql.Composed:
    """Fills `undo_ties` for one table; its entries are locked with the other rows."""
    table = live.mapping
    possible: sql.Composable = S("true")
    untouched: sql.Composable = S("false")
    if not table.match_only:
        account, amo_id = I(table.account or ""), I(table.amo_id or "")
        possible = S(
            "crm.{account} IS NOT DISTINCT FROM {new_account} AND crm.{amo_id} IS NOT DISTINCT FROM {new_id} "
            "AND NOT EXISTS (SELECT FROM {table} AS other WHERE other.{account} = {old_account} AND "
            "other.{amo_id} = {old_id} "
            "AND other.{id} <> crm.{id})"
        ).format(
            account=account,
            amo_id=amo_id,
            table=live.identifier,
            id=I(table.id),
            new_account=S(_NEW_IDS[0]),
            new_id=S(_NEW_IDS[1]),
            old_account=S(_OLD_IDS[0]),
            old_id=S(_OLD_IDS[1]),
        )
        stamp = table.service.get("updated_at")
        if live.has_versions:
            untouched = S("(known.row_version = crm.xmin::text::bigint) IS TRUE")
        elif stamp:
            # A write without a timestamp leaves no time that could stay.
            untouched = S("(crm.{} <= (SELECT run.finished_at FROM {} AS run WHERE run.id = {})) IS TRUE").format(
                I(stamp), undo.control("sync_runs"), sql.Literal(undo.run)
            )
    query = S(
        "SELECT entry.row_id, entry.old_value, record.account_id, record.amo_id, "
        "{untouched} AS untouched, {now} AS now FROM {undo_entries} AS entry "
        "CROSS JOIN LATERAL (SELECT {of_account} AS account_id, {of_id} AS amo_id) AS record JOIN {table} AS "
        "crm ON crm.{id} = {key} "
        "LEFT JOIN {keys} AS known ON known.account_id = record.account_id AND known.table_name = "
        "entry.table_name AND known.amo_id = record.amo_id "
        "WHERE entry.table_name = {name} AND entry.column_name = {tie} AND NOT entry.rewritten AND {possible}"
    ).format(
        untouched=untouched,
        now=tie_document(live, undo.schema, S("NULL::text")),
        of_account=S(_OF[0]),
        of_id=S(_OF[1]),
        table=live.identifier,
        id=I(table.id),
        key=as_key(live, S("entry.row_id")),
        keys=undo.control("sync_keys"),
        name=sql.Literal(table.table),
        tie=sql.Literal(TIE),
        possible=possible,
        undo_entries=ENTRIES,
    )
    return make("undo_ties", query)


def restore_ids(live: LiveTable) -> sql.Composed:
    """Puts the rows' ids and stamps back."""
    table = live.mapping
    stamps: list[sql.Composable] = []
    olds: list[sql.Composable] = []
    for number, name in enumerate(stamps_kept(live)):
        read = S("(tie.old_value->'stamps'->>{})::{}").format(sql.Literal(name), S(live.columns[name].type_sql))
        old: sql.Composable = S("tie.{}").format(I(f"stamp_{number}"))
        olds.append(S("{} AS {}").format(read, I(f"stamp_{number}")))
        if name in (table.service.get("created_at"), table.service.get("updated_at")):
            # Of a row that somebody wrote since, the time of that stays.
            old = S("CASE WHEN tie.untouched THEN {} ELSE crm.{} END").format(old, I(name))
        stamps.append(S("{} = {}").format(I(name), old))
    ids = [
        S("{} = (tie.old_value->>'account_id')::bigint").format(I(table.account or "")),
        S("{} = (tie.old_value->>'amo_id')::bigint").format(I(table.amo_id or "")),
    ]
    return S(
        "UPDATE {} AS crm SET {} FROM (SELECT tie.*{} FROM {undo_ties} AS tie OFFSET 0) AS tie WHERE crm.{} = {}"
    ).format(
        live.identifier,
        comma([*ids, *stamps]),
        tail(olds),
        I(table.id),
        as_key(live, S("tie.row_id")),
        undo_ties=TIES,
    )


def restore_keys(undo: UndoSpec, live: LiveTable) -> list[sql.Composed]:
    """Puts the records' lines of sync_keys back, and journals it all."""
    keys, name = undo.control("sync_keys"), sql.Literal(live.mapping.table)
    return [
        S(
            "DELETE FROM {} AS known USING {undo_ties} AS tie "
            "WHERE known.account_id = tie.account_id AND known.table_name = {} AND known.amo_id = tie.amo_id"
        ).format(keys, name, undo_ties=TIES),
        insert_from(
            keys,
            None,
            S(
                "SELECT restored.* FROM {undo_ties} AS tie, "
                "LATERAL jsonb_populate_record(NULL::{keys}, tie.old_value->'key') AS restored "
                "WHERE jsonb_typeof(tie.old_value->'key') = 'object'"
            ).format(keys=keys, undo_ties=TIES),
        )
        + S(" ON CONFLICT DO NOTHING"),
        write_entries(
            undo.schema,
            undo.new_run,
            live.mapping.table,
            S("SELECT tie.row_id, {}, tie.now, tie.old_value FROM {undo_ties} AS tie").format(
                sql.Literal(TIE), undo_ties=TIES
            ),
        ),
    ]


DROP_UNTIED = drop("undo_untied")
CREATE_UNTIED = create("undo_untied", S("stream text, account bigint, amo_id bigint"))
DROP_REMOVED = drop("undo_removed")


def note_untied(stream: str) -> sql.Composed:
    """Notes the records that have no row any more."""
    return S(
        "INSERT INTO {undo_untied} SELECT {}, tie.account_id, tie.amo_id FROM {undo_ties} AS tie WHERE "
        "tie.old_value->>'amo_id' IS NULL"
    ).format(sql.Literal(stream), undo_untied=_UNTIED, undo_ties=TIES)


def removed(stream: str) -> sql.Composed:
    """The table undo_removed (`undo_remove.wait_again`) of those of a stream."""
    query = S("SELECT account, amo_id FROM {undo_untied} WHERE stream = {}").format(
        sql.Literal(stream), undo_untied=_UNTIED
    )
    return make("undo_removed", query)
