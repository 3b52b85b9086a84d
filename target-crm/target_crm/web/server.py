"""Runs the review page until it is stopped."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import FrameType

import uvicorn

from target_crm.config.settings import Settings
from target_crm.errors import ConfigError
from target_crm.operations.passwords import LEAST_PASSWORD
from target_crm.web.addresses import served_origins
from target_crm.web.app import create_app
from target_crm.web.crm import Crm
from target_crm.web.protocol import DeadlineProtocol
from target_crm.web.security import Access

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Serving:
    """Where and for whom the page is served."""

    host: str = "127.0.0.1"
    port: int = 8420
    allow_remote: bool = False
    allowed_hosts: Sequence[str] = ()
    public_urls: Sequence[str] = ()
    password: str | None = None
    certificate: Path | None = None
    key: Path | None = None


def check_serving(serving: Serving) -> None:
    """Refuse what is not safe.

    Raises:
        ConfigError: another address than loopback without --allow-remote, or with a short password.
    """
    if is_loopback(serving.host):
        return
    if not serving.allow_remote:
        raise ConfigError.of("E_SERVE_REMOTE", host=serving.host)
    if serving.password is not None and len(serving.password) < LEAST_PASSWORD:
        raise ConfigError.of("E_SERVE_SHORT_PASSWORD", least=LEAST_PASSWORD)


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class _StoppedError(BaseException):
    """A signal came before the page was served."""


class _Signals:
    """What SIGTERM and Ctrl-C do. The web server ends on them by itself and then raises them again: by then they must
    do nothing, since the database is still to be closed."""

    is_serving = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.is_serving:
            raise _StoppedError


@contextmanager
def _ended_by_signals() -> Iterator[_Signals]:
    """Within it SIGTERM and Ctrl-C end what is done, as if it were finished."""
    signals = _Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, signals) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with suppress(_StoppedError):
            yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def serve(settings: Settings, serving: Serving, tell: Callable[[str], None]) -> None:
    """Serve until interrupted; `tell` gets what a person must know, first of all the address.

    Raises:
        ConfigError, DatabaseError, MappingError: it can't be started.
    """
    check_serving(serving)
    with _ended_by_signals() as signals:
        _serve(settings, serving, tell, signals)


def _serve(settings: Settings, serving: Serving, tell: Callable[[str], None], signals: _Signals) -> None:
    https = serving.certificate is not None
    with _listen(serving) as listening, Crm(settings) as crm:
        is_remote = not is_loopback(serving.host)
        if is_remote and serving.password is None and not crm.has_people():
            raise ConfigError.of("E_SERVE_NO_PASSWORD")
        port = listening.getsockname()[1]
        origins = served_origins(
            _names(serving), port, https=https, allowed=serving.allowed_hosts, public_urls=serving.public_urls
        )
        access = Access(origins, serving.password, port, remote=is_remote)
        crm.make_indexes(tell)
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(crm, access),
                http=DeadlineProtocol,
                log_level="warning",
                access_log=False,  # it would write the token down
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                timeout_graceful_shutdown=5,
                ssl_certfile=serving.certificate,
                ssl_keyfile=serving.key,
            )
        )
        shown = f"[{serving.host}]" if ":" in serving.host else serving.host
        address = f"{'https' if https else 'http'}://{shown}:{port}"
        entrance = "" if access.wants_password else f"enter?token={access.token}"
        tell(f"The review page: {address}/{entrance}")
        for url in serving.public_urls:
            tell(f"Through the proxy or tunnel: {url.rstrip('/')}/{entrance}")
        if not is_loopback(serving.host) and not https and not any(u.startswith("https:") for u in serving.public_urls):
            tell(
                "Without TLS, the password and the data can be read in transit: use --certificate, or a proxy with TLS."
            )
        tell("Ctrl-C ends it.")
        signals.is_serving = True
        server.run(sockets=[listening])


def _names(serving: Serving) -> set[str]:
    names = {*LOOPBACK}
    if serving.host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        names.add(serving.host)
    if not is_loopback(serving.host):
        names |= {socket.gethostname(), socket.getfqdn()}
    return names


def _listen(serving: Serving) -> socket.socket:
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((serving.host, serving.port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        place = {"host": serving.host, "port": serving.port, "reason": error.strerror}
        raise ConfigError.of("E_SERVE_PORT", **place) from None
    return listening
