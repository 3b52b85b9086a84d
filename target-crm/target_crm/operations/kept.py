"""What the CRM holds against amoCRM, and why: manual edits that loads keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.operations.session import Session, as_value, left_as
from target_crm.sql.spec import I, S

# Why a cell is kept, in the order in which the reasons are asked for.
WHY = ("conflict", "decided", "crm_wins", "fill_empty", "edited")


@dataclass(frozen=True)
class KeptCell:
    """A cell that differs from what amoCRM sent last; `why` is one of `WHY`."""

    table: str
    row_id: str
    column: str
    value: Any
    amo_value: Any
    why: str


def kept_cells(session: Session, table: str, limit: int = 50) -> tuple[dict[str, int], list[KeptCell]]:
    """How many cells of a table are kept as they are now, by reason, and the first of them.

    Only rows that the last load found edited are read. Cells that one side leaves empty are not edits.

    Raises:
        UnknownError: no stream is mapped to the table.
    """
    live = session.table(table)
    if live.mapping.match_only or not live.mapping.columns:
        return {}, []
    cells = _cells(session, live)
    counts = session.rows(S("SELECT x.why, count(*) AS n FROM ({}) AS x GROUP BY 1").format(cells))
    found = session.rows(
        S("SELECT x.* FROM ({}) AS x ORDER BY x.row_id, x.column_name LIMIT {}").format(cells, sql.Literal(limit))
    )
    by_reason = {row["why"]: int(row["n"]) for row in counts}
    shown = [
        KeptCell(live.mapping.table, r["row_id"], r["column_name"], r["value"], r["amo_value"], r["why"]) for r in found
    ]
    return {why: by_reason[why] for why in WHY if why in by_reason}, shown


def _cells(session: Session, live: LiveTable) -> sql.Composed:
    table = live.mapping
    base = S("(crm.{}->'amo_values')").format(I(table.raw_fields))
    columns = [
        S(
            "({name}, {policy}, to_jsonb({cell}), {base}->{name}, "
            "{cell} IS DISTINCT FROM {typed} AND NOT coalesce({left}, false))"
        ).format(
            name=sql.Literal(column.name),
            policy=sql.Literal(column.policy or session.settings.default_policy),
            cell=live.cell("crm", column.name),
            base=base,
            left=left_as(live, column.name),
            typed=as_value(live, column.name, S("{}->{}").format(base, sql.Literal(column.name))),
        )
        for column in table.columns
    ]
    empty = S("coalesce({}, 'null') IN ('null', '\"\"', '[]', '{{}}')")
    conflict = S(
        "EXISTS (SELECT FROM {} AS c WHERE c.table_name = {} AND c.row_id = crm.{}::text "
        "AND c.column_name = v.name AND {})"
    )
    seen = (session.control("sync_conflicts"), sql.Literal(table.table), I(table.id))
    return S(
        "SELECT crm.{id}::text AS row_id, v.name AS column_name, v.value, v.base AS amo_value, CASE WHEN {open} "
        "THEN 'conflict' WHEN {decided} THEN 'decided' WHEN v.policy IN ('crm_wins', 'fill_empty') THEN v.policy "
        "ELSE 'edited' END AS why FROM {table} AS crm "
        "JOIN {keys} AS k ON k.table_name = {name} AND k.row_id = crm.{id}::text AND k.is_edited "
        "CROSS JOIN LATERAL (VALUES {columns}) AS v(name, policy, value, base, differs) "
        "WHERE v.differs AND NOT {no_value} AND NOT {no_base}"
    ).format(
        id=I(table.id),
        open=conflict.format(*seen, S("c.resolved_at IS NULL")),
        decided=conflict.format(*seen, S("c.resolution IN ('crm', 'value')")),
        table=live.identifier,
        keys=session.control("sync_keys"),
        name=sql.Literal(table.table),
        columns=S(", ").join(columns),
        no_value=empty.format(S("v.value")),
        no_base=empty.format(S("v.base")),
    )
