"""Checks shared_limit_url before the driver does: a driver's message about an unreadable URL may contain a password.

psycopg comes with the extra `shared-limit`, so this module is imported only by code that needs the extra.
"""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tap_amocrm.errors import ConfigError

_SCHEMES = ("postgresql://", "postgres://")
_NAME = "Setting shared_limit_url: "
_SHAPE = "a URL that starts with postgresql:// is needed."
_ENCODE = "in a user name or password write % as %25, @ as %40, / as %2F, ? as %3F, # as %23 and a blank as %20."
_SECRETS = ("password", "sslpassword", "oauth_client_secret")


def check_shared_limit_url(url: str) -> None:
    """Refuse a URL that can't be parsed, or that would be parsed in an unintended way.

    Raises:
        ConfigError: one sentence that does not quote the URL.
    """
    scheme = next((s for s in _SCHEMES if url.startswith(s)), None)
    if scheme is None:
        raise ConfigError(_NAME + _SHAPE, setting="shared_limit_url", problem="format")
    _check_letters(url)
    body = url[len(scheme) :]
    end = next((n for n, letter in enumerate(body) if letter in "/?#"), len(body))
    authority, rest = body[:end], body[end:]
    if authority.count("@") > 1 or _is_cut(authority, rest):
        msg = f"{_NAME}the password holds a letter that ends it in a URL; {_ENCODE}"
        raise ConfigError(msg, setting="shared_limit_url", problem="format")
    try:
        parts = conninfo_to_dict(url)
    except (psycopg.Error, ValueError):
        msg = (
            f"{_NAME}the URL can't be read: one looks like postgresql://user:password@host:5432/name?sslmode=require, "
            f"with libpq's names behind the question mark; {_ENCODE}"
        )
        raise ConfigError(msg, setting="shared_limit_url", problem="format") from None
    if not all(re.fullmatch(r"[0-9]{0,5}", port) for port in str(parts.get("port") or "").split(",")):
        msg = f"{_NAME}the port is not a number. If what is behind the colon belongs to the password: {_ENCODE}"
        raise ConfigError(msg, setting="shared_limit_url", problem="format")


def _check_letters(url: str) -> None:
    if re.search(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]", url):
        msg = f"{_NAME}it holds a blank or an invisible character; {_ENCODE}"
        raise ConfigError(msg, setting="shared_limit_url", problem="format")
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", url):
        msg = f"{_NAME}it holds a % without two hexadecimal digits behind it; {_ENCODE}"
        raise ConfigError(msg, setting="shared_limit_url", problem="format")


def _is_cut(authority: str, rest: str) -> bool:
    """Whether a character of a password ended the part of the URL with user and host."""
    if "@" in authority:
        return False
    path = rest.partition("?")[0] if rest.startswith("/") else rest
    return "@" in path


def hide_secrets(text: str, url: str) -> str:
    """The text without the secrets of the URL."""
    try:
        parts = conninfo_to_dict(url)
    except (psycopg.Error, ValueError):
        # No message about such a URL may be shown.
        return "(left out: it may hold the password)"
    shown = {str(parts.get(name)) for name in ("user", "host", "dbname", "port")}
    for name in _SECRETS:
        secret = str(parts.get(name) or "")
        if secret and secret not in shown:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return text
