"""What the CRM holds against amoCRM, and why: manual edits that loads keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from target_crm.operations.session import Session
from target_crm.sql import cells as statements
from target_crm.sql.spec import S

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
    cells = statements.kept_cells(live, session.settings.crm_schema, session.settings.default_policy)
    counts = session.rows(S("SELECT kept.why, count(*) AS n FROM ({}) AS kept GROUP BY kept.why").format(cells))
    found = session.rows(
        S("SELECT kept.* FROM ({}) AS kept ORDER BY kept.row_id, kept.column_name LIMIT {}").format(
            cells, sql.Literal(limit)
        )
    )
    by_reason = {row["why"]: int(row["n"]) for row in counts}
    shown = [
        KeptCell(live.mapping.table, r["row_id"], r["column_name"], r["value"], r["amo_value"], r["why"]) for r in found
    ]
    return {why: by_reason[why] for why in WHY if why in by_reason}, shown
