"""When a request reached this machine, whatever the server was doing then.

A server that waits for a processor reads two requests at once that came 150 ms apart. Its own clock then counts eight
requests in a second that did not happen. Linux stamps each packet when it comes in and hands the stamp over
with the data; the rate limit counts by that. Other systems stamp datagrams only: there the server's own clock counts.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any

# <asm-generic/socket.h>; the socket module has no name for it.
_SO_TIMESTAMPNS = 35
_STAMP = struct.Struct("@qq")
_ROOM = socket.CMSG_SPACE(_STAMP.size) if hasattr(socket, "CMSG_SPACE") else 0
# A stamp further back than this is not lateness: the machine's clock was set between packet and reading.
_LONGEST_LATENESS = 60.0
# Readings of two clocks closer together than this are of one moment.
_ONE_MOMENT = 0.0002
_MOST_READINGS = 20


class StampedSocket(socket.socket):
    """A socket that keeps the kernel's stamp of what it received last; `accept` gives sockets of the same kind."""

    received: float | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection; it inherits the option from the listener."""
        descriptor, address = self._accept()  # type: ignore[attr-defined]
        connection = StampedSocket(self.family, self.type, self.proto, fileno=descriptor)
        if socket.getdefaulttimeout() is None and self.gettimeout():
            connection.setblocking(True)
        return connection, address

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive as usual, and note the stamp."""
        data, extras, _, _ = self.recvmsg(size, _ROOM, flags)
        self.received = None
        for level, kind, content in extras:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(content) == _STAMP.size:
                seconds, nanoseconds = _STAMP.unpack(content)
                self.received = seconds + nanoseconds / 1e9
        return data


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; answers leave at once, and what arrives is stamped where the system can do that."""
    listener = socket.create_server((host, port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not sys.platform.startswith("linux"):
        return listener
    stamped = StampedSocket(listener.family, listener.type, listener.proto, fileno=listener.detach())
    with contextlib.suppress(OSError):
        stamped.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    return stamped


@dataclass(frozen=True)
class Arrival:
    """When a request reached this machine, on the monotonic and on the wall clock, and how long it then waited for the
    server; seconds."""

    at: float
    wall: float
    late: float


def arrival(transport: Any) -> Arrival:
    """The arrival of the request that a connection has just read; now, where the system does not stamp it."""
    now, wall = _both_clocks()
    wrapped = transport.get_extra_info("socket") if transport is not None else None
    received = getattr(getattr(wrapped, "_sock", None), "received", None)
    late = 0.0 if received is None else float(wall - received)
    if not 0 <= late < _LONGEST_LATENESS:
        late = 0.0
    return Arrival(now - late, wall - late, late)


def _both_clocks() -> tuple[float, float]:
    """The monotonic and the wall clock of one moment.

    The server may have to wait for a processor between two readings. A pair that took long is read again, else the
    wait would move the arrival.
    """
    shortest, pair = math.inf, (0.0, 0.0)
    for _ in range(_MOST_READINGS):
        before, wall, after = time.monotonic(), time.time(), time.monotonic()
        if after - before < shortest:
            shortest, pair = after - before, (before, wall)
        if shortest < _ONE_MOMENT:
            break
    return pair
