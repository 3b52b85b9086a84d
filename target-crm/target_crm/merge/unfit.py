"""Finds values that only the database can refuse: by domains, limits, types of other engines.

After a refusal in a batch, the database checks each value, and the refused cells are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from target_crm.database.session import PinnedConnection
from target_crm.mapping.check import LiveTable
from target_crm.merge.copy_format import as_copied
from target_crm.problems import Problem
from target_crm.records.bad_cells import BadCell
from target_crm.records.extractor import Extracted
from target_crm.sql.untouched import ITEM_COLUMNS

# An assignment refuses the same values as COPY, whereas a cast would shorten them. The column's type includes limits
# and domain.
_TRY = sql.SQL(
    "CREATE OR REPLACE FUNCTION pg_temp.crm_fits(v text) RETURNS text LANGUAGE plpgsql AS $crm$ "
    "DECLARE x {column}%TYPE; BEGIN x := v; RETURN NULL; "
    "EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $crm$"
)


def may_be_unfit(error: psycopg.Error) -> bool:
    """Whether the database may have refused a value because of its column's type, and not a row."""
    state = error.sqlstate or ""
    # Types of extensions have codes of their own for what they can't read (ltree: 42601, hstore: XX000).
    return (
        state.startswith("22")
        or state in ("42601", "XX000")
        or (state in ("23514", "23502") and bool(error.diag.datatype_name))
    )


@dataclass
class UnfitValues:
    """Refused cells of a batch: numbers of columns by the record's sequence, and keys of items by set."""

    live: LiveTable
    cells: dict[int, dict[int, Problem]] = field(default_factory=dict)
    items: dict[tuple[int, int], dict[str, Problem]] = field(default_factory=dict)

    def look(self, connection: PinnedConnection, found: Extracted) -> bool:
        """Let the database check all values of records; returns whether some do not fit."""
        with connection.transaction(force_rollback=True):
            for number, column in enumerate(self.live.mapping.columns):
                if column.source or self.live.columns[column.name].host is not None:
                    continue
                problems = self._unfit(connection, self.live, column.name, found.columns[number])
                for record, value in zip(found.records, found.columns[number], strict=True):
                    if value is not None and as_copied(value) in problems:
                        self.cells.setdefault(record.seq, {})[number] = problems[as_copied(value)]
            for index, item_set in enumerate(self.live.mapping.sets):
                live = self.live.sets[item_set.name]
                for role in set(ITEM_COLUMNS) & item_set.columns.keys():
                    flat = [getattr(item, role) for own in found.items[index] for item in own]
                    problems = self._unfit(connection, live, item_set.columns[role], flat)
                    for record, own in zip(found.records, found.items[index], strict=True):
                        for item in own:
                            value = getattr(item, role)
                            if value is not None and as_copied(value) in problems:
                                bad = self.items.setdefault((record.seq, index), {})
                                bad[item.key] = problems[as_copied(value)]
        return bool(self.cells or self.items)

    def _unfit(
        self, connection: PinnedConnection, live: LiveTable, column: str, values: list[Any]
    ) -> dict[str, Problem]:
        """The values, in the format of COPY, that a column does not accept."""
        texts = sorted({as_copied(value) for value in values if value is not None})
        if not texts:
            return {}
        connection.execute(_TRY.format(column=sql.Identifier(live.schema, live.name, column)))
        rows = connection.execute("SELECT v, pg_temp.crm_fits(v) FROM unnest(%s::text[]) AS v", (texts,)).fetchall()
        return {
            text: Problem("W_DATABASE_REFUSED", {"value": text, "sqlstate": said[:5], "message": said[6:]})
            for text, said in rows
            if said is not None
        }

    def leave_out(self, found: Extracted) -> None:
        """Leave out the refused cells, with a warning for each."""
        if not (self.cells or self.items):
            return
        table, seqs = self.live.mapping, self.cells.keys() | {seq for seq, _ in self.items}
        for place, record in enumerate(found.records):
            bad = [(table.columns[n].name, table.table, n, p) for n, p in self.cells.get(record.seq, {}).items()]
            for name, _, number, _ in bad:
                found.leave_out(place, number, name)
            for index, item_set in enumerate(table.sets):
                problems = self.items.get((record.seq, index))
                if problems:
                    found.items[index][place] = [i for i in found.items[index][place] if i.key not in problems]
                    base = found.bases[place].get(item_set.name, [])
                    found.bases[place][item_set.name] = [own for own in base if own["k"] not in problems]
                    found.incomplete[index].add(place)
                    bad.append((item_set.columns["value"], item_set.table, 0, next(iter(problems.values()))))
            for name, where, _, problem in bad:
                found.bad.append(BadCell(table.stream, record.account_id, record.amo_id, where, name, problem))
        found.mark_bad({record.key for record in found.records if record.seq in seqs})
