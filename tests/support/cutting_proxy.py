"""A way to a PostgreSQL that breaks off at a chosen statement, as a killed client or a cut line would.

It sits between any client and the server and knows nothing of either but the wire protocol, so a test that uses it
does not depend on how the client talks to the database.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Any
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict
from servers import connect_to

# What ends something a client asked for: Query, Sync, CopyDone.
_ENDS = b"QSc"
_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104


class CuttingProxy:
    """Listens on the loopback for the clients of one server. `url` leads through it.

    `arm(n)` cuts all connections at the n-th statement that comes from now on; with `deliver` the server still gets
    that statement, so that a COMMIT may take place of which the client never hears; with `deaf` nobody answers to new
    connections after it.
    """

    def __init__(self, url: str) -> None:
        parts = conninfo_to_dict(url)
        self._real = url
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._silent: list[socket.socket] = []
        self._left: int | None = None
        self._deliver = self._deaf = False
        self.statements = 0
        self.cut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        user, database = quote(str(parts.get("user") or "postgres")), quote(str(parts.get("dbname") or "postgres"))
        self.url = f"postgresql://{user}@127.0.0.1:{self._listener.getsockname()[1]}/{database}?gssencmode=disable"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(self, *_: Any) -> None:
        self._listener.close()
        self._shut(*self._silent)
        self._close_all()

    def arm(self, statement: int | None, *, deliver: bool = False, deaf: bool = False) -> None:
        """Cut at that statement; None lets everything through. Counts again."""
        with self._lock:
            self._left, self._deliver, self._deaf = statement, deliver, deaf
            self.cut, self.statements = False, 0

    def cut_all(self) -> None:
        """Cut what is open now; new connections get through."""
        self._close_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not (self.cut and self._deaf):
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()
            else:
                self._silent.append(client)

    def _serve(self, client: socket.socket) -> None:
        try:
            server = connect_to(self._real)
        except OSError:
            self._shut(client)
            return
        with self._lock:
            self._pairs.append((client, server))
        threading.Thread(target=self._answers, args=(server, client), daemon=True).start()
        self._questions(client, server)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        self._shut(client, server)

    def _questions(self, client: socket.socket, server: socket.socket) -> None:
        buffer, started = bytearray(), False
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                buffer += data
                started = self._forward(buffer, server, started)
        self._shut(client, server)

    def _forward(self, buffer: bytearray, server: socket.socket, started: bool) -> bool:
        """Hand on the whole messages in the buffer; whether the connection is past its start-up."""
        while True:
            head = 1 if started else 0
            if len(buffer) < head + 4:
                return started
            length = head + struct.unpack_from("!i", buffer, head)[0]
            if len(buffer) < length:
                return started
            message = bytes(buffer[:length])
            del buffer[:length]
            if started and message[0] in _ENDS and self._is_last():
                if self._deliver:
                    server.sendall(message)
                self._close_all()
                raise OSError
            server.sendall(message)
            if not started:
                started = struct.unpack_from("!i", message, 4)[0] not in (_SSL_REQUEST, _GSS_REQUEST)

    def _is_last(self) -> bool:
        with self._lock:
            self.statements += 1
            if self._left is None:
                return False
            self._left -= 1
            if self._left > 0:
                return False
            self._left, self.cut = None, True
            return True

    def _close_all(self) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self._shut(*pair)

    @staticmethod
    def _shut(*sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
