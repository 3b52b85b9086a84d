"""`amocrm-sim` with Nagle's algorithm off; takes the command's arguments.

Without this a client that keeps its connection and asks one request after another waits some 40 ms for each answer
(Nagle on the server's side against delayed ACK on the client's). Those who send several requests at once hardly
notice, so it would make the sequential methods look slower than they are.
"""

from __future__ import annotations

import socket
from typing import Any

from amocrm_sim.cli import main

_create_server = socket.create_server


def create_server(*args: Any, **options: Any) -> socket.socket:
    """A listening socket whose connections send at once; accepted sockets inherit the option."""
    listener = _create_server(*args, **options)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


if __name__ == "__main__":
    socket.create_server = create_server
    main()
