"""Records as people know them: a name for a row, the rows it belongs to, who changed it when."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.mapping.model import Column
from target_crm.operations.accounts import Accounts, card_of, page_of
from target_crm.operations.explain import deleted_at
from target_crm.operations.session import Row, Session, SetTable, as_key, column_of
from target_crm.sql.spec import I, S
from target_crm.sql.untouched import item_untouched

# Names of properties and columns by which people call a record, in the order in which they are put together.
_NAMES = ("last_name", "surname", "first_name", "name", "title", "full_name")
_TEXTS = ("text", "subject", "note_type", "email")
_LONGEST = 80


@dataclass(frozen=True)
class Linked:
    """A row that another one points at: by which column, in which table, its key and its name."""

    column: str
    table: str
    row_id: str
    name: str


@dataclass(frozen=True)
class Context:
    """What helps a person to decide about a row.

    `links` are the rows it points at (company, contact, responsible user); `amo_changed_by` is the user's name, or the
    user's number in amoCRM where no such user has come. `card` is the address of its card in amoCRM, `page` of its page
    in the CRM.
    """

    table: str
    name: str
    links: list[Linked]
    amo_account_id: int | None
    amo_id: int | None
    amo_changed_at: Any
    amo_changed_by: str | None
    amo_deleted_at: Any
    crm_changed_at: Any
    card: str | None = None
    page: str | None = None


def name_columns(live: LiveTable) -> list[str]:
    """The columns that make a row's name, by what the mapping takes them from or by how they are called."""

    def named(column: Column) -> str | None:
        if column.source or live.columns[column.name].family != "text":
            return None
        last = column.path[-1] if column.path else ""
        return next((n for n in _NAMES if n in (last, column.name)), None)

    found = [(named(c), c.name) for c in live.mapping.columns if c.name in live.columns]
    by_name = {role: name for role, name in found if role}
    if by_name:
        return [by_name[role] for role in _NAMES if role in by_name]
    known = {c.name for c in live.mapping.columns}
    texts = [n for n in _TEXTS if n in known and n in live.columns]
    plain = [c.name for c in live.mapping.columns if c.name in live.columns and live.columns[c.name].family == "text"]
    return (texts or plain)[:1]


def name_sql(live: LiveTable) -> sql.Composed:
    """The name of row `crm` as SQL; its key where it has none."""
    key = S("crm.{}::text").format(I(live.mapping.id))
    if live.mapping.label:
        name = _by_template(live, live.mapping.label)
        return S("left(coalesce(nullif(btrim({}), ''), {}), {})").format(name, key, sql.Literal(_LONGEST))
    columns = name_columns(live)
    values = S(", ").join(S("nullif(btrim(crm.{}), '')").format(I(c)) for c in columns) if columns else S("NULL")
    return S("left(coalesce(nullif(concat_ws(' ', {}), ''), {}), {})").format(values, key, sql.Literal(_LONGEST))


def _by_template(live: LiveTable, template: str) -> sql.Composed:
    """The mapping's `label`: its text with the row's columns put in."""
    parts: list[sql.Composable] = []
    for text, name in re.findall(r"([^{}]*)(?:\{([^{}]+)\})?", template):
        parts += [sql.Literal(text)] if text else []
        parts += [S("crm.{}").format(I(name))] if name in live.columns else []
    return S("concat({})").format(S(", ").join(parts)) if parts else S("NULL").format()


def names_of(session: Session, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Names of rows by table and key, one query for each table; rows that are gone are left out.

    A set's row (a phone) is called by its value.
    """
    by_table: dict[str, set[str]] = defaultdict(set)
    for table, row_id in wanted:
        by_table[table].add(row_id)
    names: dict[tuple[str, str], str] = {}
    for table, keys in by_table.items():
        live, item_set = session.tables.get(table), session.sets.get(table)
        if live is not None:
            found = _read_names(session, live, live.mapping.id, name_sql(live), keys)
        elif item_set is not None:
            value = item_set.item_set.columns.get("value", item_set.item_set.id)
            called = S("crm.{}::text").format(I(value))
            found = _read_names(session, item_set.live, item_set.item_set.id, called, keys)
        else:
            continue
        names.update({(table, row["key"]): row["name"] or row["key"] for row in found})
    return names


def _read_names(session: Session, live: LiveTable, key: str, name: sql.Composable, keys: set[str]) -> list[Row]:
    statement = session.query(
        "records.sql",
        "read_names",
        id=I(key),
        label=name,
        table=live.identifier,
        type=S(live.columns[key].type_sql),
    )
    try:
        with session.connection.transaction():
            return session.rows(statement, sorted(keys))
    except psycopg.DataError:  # keys of a table that had other keys once
        return []


def links_of(session: Session, live: LiveTable, row: Row) -> list[Linked]:
    """The rows that a row points at, in the mapping's order."""
    wanted = []
    for column in live.mapping.columns:
        parent = linked_table(session, column)
        if parent is not None and row.get(column.name) is not None:
            wanted.append((column.name, parent.mapping.table, str(row[column.name])))
    names = names_of(session, ((table, key) for _, table, key in wanted))
    return [Linked(column, table, key, names.get((table, key), key)) for column, table, key in wanted]


def linked_table(session: Session, column: Column | None) -> LiveTable | None:
    """The table that a column's values are keys of, None for plain values."""
    if column is None or not column.link:
        return None
    return next((t for t in session.tables.values() if t.mapping.stream == column.link), None)


def context_of(session: Session, live: LiveTable, row: Row, accounts: Accounts | None = None) -> Context:
    """Name, neighbours, times and addresses of a row as `find_row` gives it."""
    table = live.mapping
    record = (row.get(table.raw_fields) or {}).get("amo") or {}
    names = names_of(session, [(table.table, row["__key"])])
    account = row.get(table.account or "")

    def service(role: str) -> Any:
        name = table.service.get(role)
        return row.get(name) if name else None

    return Context(
        table=table.table,
        card=card_of(accounts, live, row) if accounts else None,
        page=page_of(live, row),
        name=names.get((table.table, row["__key"]), str(row["__key"])),
        links=links_of(session, live, row),
        amo_account_id=account,
        amo_id=row.get(table.amo_id or ""),
        amo_changed_at=service("amo_updated_at") or record.get("updated_at"),
        amo_changed_by=user_name(session, account, record.get("updated_by")),
        amo_deleted_at=deleted_at(session, live, row),
        crm_changed_at=service("updated_at"),
    )


def user_name(session: Session, account: Any, amo_id: Any) -> str | None:
    """A user's name by the number in amoCRM."""
    if not isinstance(amo_id, int) or isinstance(amo_id, bool) or amo_id == 0:
        return None
    users = next((t for t in session.tables.values() if t.mapping.stream == "users"), None)
    if users is not None and not users.mapping.match_only and users.mapping.amo_id and users.mapping.account:
        found = session.rows(
            S("SELECT {} AS name FROM {} AS crm WHERE crm.{} = %s AND crm.{} = %s").format(
                name_sql(users), users.identifier, I(users.mapping.account), I(users.mapping.amo_id)
            ),
            account,
            amo_id,
        )
        if found:
            return str(found[0]["name"])
    return str(amo_id)


def value_names(session: Session, table: str, column: str, values: Iterable[Any]) -> dict[str, str]:
    """For a column that links to another table: the names of the rows that these values are keys of."""
    live = session.tables.get(table)
    parent = linked_table(session, column_of(live.mapping, column)) if live else None
    if parent is None:
        return {}
    name = parent.mapping.table
    found = names_of(session, ((name, str(v)) for v in values if v not in (None, "")))
    return {key: called for (_, key), called in found.items()}


def items_of(session: Session, live: LiveTable, row_id: str, limit: int = 50) -> list[tuple[SetTable, list[Row]]]:
    """The sets of a row (phones, e-mails) with their rows as they are now.

    Each row has `__key`, and `__by_hand`: whether a person added or edited it.
    """
    found = []
    for item_set in session.sets.values():
        if item_set.parent is not live:
            continue
        s = item_set.item_set
        rows = session.rows(
            session.query(
                "records.sql",
                "read_items",
                id=I(s.id),
                untouched=item_untouched(s, item_set.live, "crm"),
                table=item_set.live.identifier,
                parent=I(s.parent),
                key=as_key(live, sql.Literal(row_id)),
                order=S("crm.{}, crm.{}").format(I(s.columns["position"]), I(s.id))
                if "position" in s.columns
                else S("crm.{}").format(I(s.id)),
                most=sql.Literal(limit),
            )
        )
        found.append((item_set, rows))
    return found
