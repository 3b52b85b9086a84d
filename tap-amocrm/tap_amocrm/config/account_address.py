"""The account's address out of the settings: the token goes there, so nothing but an account's address is taken."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tap_amocrm.errors import ConfigError

logger = logging.getLogger("tap-amocrm")
DOMAINS = ("amocrm.ru", "amocrm.com", "kommo.com")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# What an address may consist of: others are taken differently by different readers of URLs.
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?", re.IGNORECASE)


def is_of_account(url: str, api_url: str) -> bool:
    """Whether an address that the account names is a host of the service, which may be sent the token.

    Hosts of amoCRM and Kommo over https are; on this machine those of a simulator on this machine.
    """
    try:
        parts, home = urlsplit(url), urlsplit(api_url)
        host = parts.hostname or ""
        good = bool(_URL.fullmatch(url)) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    if not good:
        return False
    if home.hostname in LOOPBACK:
        return host in LOOPBACK
    of_service = any(host == domain or host.endswith(f".{domain}") for domain in DOMAINS)
    return parts.scheme.lower() == "https" and (of_service or host == home.hostname)


def account_url(config: Mapping[str, Any]) -> str:
    """The base URL of the account, without a slash at its end.

    Raises:
        ConfigError: a setting is missing or is not an account's address; names the setting.
    """
    if config.get("api_url"):
        return given_url("api_url", str(config["api_url"]).strip())
    return f"https://{account_host(config.get('subdomain'), config.get('domain'))}"


def account_host(subdomain: Any, domain: Any) -> str:
    """The account's host. `subdomain` may be the account's name, its host, or its whole address.

    Raises:
        ConfigError: they name no account of amoCRM or Kommo.
    """
    given = str(subdomain or "").strip().lower()
    below = str(domain or DOMAINS[0]).strip().lower()
    if below not in DOMAINS:
        msg = f"Setting domain: {str(domain)[:80]!r} must be one of {', '.join(DOMAINS)}."
        raise ConfigError(msg, setting="domain", problem="choice")
    if not given:
        msg = "Setting subdomain is missing: name the account (mycompany of mycompany.amocrm.ru), or give api_url."
        raise ConfigError(msg, setting="subdomain", problem="missing")
    name = re.sub(r"^https?://", "", given).removesuffix("/")
    for known in DOMAINS:
        if name.endswith(f".{known}"):
            name, below = name.removesuffix(f".{known}"), known
            break
    if not _LABEL.fullmatch(name):
        msg = (
            f"Setting subdomain: {str(subdomain)[:80]!r} does not name an account. Give the account's name "
            "(mycompany), its host (mycompany.amocrm.ru) or its address (https://mycompany.amocrm.ru/)."
        )
        raise ConfigError(msg, setting="subdomain", problem="format")
    return f"{name}.{below}"


def given_url(setting: str, url: str) -> str:
    """The address that a setting names, without a slash at its end.

    Raises:
        ConfigError: it is not an address; names the setting.
    """
    try:
        parts = urlsplit(url)
        good = bool(_URL.fullmatch(url) and parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        # Not the whole of it: it may hold a password.
        shown = re.split(r"[?#]", url.rpartition("@")[2])[0]
        msg = (
            f"Setting {setting}: {shown[:80]!r} must be an address such as https://mycompany.amocrm.ru that consists "
            f"of a host, a port and a path only."
        )
        raise ConfigError(msg, setting="api_url", problem="format")
    if parts.scheme.lower() == "http" and parts.hostname not in LOOPBACK:
        logger.warning("Setting %s: http:// sends the token unencrypted; use https://.", setting)
    return url.rstrip("/")
