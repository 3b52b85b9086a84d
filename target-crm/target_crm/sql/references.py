"""SQL that finds the rows that records refer to."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.sql.spec import I, S, of_stream


def find_values(parent: LiveTable, column: str, keys: Iterable[object]) -> sql.Composed:
    """Pairs (row key as text, value) of a column of the parent's rows; whole numbers as such, all else as text."""
    is_number = parent.columns[column].family == "integer"
    value = (S("crm.{}::bigint") if is_number else S("crm.{}::text")).format(I(column))
    return S("SELECT crm.{id}::text, {} FROM {} AS crm WHERE crm.{id} = ANY({}::text[]::{}[])").format(
        value,
        parent.identifier,
        sql.Literal(sorted(map(str, keys))),
        S(parent.columns[parent.mapping.id].type_sql),
        id=I(parent.mapping.id),
    )


def find_rows(parent: LiveTable, schema: str, account: int, amo_ids: Iterable[int], *, lock: bool) -> sql.Composed:
    """Pairs (amo id, row key) of the parent's rows.

    A key that is a whole number comes as one, any other as text. Rows that are only matched are never locked: the
    loader may lack the right to.
    """
    table = parent.mapping
    given, wanted = sql.Literal(account), sql.Literal("{" + ",".join(map(str, amo_ids)) + "}")
    is_number = parent.columns[table.id].family == "integer"
    key = (S("crm.{}::bigint") if is_number else S("crm.{}::text")).format(I(table.id))
    locked = S(" FOR KEY SHARE OF crm") if lock else S("")
    if not table.match_only:
        return (
            S("SELECT crm.{}, {} FROM {} AS crm WHERE crm.{} = {} AND crm.{} = ANY({}::bigint[]){}").format(
                I(table.amo_id or ""),
                key,
                parent.identifier,
                I(table.account or ""),
                given,
                I(table.amo_id or ""),
                wanted,
                of_stream(parent, "crm"),
            )
            + locked
        )
    return S(
        """
        SELECT known.amo_id, {key} FROM {keys} AS known JOIN {table} AS crm ON crm.{id} = known.row_id::{type}
        WHERE known.account_id = {account} AND known.table_name = {name} AND known.amo_id = ANY({wanted}::bigint[])
        """
    ).format(
        account=given,
        wanted=wanted,
        key=key,
        keys=I(schema, "sync_keys"),
        table=parent.identifier,
        id=I(table.id),
        type=S(parent.columns[table.id].type_sql),
        name=sql.Literal(table.table),
    )
