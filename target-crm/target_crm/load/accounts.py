"""Stores the facts about an account from SCHEMA messages: the address of its cards and its time zone, for the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import psycopg

from target_crm.sql.queries import query

_LONGEST = 300


def keep_account(connection: psycopg.Connection[Any], schema: str, account: Mapping[str, Any]) -> None:
    """Store an account's address and zone; unchanged values cause no write. The caller commits.

    Args:
        connection: A session of the load.
        schema: The schema of the loader's own tables.
        account: The property `x-amocrm-account` of a SCHEMA, with a whole number as `id`.
    """
    connection.execute(
        query("runs.sql", "keep_account", schema),
        (
            account["id"],
            _text(account.get("subdomain")),
            web_address(account.get("url")),
            _text(account.get("timezone")),
        ),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.isprintable() and 0 < len(value) <= _LONGEST else None


def web_address(value: Any) -> str | None:
    """An address of a site, without path and user; None for what is not one."""
    text = _text(value)
    try:
        parts = urlsplit(text or "")
        is_site = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}" if is_site else None
