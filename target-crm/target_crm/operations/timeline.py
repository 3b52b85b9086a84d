"""The life of a record: what loads wrote and who had changed it in amoCRM, decisions, undos, manual edits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.operations.concerned import accounts_of_rows
from target_crm.operations.conflicts import cell_now
from target_crm.operations.explain import history, set_history
from target_crm.operations.known import require_column
from target_crm.operations.records import user_name
from target_crm.operations.session import Row, Session, UnknownError, as_key, as_value, json_or_null
from target_crm.sql.document_keys import assignment
from target_crm.sql.journal import write_entries
from target_crm.sql.spec import I, S

_UNKNOWN = object()


def timeline(session: Session, live: LiveTable, row: Row, *, before: int | None = None, limit: int = 50) -> list[Row]:
    """Entries with an id below `before`, the last first; more than `limit` where there are more.

    Each is as one of `history`, with `who` (who changed the record in amoCRM, or who decided) and `by_hand`: an edit
    that somebody made between two entries, seen by the value that the later one found; its `started_at` is that of the
    later entry, None for an edit after the last one.
    """
    table, key = live.mapping.table, row["__key"]
    found = [
        *history(session, table, key, before=before, limit=limit + 1),
        *set_history(session, table, key, before=before, limit=limit + 1),
    ]
    found.sort(key=lambda e: -e["id"])
    found = found[: limit + 1]
    runs = _makers(session, {e["run_id"] for e in found})
    authors = _authors(session, live, row, found)
    for entry in found:
        is_load = (entry["kind"] or "load") == "load"
        entry["who"] = authors.get(entry["run_id"]) if is_load else runs.get(entry["run_id"])
        entry["by_hand"] = False
    now = _now(session, live, key) if before is None else {}
    return _with_edits(found, now, {c.name for c in live.mapping.columns})


def _with_edits(found: list[Row], now: Mapping[str, Any], columns: set[str]) -> list[Row]:
    """Entries with the manual edits between them; what the next later entry found tells of an edit before it."""
    made: list[Row] = []
    later: dict[str, tuple[Any, Row | None]] = {name: (value, None) for name, value in now.items() if name in columns}
    for entry in found:
        name = entry["column_name"]
        whole = entry["new_value"] if name == "*" and isinstance(entry["new_value"], dict) else {}
        left = {n: whole.get(n) for n in columns} if whole else {name: entry["new_value"]} if name in columns else {}
        for column, value in left.items():
            seen, by = later.get(column, (_UNKNOWN, None))
            if seen is not _UNKNOWN and seen != value and not (seen in (None, "", []) and value in (None, "", [])):
                made.append(_edit(entry, column, value, seen, by))
        made.append(entry)
        if name in columns:
            later[name] = (entry["old_value"], entry)
    return made


def _edit(after: Row, column: str, was: Any, became: Any, before: Row | None) -> Row:
    return {
        **after,
        "column_name": column,
        "old_value": was,
        "new_value": became,
        "kind": "hand",
        "run_id": None,
        "who": None,
        "by_hand": True,
        "since": after["started_at"],
        "started_at": before["started_at"] if before else None,
    }


def _now(session: Session, live: LiveTable, key: str) -> dict[str, Any]:
    (found,) = session.rows(
        S("SELECT to_jsonb(crm) - {} AS document FROM {} AS crm WHERE crm.{} = {}").format(
            sql.Literal(live.mapping.raw_fields), live.identifier, I(live.mapping.id), as_key(live, sql.Literal(key))
        )
    )
    document: dict[str, Any] = found["document"]
    return document


def _makers(session: Session, runs: set[int]) -> dict[int, str]:
    rows = session.rows(
        S("SELECT id, made_by FROM {} WHERE id = ANY(%s) AND made_by IS NOT NULL").format(session.control("sync_runs")),
        sorted(runs),
    )
    return {row["id"]: row["made_by"] for row in rows}


def _authors(session: Session, live: LiveTable, row: Row, entries: list[Row]) -> dict[int, str]:
    """Who had changed the record in amoCRM, by the run that brought it: the document that the run left is the one that
    the next run found."""
    table = live.mapping
    if not entries:
        return {}
    found = session.rows(
        session.query("history.sql", "find_authors"),
        table.table,
        row["__key"],
        table.raw_fields,
    )
    account, current = row.get(table.account or ""), ((row.get(table.raw_fields) or {}).get("amo") or {})
    names: dict[Any, str | None] = {}
    authors: dict[int, str] = {}
    for entry in found:
        number = current.get("updated_by") if entry["is_last"] else entry["author"]
        if isinstance(number, int) and number not in names:
            names[number] = user_name(session, account, number)
        name = names.get(number) if isinstance(number, int) else None
        if name:
            authors[entry["run_id"]] = name
    return authors


def put_back(session: Session, table: str, row_id: str, column: str, value: Any, seen: str) -> int | None:
    """Write a value that a cell once had into it again; the decision's run.

    None, and nothing written, where the cell no longer holds what somebody saw (`seen`, a fingerprint of `cell_now`).

    Raises:
        UnknownError: there is no such table or column.
        BusyError: a load, or another session that holds the row, was in the way.
    """
    live = session.table(table)
    require_column(session, table, column)
    stamp = live.mapping.service.get("updated_at")
    where = S("WHERE crm.{} = {}").format(I(live.mapping.id), as_key(live, sql.Literal(row_id)))
    document = S("{}::jsonb").format(sql.Literal(json_or_null(value)))

    def lock() -> None:
        session.execute(S("SELECT FROM {} AS crm {} FOR NO KEY UPDATE").format(live.identifier, where))

    def write(run_id: int) -> int:
        cell = cell_now(session, {"table_name": table, "column_name": column, "row_id": row_id, "crm_value": None})
        if not cell.exists or cell.fingerprint != seen:
            raise _ChangedError
        session.execute(
            S("UPDATE {} AS crm SET {}{} {}").format(
                live.identifier,
                assignment(live, "crm", column, as_value(live, column, document)),
                S(", {} = now()").format(I(stamp)) if stamp else S(""),
                where,
            )
        )
        entry = S("SELECT {}, {}, {}::jsonb, {}").format(
            sql.Literal(row_id), sql.Literal(column), sql.Literal(json_or_null(cell.value)), document
        )
        session.execute(write_entries(session.settings.crm_schema, run_id, table, entry))
        session.count(run_id, {table: {"updated": 1}})
        return run_id

    try:
        return session.run("resolve", write, accounts=accounts_of_rows(session, live, [row_id]), prepare=lock)
    except _ChangedError:
        return None


def find_entry(session: Session, table: str, row_id: str, entry: int) -> Row:
    """An entry of a row's journal.

    Raises:
        UnknownError: there is none of that number.
    """
    found = session.rows(
        S("SELECT * FROM {} WHERE row_id = %s AND table_name = %s AND id = %s").format(session.control("sync_changes")),
        row_id,
        table,
        entry,
    )
    if not found:
        raise UnknownError.of("E_ROW_UNKNOWN", row=row_id, table=table, example=None)
    return found[0]


class _ChangedError(Exception):
    """The cell holds something else than what somebody saw: nothing is written."""
