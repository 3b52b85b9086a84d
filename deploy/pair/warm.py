"""Keeps a command loaded and starts runs of it, each in milliseconds; POSIX only."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

_SERVER = Path(__file__).with_name("warm_server.py")


class WarmError(Exception):
    """A command can't be kept loaded; the message says which and why."""


class WarmRun:
    """One run; `pid`, `poll`, `wait`, `terminate` and `kill` are those of `subprocess.Popen`."""

    def __init__(self, reply: int) -> None:
        self._reply = os.fdopen(reply, "rb", buffering=0)
        self._heard = b""
        self.returncode: int | None = None
        while b"\n" not in self._heard:
            self._hear()
        self.pid = int(self._heard.split(b"\n")[0])

    def _hear(self) -> None:
        said = self._reply.read(64)
        if not said:  # the server itself was killed, and its runs with it
            self._heard = self._heard if b"\n" in self._heard else b"0\n"
            self._heard += b"-9\n"
            return
        self._heard += said

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, seconds; the exit code, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        while self.returncode is None:
            if self._heard.count(b"\n") >= 2:
                self.returncode = int(self._heard.split(b"\n")[1])
                self._reply.close()
                break
            if timeout is not None and not select.select([self._reply], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            self._hear()
        return self.returncode

    def _signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._signal(signal.SIGKILL)


class WarmCommand:
    """One installed command, loaded once; the runs are forks of the process that loaded it.

    The process starts with the first run, in the Python in which the command is installed, and ends with this one.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End the process and what still runs in it."""
        if self._socket is not None:
            self._socket.close()
        if self._server is not None:
            self._server.wait(30)
        self._socket = self._server = None

    @property
    def python(self) -> str | None:
        """The Python in which the command is installed; None where it is unknown."""
        found = shutil.which(self.command)
        python = Path(found).resolve().with_name("python") if found else None
        return str(python) if python is not None and python.exists() else None

    def _requests(self) -> socket.socket:
        if self._socket is None or self._server is None or self._server.poll() is not None:
            if (python := self.python) is None:
                msg = f"The command {self.command} is not on PATH, or has no Python beside it."
                raise WarmError(msg)
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._server = subprocess.Popen(  # noqa: S603
                    [python, str(_SERVER), self.command, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                )
            self._socket = ours
        return self._socket

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], stdin: int, stdout: int, stderr: int
    ) -> WarmRun:
        """Start a run with file descriptors as its standard streams.

        Raises:
            WarmError: the command is not installed, or its process died while starting.
        """
        request = json.dumps({"arguments": list(arguments), "environment": dict(environment)}).encode()
        answer, reply = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._requests(), [request], [stdin, stdout, stderr, reply])
        except OSError as error:
            os.close(answer)
            msg = f"{self.command} can't be started: {error.strerror}."
            raise WarmError(msg) from error
        finally:
            os.close(reply)
        return WarmRun(answer)
