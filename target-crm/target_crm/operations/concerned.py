"""Which accounts an operation concerns: loads of these must not run meanwhile, those of all others continue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable
from target_crm.sql.spec import I, S
from target_crm.sql.typed import as_key
from target_crm.sql.undo_entries import KEYS

if TYPE_CHECKING:
    from target_crm.operations.session import Session


def accounts_of_run(session: Session, run: int) -> set[int]:
    """The accounts of a run: what it says itself, or, where it says none, those of the rows that it wrote."""
    found = session.rows(S("SELECT account_ids FROM {} WHERE id = %s").format(session.control("sync_runs")), run)
    if found and found[0]["account_ids"]:
        return set(found[0]["account_ids"])
    accounts: set[int] = set()
    for live in session.tables.values():
        written = S("SELECT {} FROM {} AS entry WHERE entry.run_id = {} AND entry.table_name = {}").format(
            _key(live, S("entry.row_id")),
            session.control("sync_changes"),
            sql.Literal(run),
            sql.Literal(live.mapping.table),
        )
        accounts |= _accounts(session, live, written)
    return accounts


def accounts_of_rows(session: Session, live: LiveTable, keys: Iterable[str]) -> set[int]:
    """The accounts of rows, by their keys as text. A row that belongs to no record has none."""
    given = S("SELECT {} FROM unnest({}::text[]) AS given(row_id)").format(
        _key(live, S("given.row_id")), sql.Literal(list(keys))
    )
    return _accounts(session, live, given)


def accounts_of_conflicts(session: Session, tables: Iterable[str], meant: sql.Composable) -> set[int]:
    """The accounts of the rows of these tables that conflicts are about; `meant` is a condition over
    `conflict`."""
    accounts: set[int] = set()
    for live in (session.tables[name] for name in set(tables) if name in session.tables):
        keys = S("SELECT {} FROM {} AS conflict WHERE {} AND conflict.table_name = {}").format(
            _key(live, S("conflict.row_id")), session.control("sync_conflicts"), meant, sql.Literal(live.mapping.table)
        )
        accounts |= _accounts(session, live, keys)
    return accounts


def _key(live: LiveTable, text: sql.Composable) -> sql.Composable:
    """A key out of a text; NULL for what can be no key of the table as it is now."""
    pattern = KEYS.get(live.columns[live.mapping.id].family)
    if pattern is None:
        return as_key(live, text)
    return S("CASE WHEN {} ~ {} THEN {} END").format(text, sql.Literal(pattern), as_key(live, text))


def _accounts(session: Session, live: LiveTable, keys: sql.Composable) -> set[int]:
    if live.mapping.account is None:
        return set()
    account = I(live.mapping.account)
    found = session.rows(
        S("SELECT DISTINCT crm.{} AS account FROM {} AS crm WHERE crm.{} IN ({}) AND crm.{} IS NOT NULL").format(
            account, live.identifier, I(live.mapping.id), keys, account
        )
    )
    return {row["account"] for row in found}
