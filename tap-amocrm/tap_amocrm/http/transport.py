"""Connections that report to the throttle when a request is written, and time limits for whole answers.

Steps before the write, such as TLS, take time. The timeouts of `requests` apply to each read, so a server that sends a
byte a second would never exceed them.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

# Maximum seconds from an answer's first byte to its last, and the minimum rate (bytes a second) after some of them.
LONGEST_ANSWER = 120.0
_BEFORE_PACE = 15.0
_SLOWEST_PACE = 1024
# Maximum size of an unpacked answer: 250 of the longest notes with every letter escaped are smaller.
LARGEST_ANSWER = 128 * 1024 * 1024
_CHUNK = 16_384


class AnswerTooLargeError(requests.RequestException):
    """An answer's body is larger than LARGEST_ANSWER."""


class WireAdapter(HTTPAdapter):
    """An adapter for `requests` that enters `leaving` around the writing of a request to an open connection.

    An answer that takes too long ends as if its connection had timed out.
    """

    def __init__(self, leaving: Callable[[], AbstractContextManager[None]]) -> None:
        self._pools = _pools(leaving)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create connections of our own class."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """The same through a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


class BearerAuth(requests.auth.AuthBase):
    """A request's `Authorization`, None for none. A request with this header never gets one from ~/.netrc."""

    def __init__(self, header: str | None = None) -> None:
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the header."""
        request.headers.pop("Authorization", None)
        if self._header is not None:
            request.headers["Authorization"] = self._header
        return request


def read_body(answer: requests.Response) -> bytes:
    """The body of an answer that was asked for with `stream=True`, unpacked.

    Raises:
        AnswerTooLargeError: the answer is larger than LARGEST_ANSWER; no more than that is kept in memory.
        requests.RequestException: the body can't be read to its end.
    """
    body = bytearray()
    try:
        for chunk in answer.iter_content(_CHUNK):
            body += chunk
            if len(body) > LARGEST_ANSWER:
                raise AnswerTooLargeError
    except BaseException:
        answer.close()
        raise
    return bytes(body)


class _Paced(io.RawIOBase):
    """The received data of a connection; raises TimeoutError for an answer that is too slow as a whole."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._begun: float | None = None
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._begun is None:
            count = self._raw.readinto(buffer)
            self._begun = time.monotonic()
        else:
            took = time.monotonic() - self._begun
            if took > LONGEST_ANSWER or (took - _BEFORE_PACE) * _SLOWEST_PACE > self._bytes:
                msg = "the answer is too slow"
                raise TimeoutError(msg)
            count = self._raw.readinto(buffer)
        self._bytes += count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PacedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Paced(self.fp.detach()))


def _pools(leaving: Callable[[], AbstractContextManager[None]]) -> dict[str, type[HTTPConnectionPool]]:
    class PlainConnection(HTTPConnection):
        response_class = _PacedResponse

        def endheaders(self, *args: Any, **kwargs: Any) -> None:
            if self.sock is None:
                self.connect()
            with leaving():
                super().endheaders(*args, **kwargs)

    class TlsConnection(HTTPSConnection):
        response_class = _PacedResponse

        def endheaders(self, *args: Any, **kwargs: Any) -> None:
            if self.sock is None:
                self.connect()
            with leaving():
                super().endheaders(*args, **kwargs)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = TlsConnection

    return {"http": PlainPool, "https": TlsPool}
