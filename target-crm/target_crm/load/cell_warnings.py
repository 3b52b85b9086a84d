"""Values that their columns could not take: the rows of sync_warnings, one open warning for each cell."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import psycopg
from psycopg import sql

from target_crm.load.batch import Batch
from target_crm.normalise.letters import Letters
from target_crm.problems import as_jsonb
from target_crm.records.bad_cells import BadCell, Cell
from target_crm.records.extractor import Extracted, Extractor

logger = logging.getLogger("target-crm")
Connection = psycopg.Connection[Any]


def open_warnings(connection: Connection, schema: str) -> dict[tuple[str, int, int], set[Cell]]:
    """The cells with an open warning, by stream, account and id; whole records that wait are not among them."""
    query = sql.SQL(
        "SELECT stream, account_id, amo_id, table_name, column_name FROM {} WHERE resolved_at IS NULL "
        "AND code NOT IN ('W_ROW_HELD', 'W_RECORD_WAITS')"
    ).format(sql.Identifier(schema, "sync_warnings"))
    found: dict[tuple[str, int, int], set[Cell]] = {}
    for stream, account, identity, table, column in connection.execute(query).fetchall():
        found.setdefault((stream, account, identity), set()).add((table, account, identity, column))
    return found


def write_warnings(connection: Connection, schema: str, run_id: int, cells: Sequence[BadCell]) -> None:
    """Keep warnings; the open one of a cell is updated where it says something else now. The caller commits."""
    if not cells:
        return
    letters = Letters(connection.info.parameter_status("server_encoding"))
    connection.execute(
        sql.SQL(
            "INSERT INTO {warnings} AS w (run_id, stream, account_id, amo_id, table_name, row_id, column_name, value, "
            "code, args) SELECT {run}, x.stream, x.a, x.i, x.name, k.row_id, x.c, x.v, x.code, x.args "
            "FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::jsonb[], %s::text[], "
            "%s::jsonb[]) AS x(stream, a, i, name, c, v, code, args) "
            "LEFT JOIN {keys} AS k ON k.account_id = x.a AND k.table_name = x.name AND k.amo_id = x.i "
            "ON CONFLICT (account_id, table_name, amo_id, column_name) WHERE resolved_at IS NULL DO UPDATE SET "
            "run_id = excluded.run_id, stream = excluded.stream, row_id = excluded.row_id, value = excluded.value, "
            "code = excluded.code, args = excluded.args "
            # A warning that is the same as before costs no write, as an unchanged record does.
            "WHERE (w.row_id, w.value, w.code, w.args) "
            "IS DISTINCT FROM (excluded.row_id, excluded.value, excluded.code, excluded.args)"
        ).format(
            warnings=sql.Identifier(schema, "sync_warnings"),
            keys=sql.Identifier(schema, "sync_keys"),
            run=sql.Literal(run_id),
        ),
        (
            [c.stream for c in cells],
            [c.account_id for c in cells],
            [c.amo_id for c in cells],
            [c.table for c in cells],
            [c.column for c in cells],
            [text and letters.clean(text) for text in (as_jsonb(c.problem.args.get("value")) for c in cells)],
            [c.problem.code for c in cells],
            [letters.clean(c.problem.args_json) for c in cells],
        ),
    )


def close_warnings(connection: Connection, schema: str, cells: Collection[Cell]) -> None:
    """Close the warnings of cells whose value came and was good. The caller commits."""
    if not cells:
        return
    connection.execute(
        sql.SQL(
            "UPDATE {} AS w SET resolved_at = now() "
            "FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[]) AS x(name, a, i, c) "
            "WHERE w.resolved_at IS NULL AND w.account_id = x.a AND w.table_name = x.name AND w.amo_id = x.i "
            "AND w.column_name = x.c"
        ).format(sql.Identifier(schema, "sync_warnings")),
        [[cell[place] for cell in cells] for place in range(4)],
    )


def log_warnings(counted: Counter[tuple[str, str, str]]) -> None:
    """Tell which columns' values were left out, without the values: they may be a person's."""
    for (table, column, code), number in sorted(counted.items()):
        logger.warning(
            "%s.%s: %d values were left out, the rest of their records was loaded (%s); see sync_warnings.",
            table,
            column,
            number,
            code,
        )


class CellWarnings:
    """The open warnings, and how often each column's values were left out in this run.

    Args:
        connection: Where the warnings of earlier runs are read from.
        schema: The schema of the loader's own tables.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._schema = schema
        self._open = open_warnings(connection, schema)
        # By table, column and code.
        self._counted: Counter[tuple[str, str, str]] = Counter()

    def seen(self, stream: str, extractor: Extractor, found: Extracted) -> dict[Cell, BadCell | None]:
        """The cells of extracted records that were left out, and, as None, those with an open warning that are good."""
        cells: dict[Cell, BadCell | None] = {}
        if self._open:
            for record in found.records:
                for cell in self._open.get((stream, *record.key), ()):
                    if extractor.came(record, cell[0], cell[3]):
                        cells[cell] = None
        return cells | {bad.cell: bad for bad in found.bad}

    def close(self, connection: Connection, run_id: int, batch: Batch) -> list[BadCell]:
        """Write the warnings of a batch, and close those whose cells are good now; the caller commits.

        Returns:
            What was written.
        """
        rejected = {reject.identity for reject in batch.late_rejects.values()}
        rejected |= {reject.identity for _, reject in batch.postponed.values()}
        cells = [
            (cell, bad)
            for cell, bad in batch.cells.items()
            if bad is None or (bad.stream, bad.account_id, bad.amo_id) not in rejected
        ]
        bad_cells = [bad for _, bad in cells if bad is not None]
        for bad in bad_cells:
            self._counted[bad.table, bad.column, bad.problem.code] += 1
            self._open.setdefault((bad.stream, bad.account_id, bad.amo_id), set()).add(bad.cell)
        write_warnings(connection, self._schema, run_id, bad_cells)
        good = {cell for cell, bad in cells if bad is None}
        close_warnings(connection, self._schema, good)
        if good:
            for key in [key for key, waiting in self._open.items() if waiting & good]:
                self._open[key] -= good
                if not self._open[key]:
                    del self._open[key]
        return bad_cells

    def log(self) -> None:
        """Report which columns' values were left out since the last report."""
        log_warnings(self._counted)
        self._counted.clear()
