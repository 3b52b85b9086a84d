"""SQL that finds bases which their columns' types do not read any more, and forgets them.

A base is kept in the row's document in the form that it came in. When somebody gives the column another type, a shorter
length or other labels, PostgreSQL may refuse to read it, and with it every statement that compares the row.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from target_crm.sql.spec import I, MergeSpec, S, Slot, of_stream, trusted
from target_crm.sql.stored import STORED

_BASE = "amo_values"


def make_reader(slot: Slot) -> sql.Composed:
    """A function that tells whether a base is read as the column's type, in the way of a merge (`merge.plan_query`)."""
    return S(
        """
        CREATE OR REPLACE FUNCTION pg_temp.crm_reads(given jsonb) RETURNS boolean LANGUAGE plpgsql AS $crm$
        BEGIN
            PERFORM read.v FROM jsonb_to_record(jsonb_build_object('v', given)) AS read(v {type});
            RETURN true;
        EXCEPTION WHEN OTHERS THEN
            RETURN false;
        END $crm$
        """
    ).format(type=trusted(slot.live.type_sql))


def forget(spec: MergeSpec, slot: Slot, keys: Sequence[tuple[int, int]]) -> sql.Composed:
    """Takes a column's base, and its stored form, out of the documents of those records' rows where it is not read."""
    table = spec.live.mapping
    return S(
        """
        UPDATE {table} AS crm SET {raw} = (crm.{raw} #- {base}::text[]) #- {stored}::text[]
        FROM unnest({accounts}::bigint[], {ids}::bigint[]) AS record(account_id, amo_id)
        WHERE crm.{account} = record.account_id AND crm.{amo_id} = record.amo_id{of_stream} AND NOT (
            pg_temp.crm_reads(crm.{raw} #> {base}::text[]) AND pg_temp.crm_reads(crm.{raw} #> {stored}::text[])
        )
        """
    ).format(
        table=spec.live.identifier,
        raw=I(table.raw_fields),
        base=sql.Literal([_BASE, slot.column.name]),
        stored=sql.Literal([STORED, slot.column.name]),
        accounts=sql.Literal([account for account, _ in keys]),
        ids=sql.Literal([amo_id for _, amo_id in keys]),
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        of_stream=of_stream(spec.live, "crm"),
    )
