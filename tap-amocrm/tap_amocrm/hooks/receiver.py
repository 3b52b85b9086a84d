"""Receives webhooks: answers at once, believes nothing but kinds and IDs, and keeps what it does not know away."""

from __future__ import annotations

import asyncio
import hmac
import logging
import signal
import socket
from collections.abc import Callable

from tap_amocrm.errors import ConfigError
from tap_amocrm.hooks.hints import hints_of
from tap_amocrm.hooks.queue import Queue, QueueError

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import Response
    from starlette.routing import Route
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError:
    MISSING = "tap-amocrm-hooks requires additional packages: pip install 'tap-amocrm[hooks]'."
    raise ConfigError(MISSING, setting="tap-amocrm-hooks", problem="packages") from None

logger = logging.getLogger("tap-amocrm")
_MOST_BYTES = 256 * 1024
# amoCRM waits two seconds for an answer.
_SECONDS_FOR_BODY = 1.0
_FORM = "application/x-www-form-urlencoded"
_MOST_AT_ONCE = 64
# So long a connection may last: a call is short.
_SECONDS_FOR_CONNECTION = 5.0


class _TooLargeError(Exception):
    """The body is larger than any call of amoCRM."""


class Receiver:
    """The application. The last part of the path is the secret; everything else is not there.

    Args:
        queue: Where hints go.
        secret: The last part of the path.
    """

    def __init__(self, queue: Queue, secret: str) -> None:
        self._queue, self._secret = queue, secret.encode()
        self.app = Starlette(routes=[Route("/{path:path}", self._receive, methods=["POST"])])

    async def _receive(self, request: Request) -> Response:
        """One call; 5xx lets amoCRM call again."""
        given = request.path_params["path"].rpartition("/")[2].encode("utf-8", "replace")
        if not hmac.compare_digest(given, self._secret):
            return Response(status_code=404)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return Response(status_code=415)
        try:
            body = await asyncio.wait_for(_body(request), _SECONDS_FOR_BODY)
            hints = hints_of(body)
            if hints:
                await run_in_threadpool(self._queue.put, hints)
        except _TooLargeError:
            return Response(status_code=413)
        except ClientDisconnect:
            return Response(status_code=400)
        except ValueError:
            return Response(status_code=400)
        except (QueueError, TimeoutError, asyncio.TimeoutError) as error:
            logger.warning(
                "A webhook could not be stored (%s); amoCRM will send it again.", error or "it took too long"
            )
            return Response(status_code=503)
        return Response(status_code=200)


class ShortConnection(H11Protocol):
    """A connection with an end: whoever never sends a whole head would keep one of the few places for good."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Set the end."""
        super().connection_made(transport)
        self.loop.call_later(_SECONDS_FOR_CONNECTION, self._end)

    def _end(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.loop.call_later(_SECONDS_FOR_CONNECTION, self._end)
        else:
            self.transport.close()


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _MOST_BYTES:
            raise _TooLargeError
        parts.append(part)
    return b"".join(parts)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigError: the address is taken, or is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        msg = f"tap-amocrm-hooks can't listen on {host}:{port}: {error.strerror}. Give another --host or --port."
        raise ConfigError(msg, setting=["--host", "--port"], problem="in_use") from None
    return listening


def serve(receiver: Receiver, listening: socket.socket, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    server = uvicorn.Server(
        uvicorn.Config(
            receiver.app,
            http=ShortConnection,
            log_level="warning",
            access_log=False,  # it would write the secret down
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            limit_concurrency=_MOST_AT_ONCE,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=3,
        )
    )
    host, port = listening.getsockname()[:2]
    tell(f"Receiving webhooks on http://{f'[{host}]' if ':' in host else host}:{port}/.../SECRET. Ctrl-C ends it.")
    # The server ends on these signals by itself, and raises them again when it has ended: all is well then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listening])
