"""What is known of the accounts: the reader's time zone, and where the cards of records are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any
from urllib.parse import quote

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.operations.session import Row, Session
from target_crm.presentation.formats import zone_of

_CARDS = {"companies", "contacts", "leads", "customers"}
_PARENTS = {1: "contacts", 2: "leads", 3: "companies", 12: "customers"}


@dataclass(frozen=True)
class Accounts:
    """Addresses by account, and the zone in which times are shown and typed: that of the account that spoke last.
    None where no account has named one."""

    urls: dict[int, str] = field(default_factory=dict)
    zone: tzinfo | None = None

    @property
    def zone_name(self) -> str:
        """The zone's name."""
        return str(self.zone) if self.zone is not None else "UTC"

    def card(self, stream: str | None, account: Any, amo_id: Any, record: Any = None) -> str | None:
        """The address of a record's card in amoCRM; for tasks and notes that of the record they belong to.

        Args:
            stream: The record's stream.
            account: The account's number.
            amo_id: The record's number.
            record: The record as received, for tasks and notes.
        """
        home = self.urls.get(account)
        if home is None or not isinstance(amo_id, int):
            return None
        if stream in _CARDS:
            return f"{home}/{stream}/detail/{amo_id}"
        if stream in ("tasks", "notes") and isinstance(record, Mapping):
            kind, number = record.get("entity_type"), record.get("entity_id")
            kind = _PARENTS.get(kind, kind) if isinstance(kind, int) else kind
            if kind in _CARDS and isinstance(number, int) and number > 0:
                return f"{home}/{kind}/detail/{number}"
        return None


def read_accounts(session: Session) -> Accounts:
    """The accounts that loads have named."""
    rows = session.rows(
        sql.SQL("SELECT account_id, url, timezone FROM {} ORDER BY updated_at DESC, account_id").format(
            session.control("sync_accounts")
        )
    )
    zones = (zone_of(row["timezone"]) for row in rows)
    return Accounts(
        urls={row["account_id"]: row["url"] for row in rows if row["url"]},
        zone=next((zone for zone in zones if zone is not None), None),
    )


def card_of(accounts: Accounts, live: LiveTable, row: Row) -> str | None:
    """The address of a row's card in amoCRM; `row` as `find_row` gives it."""
    table = live.mapping
    record = (row.get(table.raw_fields) or {}).get("amo")
    return accounts.card(table.stream, row.get(table.account or ""), row.get(table.amo_id or ""), record)


def page_of(live: LiveTable, row: Row) -> str | None:
    """The address of a row's page in the CRM itself, as the mapping's `url` says."""
    template = live.mapping.url
    if not template or not template.startswith(("http://", "https://")):
        return None
    text = template
    for name in live.columns:
        if f"{{{name}}}" in text:
            if row.get(name) is None:
                return None
            text = text.replace(f"{{{name}}}", quote(str(row[name]), safe=""))
    return text


def cards_of(session: Session, accounts: Accounts, rows: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The addresses of the cards of rows, by table and key, one query for each table."""
    by_table: dict[str, list[str]] = {}
    for table, key in rows:
        by_table.setdefault(table, []).append(key)
    found: dict[tuple[str, str], str] = {}
    for table, keys in by_table.items():
        live = session.tables.get(table)
        if live is None or not accounts.urls or not {live.mapping.account, live.mapping.amo_id} <= live.columns.keys():
            continue
        numbers = session.query(
            "records.sql",
            "read_numbers",
            id=sql.Identifier(live.mapping.id),
            account=sql.Identifier(live.mapping.account or ""),
            number=sql.Identifier(live.mapping.amo_id or ""),
            raw=sql.Identifier(live.mapping.raw_fields),
            table=live.identifier,
            keys=sql.Literal(keys),
        )
        for row in session.rows(numbers):
            url = accounts.card(live.mapping.stream, row["account"], row["number"], row["record"])
            if url is not None:
                found[table, row["key"]] = url
    return found
