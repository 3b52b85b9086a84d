"""Values that their columns could not take: the rows of sync_warnings, one open warning for each cell."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import psycopg

from target_crm.load.batch import Batch
from target_crm.normalise.letters import Letters
from target_crm.problems import as_jsonb
from target_crm.records.bad_cells import BadCell, Cell
from target_crm.records.extractor import Extracted, Extractor
from target_crm.sql.queries import query

logger = logging.getLogger("target-crm")
Connection = psycopg.Connection[Any]
# Codes of whole records that wait for a locked row, or for the record that they link to.
WAITING = ("W_ROW_HELD", "W_RECORD_WAITS")
# Of a record that has no row without the value (required).
_WHOLE_RECORD = "W_RECORD_LEFT_OUT"


def open_warnings(connection: Connection, schema: str) -> dict[tuple[str, int, int], set[Cell]]:
    """The cells with an open warning, by stream, account and id, without waiting records."""
    found: dict[tuple[str, int, int], set[Cell]] = {}
    for stream, account, identity, table, column in connection.execute(
        query("warnings.sql", "find_open_cells", schema)
    ).fetchall():
        found.setdefault((stream, account, identity), set()).add((table, account, identity, column))
    return found


def write_warnings(connection: Connection, schema: str, run_id: int, cells: Sequence[BadCell]) -> None:
    """Store warnings; the open warning of a cell is updated if it has changed. The caller commits."""
    if not cells:
        return
    letters = Letters(connection.info.parameter_status("server_encoding"))
    connection.execute(
        query("warnings.sql", "write_cells", schema),
        (
            run_id,
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
    """Close the warnings of cells that received a valid value. The caller commits."""
    if not cells:
        return
    columns = [[cell[place] for cell in cells] for place in range(4)]
    connection.execute(query("warnings.sql", "close_cells", schema), columns)


def log_warnings(counted: Counter[tuple[str, str, str]]) -> None:
    """Log the columns whose values were left out, without the values, which may be personal data."""
    for (table, column, code), number in sorted(counted.items()):
        text = (
            "%s.%s: %d records without a value for it were left out (%s); see sync_warnings."
            if code == _WHOLE_RECORD
            else "%s.%s: %d values were left out, and the rest of their records was loaded (%s); see sync_warnings."
        )
        logger.warning(text, table, column, number, code)


class CellWarnings:
    """The open warnings, and the number of values left out in this run by column.

    Args:
        connection: Where the warnings of earlier runs are read from.
        schema: The schema of the loader's own tables.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._schema = schema
        self._open = open_warnings(connection, schema)
        # By table, column and code.
        self._counted: Counter[tuple[str, str, str]] = Counter()

    def refresh(self, connection: Connection) -> None:
        """Read which warnings are open."""
        self._open = open_warnings(connection, self._schema)

    def seen(self, stream: str, extractor: Extractor, found: Extracted) -> dict[Cell, BadCell | None]:
        """The cells of extracted records that were left out, and, as None, those with an open warning and a valid
        value."""
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
