"""Describes why a request got no answer, and whether a retry makes sense."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests

from tap_amocrm.errors import UnreachableError
from tap_amocrm.http.transport import LARGEST_ANSWER, AnswerTooLargeError


def hopeless(fault: requests.RequestException, url: str) -> None:
    """Give up on a host that never answered if another try would fail in the same way.

    Raises:
        UnreachableError: its name or its certificate is the reason.
    """
    host = urlsplit(url).hostname
    for cause in _causes(fault):
        if isinstance(cause, socket.gaierror):
            proxy = " or of the proxy" if isinstance(fault, requests.exceptions.ProxyError) else ""
            msg = (
                f"The address of {host}{proxy} can't be found ({cause.strerror}). Check subdomain and domain, or "
                "api_url, and the network."
            )
            raise UnreachableError(msg, host=host)
        if isinstance(cause, ssl.SSLCertVerificationError):
            msg = (
                f"The certificate of {host} is not trusted ({cause.verify_message}). Check api_url; if a proxy of "
                f"your own terminates TLS, name its certificate in REQUESTS_CA_BUNDLE."
            )
            raise UnreachableError(msg, host=host)


def is_slow(fault: requests.RequestException) -> bool:
    """Whether a try took long: the answer never arrived, arrived too slowly, or was too large."""
    if isinstance(fault, AnswerTooLargeError):
        return True
    connecting = isinstance(fault, requests.exceptions.ConnectTimeout)
    return not connecting and any(isinstance(cause, TimeoutError) for cause in _causes(fault))


def described(fault: requests.RequestException) -> str:
    """The fault in a few words, without addresses and bodies."""
    if isinstance(fault, AnswerTooLargeError):
        return f"a body of more than {LARGEST_ANSWER // 1024 // 1024} MB once unpacked"
    if is_slow(fault):
        return "an answer that takes too long; a smaller page_size makes answers shorter"
    for cause in _causes(fault):
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, requests.RequestException):
            return cause.strerror[:1].lower() + cause.strerror[1:]
    return type(fault).__name__


def _causes(fault: BaseException) -> Iterator[BaseException]:
    """An exception and all wrapped ones, from the outside inwards."""
    seen: set[int] = set()
    waiting: list[object] = [fault]
    while waiting:
        found = waiting.pop()
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [*found.args, getattr(found, "reason", None), found.__cause__, found.__context__]
