"""Proposals: records that are like rows, decided by a person; rows tied to records and untied again by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql

from target_crm.config.setting_names import nearest
from target_crm.load.load import Load
from target_crm.mapping.check import LiveTable
from target_crm.matching.matching import Chosen
from target_crm.operations.concerned import accounts_of_rows
from target_crm.operations.explain import find_row, unknown_row
from target_crm.operations.known import require_numbers
from target_crm.operations.listed import find_listed, fits
from target_crm.operations.loads import database_of
from target_crm.operations.record_key import require_record_key
from target_crm.operations.session import NotPossibleError, Row, Session, UnknownError, as_key
from target_crm.sql import untie as statements
from target_crm.sql.proposals import IGNORED
from target_crm.sql.spec import I, S, of_stream
from target_crm.sql.undo_remove import wait_again
from target_crm.sql.undo_restore import UndoSpec

BY_HAND = "by hand"
_FILE = "proposals.sql"


def find_proposals(
    session: Session,
    *,
    ids: Sequence[int] | None = None,
    stream: str | None = None,
    resolved: bool = False,
    after: int = 0,
    limit: int = 50,
) -> list[Row]:
    """Proposals with an id above `after`, those that wait unless `resolved`."""
    condition = fits(resolved=resolved, id=None if ids is None else list(ids), stream=stream)
    return find_listed(session, "sync_proposals", condition, after=after, limit=limit)


def live_of(session: Session, stream: str) -> LiveTable:
    """The table of a stream.

    Raises:
        UnknownError: the mapping has no such stream.
    """
    found = next((live for live in session.tables.values() if live.mapping.stream == stream), None)
    if found is None:
        known = [live.mapping.stream for live in session.tables.values()]
        raise UnknownError.of("E_STREAM_UNKNOWN", stream=stream, nearest=nearest(stream, known), known=known)
    return found


def decide(session: Session, choices: Mapping[int, str | None]) -> list[int]:
    """Let records become rows: by the number of the proposal the key of a row that is there, or None for a new one.

    The decision is a run of kind `decide`, so that it can be undone. A record that has another row is untied before.
    The numbers of these runs, the decision's last.

    Raises:
        UnknownError: a proposal is closed, a row is not there or belongs to another record, two records would become
            one row, or there can be no new row.
        BusyError: a load was in the way for `lock_timeout_seconds`.
    """
    found = find_proposals(session, ids=list(choices), resolved=True, limit=len(choices) + 1)
    open_ones = [p for p in found if p["resolved_at"] is None or p["resolution"] == IGNORED]
    missing = sorted(set(choices) - {p["id"] for p in open_ones})
    if missing:
        require_numbers(session, "sync_proposals", missing, are_open=True)
    rows = Counter(row for row in choices.values() if row is not None)
    twice = [row for row, number in rows.items() if number > 1]
    if twice:
        raise NotPossibleError.of("E_ROW_CHOSEN_TWICE", row=twice[0])
    chosen: list[Chosen] = []
    untied: list[tuple[str, str]] = []
    for one in open_ones:
        row, live = choices[one["id"]], live_of(session, one["stream"])
        own = own_row(session, live, one)
        if row is not None:
            require_free(session, live, row)
        elif live.mapping.match_only:
            raise NotPossibleError.of("E_TABLE_GETS_NO_ROWS", table=live.mapping.table)
        elif own is not None:
            raise NotPossibleError.of("E_RECORD_HAS_ROW", table=live.mapping.table, amo_id=one["amo_id"], row=own)
        if own is not None:
            untied.append((live.mapping.table, f"amo:{one['account_id']}:{one['amo_id']}"))
        text = _text_of(session, one["id"])
        chosen.append(Chosen(one["id"], one["stream"], one["zone"], text, row, one["rule"] or BY_HAND))
    session.connection.commit()
    return [*(untie(session, table, key) for table, key in untied), _write_chosen(session, chosen)]


def _write_chosen(session: Session, chosen: Sequence[Chosen]) -> int:
    """The run that writes the records into their rows."""
    with database_of(session) as database:
        load = Load.open(session.settings, database, kind="decide")
        status, error = "failed", None
        try:
            load.write_chosen(chosen)
            status = "succeeded"
        except Exception as fault:
            error = str(fault)
            raise
        finally:
            load.finish(status, error)
    if session.made_by:
        session.execute(
            S("UPDATE {} SET made_by = %s WHERE id = %s").format(session.control("sync_runs")),
            session.made_by,
            load.run_id,
        )
        session.connection.commit()
    return load.run_id


def _text_of(session: Session, number: int) -> bytes:
    """The record as received: as JSON its numbers would lose their spelling."""
    (found,) = session.rows(
        S("SELECT record::text AS text FROM {} WHERE id = %s").format(session.control("sync_proposals")), number
    )
    return str(found["text"]).encode()


def own_row(session: Session, live: LiveTable, proposal: Row) -> str | None:
    """The key of the row that a waiting record has: a unique constraint keeps its newer version out. None as a rule."""
    table = live.mapping
    if table.match_only:
        return None
    found = session.rows(
        S("SELECT crm.{}::text AS key FROM {} AS crm WHERE crm.{} = %s AND crm.{} = %s{}").format(
            I(table.id), live.identifier, I(table.account or ""), I(table.amo_id or ""), of_stream(live, "crm")
        ),
        proposal["account_id"],
        proposal["amo_id"],
    )
    return str(found[0]["key"]) if found else None


def require_free(session: Session, live: LiveTable, row: str) -> None:
    """Make sure that a row is there and belongs to no record.

    Raises:
        UnknownError: it is not, or does.
    """
    table = live.mapping
    amo_id = S("NULL") if table.match_only else S("crm.{}").format(I(table.amo_id or ""))
    try:
        with session.connection.transaction():
            found = session.rows(
                S("SELECT {} AS amo_id FROM {} AS crm WHERE crm.{} = {}").format(
                    amo_id, live.identifier, I(table.id), as_key(live, sql.Literal(row))
                )
            )
    except psycopg.DataError:  # the text can't be a key of this table
        found = []
    if not found:
        raise unknown_row(session, live, row, found)
    if found[0]["amo_id"] is not None:
        raise NotPossibleError.of("E_ROW_TAKEN", row=row, table=table.table, amo_id=found[0]["amo_id"])


def ignore(session: Session, ids: Sequence[int]) -> tuple[int, int]:
    """Leave records out, also in versions to come; the run (of kind `decide`), and how many.

    Raises:
        BusyError: a load was in the way for `lock_timeout_seconds`.
    """

    def work(run: int) -> tuple[int, int]:
        done = session.execute(
            session.query(_FILE, "ignore"),
            IGNORED,
            list(ids),
        )
        session.count(run, {"sync_proposals": {"settled": done}})
        return run, done

    of_these = S("SELECT DISTINCT account_id FROM {} WHERE id = ANY(%s)").format(session.control("sync_proposals"))
    return session.run("decide", work, accounts={row["account_id"] for row in session.rows(of_these, list(ids))})


def tie(session: Session, table: str, row: str, key: str) -> list[int]:
    """Let a record (`amo:ID`, `ACCOUNT/amo:ID`) be that of a row; the runs, in the order in which they are undone last
    to first. A row that the record has is untied before.

    Raises:
        UnknownError: there is no such row or record, or the row belongs to another record.
        BusyError: a load was in the way for `lock_timeout_seconds`.
    """
    live = session.table(table)
    require_free(session, live, row)
    number, runs = _waiting(session, live, key), list[int]()
    if number is None:
        runs.append(untie(session, table, key))
        number = _waiting(session, live, key)
        assert number is not None
    return [*runs, *decide(session, {number: row})]


def _waiting(session: Session, live: LiveTable, key: str) -> int | None:
    """The number of the record's open proposal."""
    account, amo_id = require_record_key(key)
    found = session.rows(
        session.query(_FILE, "find_undecided"),
        live.mapping.stream,
        amo_id,
        account,
        account,
    )
    if len(found) > 1:
        raise NotPossibleError.of("E_RECORD_IN_SEVERAL_ACCOUNTS", record=key)
    return int(found[0]["id"]) if found else None


def untie(session: Session, table: str, key: str) -> int:
    """Take a record (`amo:ID`, `ACCOUNT/amo:ID`) off its row; the run, of kind `untie`.

    The row stays as it is, as one that belongs to no record. The record waits in sync_proposals; unless somebody
    decides, the next load gives it another row that it is like, or one of its own.

    Raises:
        UnknownError: the record has no row there.
        BusyError: a load, or another session that holds the row, was in the way for `lock_timeout_seconds`.
    """
    live = session.table(table)
    require_record_key(key)
    if live.mapping.match_only:
        raise NotPossibleError.of("E_TABLE_MATCH_ONLY", table=table)
    found = find_row(session, live, key)
    row, document = str(found["__key"]), found.get(live.mapping.raw_fields) or {}
    record = document.get("amo")
    if not isinstance(record, dict):
        raise NotPossibleError.of("E_ROW_NEVER_MERGED", row=row, table=table)
    session.connection.commit()

    def work(run: int) -> int:
        for statement in statements.untie(live, session.settings.crm_schema, run, row):
            session.execute(statement)
        spec = UndoSpec(session.settings.crm_schema, run, run)
        for child in session.tables.values():
            for column in child.mapping.columns:
                if column.link == live.mapping.stream and not child.mapping.match_only:
                    session.execute(wait_again(spec, child, column))
        session.count(run, {table: {"untied": 1}})
        return run

    accounts = accounts_of_rows(session, live, [row])
    return session.run("untie", work, accounts=accounts, prepare=lambda: _lock(session, live, row))


def _lock(session: Session, live: LiveTable, row: str) -> None:
    session.execute(statements.lock(live, row))
