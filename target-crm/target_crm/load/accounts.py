"""Keeps what SCHEMA messages say of an account: the address of its cards and its time zone, for the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

_LONGEST = 300


def keep_account(connection: psycopg.Connection[Any], schema: str, account: Mapping[str, Any]) -> None:
    """Keep an account's address and zone; what is already there costs no write. The caller commits.

    Args:
        connection: A session of the load.
        schema: The schema of the loader's own tables.
        account: The property `x-amocrm-account` of a SCHEMA, with a whole number as `id`.
    """
    connection.execute(
        sql.SQL(
            "INSERT INTO {accounts} AS a (account_id, subdomain, url, timezone) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (account_id) DO UPDATE SET subdomain = coalesce(excluded.subdomain, a.subdomain), "
            "url = coalesce(excluded.url, a.url), timezone = coalesce(excluded.timezone, a.timezone), "
            "updated_at = now() WHERE (a.subdomain, a.url, a.timezone) IS DISTINCT FROM "
            "(coalesce(excluded.subdomain, a.subdomain), coalesce(excluded.url, a.url), "
            "coalesce(excluded.timezone, a.timezone))"
        ).format(accounts=sql.Identifier(schema, "sync_accounts")),
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
