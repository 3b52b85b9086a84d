"""Addresses: under which names the page is served, and where a browser may be sent on this site."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit

from target_crm.errors import ConfigError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_PATH = 2000


def local_path(address: str) -> str:
    """A path of this site with its query, whatever the address says; "/" for what is not one.

    The result starts with exactly one slash and holds neither backslashes nor control characters, so that no browser
    reads it as the address of another site.
    """
    path, mark, query = address.partition("?")
    path = unquote(path)
    if not path.startswith("/") or "\\" in path or re.search(r"[\x00-\x20\x7f]", path):
        return "/"
    path = quote(re.sub(r"/{2,}", "/", path), safe="/:@!$&'()*+,;=~-._")
    found = path + (mark + quote(query, safe="%/:@!$&'()*+,;=~-._?") if query else "")
    return found if len(found) <= _LONGEST_PATH else "/"


def served_origins(
    hosts: Iterable[str], port: int, *, https: bool, allowed: Iterable[str] = (), public_urls: Iterable[str] = ()
) -> dict[str, str]:
    """Each value of Host that is served, with the scheme by which browsers come under it.

    Args:
        hosts: Names of the machine itself, served on `port`.
        port: The port that the page listens on.
        https: Whether the page itself speaks TLS.
        allowed: Other names, as NAME or NAME:PORT.
        public_urls: Addresses as browsers show them (`https://crm.example.com`), through a proxy or a tunnel.

    Raises:
        ConfigError: a name or an address can't be read.
    """
    scheme = "https" if https else "http"
    found: dict[str, str] = {}
    for host in hosts:
        _add(found, f"[{host}]" if ":" in host else host.lower(), port, scheme)
    for given in allowed:
        name, given_port = _host_of(f"{scheme}://{given}", f"--allowed-host {given}")
        _add(found, name, given_port or port, scheme)
        if given_port is None:
            _add(found, name, _DEFAULT_PORTS[scheme], scheme)
    for given in public_urls:
        own = given.partition("://")[0].lower()
        name, given_port = _host_of(given, f"--public-url {given}")
        _add(found, name, given_port or _DEFAULT_PORTS[own], own)
    return found


def _add(found: dict[str, str], name: str, port: int, scheme: str) -> None:
    found[f"{name}:{port}"] = scheme
    if port == _DEFAULT_PORTS[scheme]:
        found[name] = scheme


def _host_of(url: str, option: str) -> tuple[str, int | None]:
    """Name (an IPv6 address in brackets) and port of an address that has neither a path nor a user."""
    refused = ConfigError.of("E_SERVE_ADDRESS", option=option)
    try:
        parts = urlsplit(url)
        port, name = parts.port, (parts.hostname or "").lower()
    except ValueError:
        raise refused from None
    plain = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
    if parts.scheme not in _DEFAULT_PORTS or not name or not plain or re.search(r"[^a-z0-9._:\-]", name):
        raise refused
    return (f"[{name}]" if ":" in name else name), port
