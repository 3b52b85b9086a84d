"""Requests of downloads: the token for the account's own hosts alone, and no private address unless it is allowed."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from tap_amocrm import __version__
from tap_amocrm.http.client import Client
from tap_amocrm.http.retry_after import retry_after
from tap_amocrm.http.transport import BearerAuth

_TIMEOUT = (10, 60)
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


class RefusedError(Exception):
    """An address that is not asked: no http, a private one, or a way back to http."""


class PrivateAddressError(RefusedError, OSError):
    """A host outside the account that turns out to be in a private network."""


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address.

    Raises:
        RefusedError: it is not an address of http or https.
    """
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), parts.hostname
        port = parts.port or (443 if scheme == "https" else 80)
    except ValueError:
        scheme, host, port = "", None, 0
    if scheme not in ("http", "https") or not host:
        msg = "only http and https addresses are supported"
        raise RefusedError(msg)
    return scheme, host, port


def is_private(address: str) -> bool:
    """Whether an IP address is not one of the public internet."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return not (mapped or found).is_global or found.is_multicast


@dataclass
class Bandwidth:
    """Lets through a number of bytes a second, of all downloads together; 0 for no limit."""

    bytes_per_second: float = 0.0
    _free_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, count: int) -> None:
        """Wait until that many bytes may have come."""
        if not self.bytes_per_second:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self.bytes_per_second
            wait = self._free_at - now
        time.sleep(wait)


class Wire:
    """Opens downloads; may be used from several threads.

    Args:
        client: The account's: its throttle and token.
        own: Addresses of the account's own hosts (the drive), which get the token.
        allow_private: Whether other hosts may be in a private network.
    """

    def __init__(self, client: Client, own: tuple[str, ...], *, allow_private: bool) -> None:
        self._client, self._allow_private = client, allow_private
        self._own = frozenset(map(origin, own))
        self._local = threading.local()

    @contextmanager
    def open(self, url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """The answer to a GET, redirects followed, its body still to be read.

        Raises:
            RefusedError: an address on the way is not to be asked.
            requests.RequestException: there is no answer.
            TapError: no token can be had.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._ask(url, headers)
            try:
                location = answer.headers.get("Location")
                if answer.status_code not in _REDIRECTS or not location:
                    yield answer
                    return
            finally:
                answer.close()
            following = urljoin(url, location)
            if origin(url)[0] == "https" and origin(following)[0] != "https":
                msg = "it redirects from https to http"
                raise RefusedError(msg)
            url = following
        msg = "it redirects too many times"
        raise RefusedError(msg)

    def _ask(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        is_own = origin(url) in self._own
        if not is_own:
            return self._session(own=False).get(
                url, headers=dict(headers), auth=BearerAuth(), timeout=_TIMEOUT, allow_redirects=False, stream=True
            )
        for _ in range(3):
            header = self._client.auth.authorization()
            self._client.throttle.acquire()
            answer = self._session(own=True).get(
                url,
                headers=dict(headers),
                auth=BearerAuth(header),
                timeout=_TIMEOUT,
                allow_redirects=False,
                stream=True,
            )
            if answer.status_code != 401 or not self._client.auth.renew(header):
                break
            answer.close()
        if answer.status_code == 429:
            self._client.throttle.pause(retry_after(answer.headers, self._client.clock) or 1.0, refused=True)
        return answer

    def _session(self, *, own: bool) -> requests.Session:
        name = "own" if own else "other"
        session: requests.Session | None = getattr(self._local, name, None)
        if session is None:
            session = requests.Session()
            session.headers.update({"User-Agent": f"tap-amocrm/{__version__}", "Accept-Encoding": "identity"})
            if not own and not self._allow_private:
                for scheme in ("http://", "https://"):
                    session.mount(scheme, _PublicAdapter())
            setattr(self._local, name, session)
        return session


def _checked(sock: socket.socket) -> socket.socket:
    """A socket that is connected to the public internet: what a name resolves to is looked at where it counts."""
    address = str(sock.getpeername()[0])
    if is_private(address):
        sock.close()
        msg = f"it is in a private network ({address}); --allow-private-addresses permits it"
        raise PrivateAddressError(msg)
    return sock


class _PublicConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn())


class _PublicSecureConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn())


class _PublicPool(HTTPConnectionPool):
    ConnectionCls = _PublicConnection


class _PublicSecurePool(HTTPSConnectionPool):
    ConnectionCls = _PublicSecureConnection


class _PublicAdapter(HTTPAdapter):
    """Connections into a private network are closed before a request leaves. What a proxy connects to is the proxy's
    business."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make connections of our own kind."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PublicPool, "https": _PublicSecurePool}
