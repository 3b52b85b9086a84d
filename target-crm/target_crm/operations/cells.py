"""Values that their columns could not take, grouped as people look at them: by table, column and code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from target_crm.load.cell_warnings import WAITING
from target_crm.operations.loads import load_again
from target_crm.operations.session import Row, Session, as_key

S = sql.SQL
_MOST = 1_000_000
_FILE = "warnings.sql"


@dataclass(frozen=True)
class CellGroup:
    """Which open warnings are meant: those of a table's column with one code."""

    table: str
    column: str
    code: str

    def condition(self) -> sql.Composed:
        """As SQL over `warning`, of `sync_warnings`."""
        return S(
            "warning.resolved_at IS NULL AND warning.table_name = {} AND warning.column_name = {} AND warning.code = {}"
        ).format(sql.Literal(self.table), sql.Literal(self.column), sql.Literal(self.code))

    @property
    def is_waiting(self) -> bool:
        """Whether these are records that a later load merges by itself: nothing is to be done about them."""
        return self.code in WAITING


def grouped_warnings(session: Session, run: int | None = None, limit: int = 500) -> list[Row]:
    """Warnings by table, column and code: the open ones, or those of a run; how many, and one of them as an example.

    Each has table_name, column_name, code, cells, first_at, value and args of the example, and ids: the last five.
    """
    which = S("resolved_at IS NULL") if run is None else S("run_id = {}").format(sql.Literal(run))
    return session.rows(session.query(_FILE, "group", condition=which), limit)


def find_cells(session: Session, ids: list[int]) -> list[Row]:
    """Warnings by their ids, the newest first, each with the key of its row where there is one."""
    return _read(session, S("warning.id = ANY({})").format(sql.Literal(ids)), S("DESC"), _MOST)


def cells_of(session: Session, group: CellGroup, *, after: int = 0, limit: int = 50) -> list[Row]:
    """The group's warnings with an id above `after`, the oldest first, each with the key of its row."""
    beyond = S("{} AND warning.id > {}").format(group.condition(), sql.Literal(after))
    return _read(session, beyond, S("ASC"), limit)


def _read(session: Session, which: sql.Composable, direction: sql.SQL, limit: int) -> list[Row]:
    return session.rows(session.query(_FILE, "find", condition=which, direction=direction), limit)


def discard_cells(session: Session, group: CellGroup) -> int:
    """Close the group's warnings: the columns stay as they are; how many. A later bad value warns again.

    Records that wait for another one are not touched: they would be lost.
    """
    if group.is_waiting:
        return 0
    closed = session.execute(
        session.query(_FILE, "discard", condition=group.condition()),
        f"discarded by {session.made_by}" if session.made_by else "discarded",
    )
    session.connection.commit()
    return closed


def retry_cells(session: Session, group: CellGroup) -> tuple[int, int, int]:
    """Merge the records of the group again, as received last; run, how many, how many values still do not fit.

    The column may have become wider meanwhile, or the mapping another one. Records whose row is gone are left.
    """
    records = [] if group.is_waiting else _records(session, group)
    session.connection.commit()
    load = load_again(session, [(row["stream"], row["record"].encode()) for row in records])
    still = {row["amo_id"] for row in cells_of(session, group, limit=_MOST)}
    return load.run_id, len(records), sum(row["amo_id"] in still for row in records)


def _records(session: Session, group: CellGroup) -> list[Row]:
    """The group's records as received; what is known of them is forgotten, so that they are merged although they are
    the same."""
    live = session.tables.get(group.table)
    if live is None:
        return []
    cells = [cell for cell in cells_of(session, group, limit=_MOST) if cell["row_id"] is not None]
    found: dict[str, Any] = {
        row["key"]: row["record"]
        for row in session.rows(
            session.query(
                "records.sql",
                "read_raw",
                id=sql.Identifier(live.mapping.id),
                raw=sql.Identifier(live.mapping.raw_fields),
                table=live.identifier,
                key=as_key(live, S("given.key")),
                keys=sql.Literal([cell["row_id"] for cell in cells]),
            )
        )
        if row["record"]
    }
    records = [{**cell, "record": found[cell["row_id"]]} for cell in cells if cell["row_id"] in found]
    session.execute(
        session.query(_FILE, "forget_hashes"),
        [row["account_id"] for row in records],
        [row["amo_id"] for row in records],
        group.table,
    )
    return records
