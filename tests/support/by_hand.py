"""What people do to the tables, as SQL: the steps that soft_update_player draws as `BY_HAND`, without a model."""

from __future__ import annotations

from typing import Any

from soft_update_model import COLUMNS
from soft_update_player import SET_TABLES


def by_hand(crm: Any, step: Any) -> None:
    """One edit, one change of an item, or one deletion; nothing when there is no such row."""
    kind, *rest = step
    if kind == "remove":
        stream, amo_id = rest
        crm.execute(f"DELETE FROM {stream} WHERE amo_id = %s", amo_id)
    elif kind == "edit":
        amo_id, (stream, column, value) = rest
        link = COLUMNS[stream][column].link
        new = f"(SELECT id FROM {link} WHERE amo_id = %s)" if link else "%s"
        crm.execute(f"UPDATE {stream} SET {column} = {new} WHERE amo_id = %s", value, amo_id)
    else:
        _item(crm, *rest)


def _item(crm: Any, amo_id: int, name: str, pick: int, edit: Any) -> None:
    (kind, value), table = edit, SET_TABLES[name]
    if name == "emails" and kind in ("add", "value"):
        value = "hand@firma.ru"
    of = "FROM contacts AS c WHERE c.amo_id = %s"
    if kind == "add":
        crm.execute(f"INSERT INTO {table} (contact_id, value) SELECT c.id, %s {of}", value, amo_id)
        return
    one = (
        f"id = (SELECT i.id FROM {table} AS i JOIN contacts AS c ON c.id = i.contact_id WHERE c.amo_id = %s "
        "ORDER BY i.position, i.value, i.comment LIMIT 1 OFFSET %s)"
    )
    if kind == "delete":
        crm.execute(f"DELETE FROM {table} WHERE {one}", amo_id, pick)
    else:
        crm.execute(f"UPDATE {table} SET {kind} = %s WHERE {one}", value, amo_id, pick)
