"""Where each value of a row comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.operations.record_key import record_key
from target_crm.operations.session import NotPossibleError, Row, Session, UnknownError, as_key
from target_crm.sql import cells
from target_crm.sql.spec import I, S, of_stream

_FILE = "history.sql"


@dataclass(frozen=True)
class Cell:
    """One column: its value, what amoCRM sent last, where the value comes from, and the last run that wrote it."""

    column: str
    value: Any
    amo_value: Any
    origin: str
    policy: str
    run_id: int | None
    written_at: Any
    replaced: Any


@dataclass(frozen=True)
class Explained:
    """A row's key, its record in amoCRM, and its columns."""

    table: str
    row_id: str
    amo_account_id: int | None
    amo_id: int | None
    amo_deleted_at: Any
    cells: list[Cell]


def find_row(session: Session, live: LiveTable, key: str) -> Row:
    """A row by its key, or by `amo:ID` or `ACCOUNT/amo:ID`.

    Raises:
        UnknownError: there is no such row.
    """
    table = live.mapping
    condition: sql.Composable = S("crm.{} = {}").format(I(table.id), as_key(live, sql.Literal(key)))
    named = record_key(key)
    if named is not None and table.amo_id and table.account:
        account, amo_id = named
        condition = S("crm.{} = {}{}").format(I(table.amo_id), sql.Literal(amo_id), of_stream(live, "crm"))
        if account is not None:
            condition = S("{} AND crm.{} = {}").format(condition, I(table.account), sql.Literal(account))
    try:
        with session.connection.transaction():
            found = session.rows(
                S("SELECT crm.*, crm.{}::text AS __key FROM {} AS crm WHERE {} LIMIT 2").format(
                    I(table.id), live.identifier, condition
                )
            )
    except psycopg.DataError:  # the text can be no key of this table
        found = []
    if len(found) != 1:
        raise unknown_row(session, live, key, found)
    return found[0]


def unknown_row(session: Session, live: LiveTable, key: str, found: list[Row]) -> UnknownError:
    """The error for a key that none or several rows have; gives an example of one that exists."""
    table = live.mapping
    if found:
        return UnknownError.of("E_ROW_AMBIGUOUS", row=key, table=table.table)
    example = S("SELECT crm.{id} AS amo_id FROM {table} AS crm WHERE crm.{id} IS NOT NULL LIMIT 1")
    there = session.rows(example.format(id=I(table.amo_id), table=live.identifier)) if table.amo_id else []
    return UnknownError.of("E_ROW_UNKNOWN", row=key, table=table.table, example=there[0]["amo_id"] if there else None)


def explain(session: Session, table: str, key: str) -> Explained:
    """Each column of a row: value, origin, the run that wrote it last and what it replaced.

    Raises:
        UnknownError: there is no such table or row.
    """
    live = session.table(table)
    mapping = live.mapping
    if mapping.match_only:
        raise NotPossibleError.of("E_TABLE_MATCH_ONLY", table=table)
    row = find_row(session, live, key)
    row_id = row["__key"]
    base = (row[mapping.raw_fields] or {}).get("amo_values") or {}
    written = {e["column_name"]: e for e in _last_entries(session, mapping.table, row_id)}
    same = _same_as_base(session, live, row_id)
    explained = []
    for column in mapping.columns:
        entry = written.get(column.name) or written.get("*")
        explained.append(
            Cell(
                column=column.name,
                value=live.value(row, column.name),
                amo_value=base.get(column.name),
                origin=_origin(
                    live.value(row, column.name), base.get(column.name), same[column.name], column.name in written
                ),
                policy=column.policy or session.settings.default_policy,
                run_id=entry["run_id"] if entry else None,
                written_at=entry["started_at"] if entry else None,
                replaced=entry["old_value"] if entry and entry["column_name"] != "*" else None,
            )
        )
    return Explained(
        table=mapping.table,
        row_id=row_id,
        amo_account_id=row.get(mapping.account or ""),
        amo_id=row.get(mapping.amo_id or ""),
        amo_deleted_at=deleted_at(session, live, row),
        cells=explained,
    )


def deleted_at(session: Session, live: LiveTable, row: Row) -> Any:
    """When the record of a row (as `find_row` gives it) was deleted in amoCRM, as far as the row is marked; of a flag
    the keys know the time."""
    table = live.mapping
    mark = row.get(table.service.get("amo_deleted_at") or "")
    if table.flag is None:
        return mark
    if mark != table.flag.deleted:
        return None
    found = session.rows(
        S("SELECT amo_deleted_at FROM {} WHERE table_name = %s AND row_id = %s").format(session.control("sync_keys")),
        table.table,
        row["__key"],
    )
    return found[0]["amo_deleted_at"] if found else None


def _origin(value: Any, base: Any, same: bool, written: bool) -> str:
    if value in (None, "", []):
        return "empty" if base in (None, "", []) else "cleared by hand"
    if base in (None, "", []):
        return "default" if same else "settled" if written else "by hand"
    return "amoCRM" if same else "edited by hand"


def _same_as_base(session: Session, live: LiveTable, row_id: str) -> dict[str, bool]:
    (found,) = session.rows(cells.same_as_base(live, row_id))
    return {name: bool(value) for name, value in found.items()}


def _last_entries(session: Session, table: str, row_id: str) -> list[Row]:
    return session.rows(session.query(_FILE, "last_entries"), table, row_id)


def history(session: Session, table: str, row_id: str, *, before: int | None = None, limit: int = 200) -> list[Row]:
    """What runs wrote into a row, the last first: entries of the journal with an id below `before`.

    The documents' own entries are left out. For a table of a set (`contact_phones`) the row is one item.

    Raises:
        UnknownError: neither a stream nor a set is mapped to the table.
    """
    item_set = session.sets.get(table)
    raw = item_set.item_set.raw_fields if item_set else session.table(table).mapping.raw_fields
    return session.rows(
        session.query(_FILE, "row_history"),
        table,
        row_id,
        raw,
        before,
        before,
        limit,
    )


def set_history(session: Session, table: str, row_id: str, *, before: int | None = None, limit: int = 200) -> list[Row]:
    """What amoCRM sent for the sets of a row (phones, e-mails), the last first, as entries like those of `history`.

    Taken from the documents that runs replaced, so it also tells of items that are gone. Old and new values are lists
    of the items, `column_name` is the set's name.

    Raises:
        UnknownError: no stream is mapped to the table.
    """
    live = session.table(table)
    if not live.mapping.sets:
        return []
    found = session.rows(
        session.query(
            _FILE,
            "base_history",
            raw=I(live.mapping.raw_fields),
            raw_name=sql.Literal(live.mapping.raw_fields),
            table=live.identifier,
            id=I(live.mapping.id),
            key=as_key(live, sql.Literal(row_id)),
        ),
        table,
        row_id,
        before,
        before,
        limit,
    )
    entries = []
    for row in found:
        for item_set in live.mapping.sets:
            was, became = (_keys((row[side] or {}).get(item_set.name)) for side in ("was", "became"))
            if was != became:
                named = {"table_name": table, "row_id": row_id, "column_name": item_set.name}
                shared = {k: row[k] for k in ("id", "run_id", "kind", "started_at")}
                entries.append({**shared, **named, "old_value": was or None, "new_value": became or None})
    return entries


def _keys(items: Any) -> list[str]:
    """A set's items as people know them, out of a base."""
    return [str(i.get("v") or i.get("k") or "") for i in items or () if isinstance(i, dict)]
