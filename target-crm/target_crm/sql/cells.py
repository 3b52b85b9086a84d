"""SQL of a table's cells beside what amoCRM sent last: which are kept, and which are as they were sent."""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable
from target_crm.sql.spec import I, S, comma
from target_crm.sql.typed import as_key, as_value, left_as


def _base(live: LiveTable) -> sql.Composed:
    """What amoCRM sent last for row `crm`."""
    return S("(crm.{}->'amo_values')").format(I(live.mapping.raw_fields))


def same_as_base(live: LiveTable, row_id: str) -> sql.Composed:
    """Of each column of a row whether it holds what amoCRM sent last, or what the loader left in its place."""
    columns = [
        S("({} IS NOT DISTINCT FROM {} OR coalesce({}, false)) AS {}").format(
            live.cell("crm", column.name),
            as_value(live, column.name, S("{}->{}").format(_base(live), sql.Literal(column.name))),
            left_as(live, column.name),
            I(column.name),
        )
        for column in live.mapping.columns
    ]
    return S("SELECT {} FROM {} AS crm WHERE crm.{} = {}").format(
        comma(columns), live.identifier, I(live.mapping.id), as_key(live, sql.Literal(row_id))
    )


def _has_conflict(live: LiveTable, schema: str, state: str) -> sql.Composed:
    """Whether there is a conflict of `cell` in that state."""
    return S(
        """
        EXISTS (
            SELECT FROM {} AS conflict
            WHERE conflict.table_name = {} AND conflict.row_id = crm.{}::text AND conflict.column_name = cell.name
                AND {}
        )
        """
    ).format(I(schema, "sync_conflicts"), sql.Literal(live.mapping.table), I(live.mapping.id), S(state))


def kept_cells(live: LiveTable, schema: str, default_policy: str) -> sql.Composed:
    """The cells that differ from what amoCRM sent last, where neither is empty, and why they are kept; of rows that the
    last load found edited."""
    table = live.mapping
    columns = [
        S(
            "({name}, {policy}, to_jsonb({cell}), {base}->{name}, "
            "{cell} IS DISTINCT FROM {typed} AND NOT coalesce({left}, false))"
        ).format(
            name=sql.Literal(column.name),
            policy=sql.Literal(column.policy or default_policy),
            cell=live.cell("crm", column.name),
            base=_base(live),
            left=left_as(live, column.name),
            typed=as_value(live, column.name, S("{}->{}").format(_base(live), sql.Literal(column.name))),
        )
        for column in table.columns
    ]
    return S(
        """
        SELECT crm.{id}::text AS row_id, cell.name AS column_name, cell.value, cell.base AS amo_value,
            CASE WHEN {is_open} THEN 'conflict'
                WHEN {is_decided} THEN 'decided'
                WHEN cell.policy IN ('crm_wins', 'fill_empty') THEN cell.policy
                ELSE 'edited' END AS why
        FROM {table} AS crm
        JOIN {keys} AS known ON known.table_name = {name} AND known.row_id = crm.{id}::text AND known.is_edited
        CROSS JOIN LATERAL (VALUES {columns}) AS cell(name, policy, value, base, differs)
        WHERE cell.differs AND coalesce(cell.value, 'null') NOT IN ('null', '""', '[]', '{{}}')
            AND coalesce(cell.base, 'null') NOT IN ('null', '""', '[]', '{{}}')
        """
    ).format(
        id=I(table.id),
        is_open=_has_conflict(live, schema, "conflict.resolved_at IS NULL"),
        is_decided=_has_conflict(live, schema, "conflict.resolution IN ('crm', 'value')"),
        table=live.identifier,
        keys=I(schema, "sync_keys"),
        name=sql.Literal(table.table),
        columns=comma(columns),
    )
