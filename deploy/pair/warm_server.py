"""Forks a command from a process that has loaded it already: `warm_server.py tap-amocrm`, started by warm.py.

Loading Python, the Singer SDK and a connector is most of what a sync with nothing new costs. This process loads them
once; each run is a fork of it with its own environment, input and output, and ends like the command itself.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from importlib.metadata import entry_points

_MOST_BYTES = 1 << 20
# Standard input, output and error of a run, and where its process ID and its exit code are written.
_DESCRIPTORS = 4
# What a first run loads late is loaded here for the next ones; later runs find nothing new, as a rule.
_RUNS_THAT_TEACH = 3


def _load(command: str) -> Callable[[], object]:
    """The function behind an installed command.

    Raises:
        SystemExit: this Python has no such command.
    """
    found = list(entry_points(group="console_scripts", name=command))
    if not found:
        sys.exit(f"{sys.executable} has no command {command}.")
    function: Callable[[], object] = found[0].load()
    return function


class Server:
    """Runs of one command, each a child; ends when whoever started it closes the socket."""

    def __init__(self, command: str, requests: socket.socket) -> None:
        self.command, self.requests = command, requests
        self.function = _load(command)
        self.replies: dict[int, int] = {}
        self.lessons: dict[int, int] = {}
        self.taught = 0

    def serve(self) -> None:
        """Take requests and report ends until the socket is closed; then stop what still runs."""
        wakeup, woken = socket.socketpair()
        for end in (wakeup, woken):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        # What is loaded now never goes away: the collector of a child need not look at it, which would copy its pages.
        gc.collect()
        gc.freeze()
        with selectors.DefaultSelector() as selector:
            selector.register(self.requests, selectors.EVENT_READ)
            selector.register(wakeup, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is wakeup:
                        wakeup.recv(4096)
                        self._report_ends()
                    elif not self._take():
                        self._stop()
                        return

    def _take(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self.requests, _MOST_BYTES, _DESCRIPTORS)
        if not message:
            return False
        request = json.loads(message)
        lesson, teacher = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(lesson)
            self.requests.close()
            for descriptor in (*self.replies.values(), *self.lessons.values()):
                os.close(descriptor)
            os._exit(self._run(request, descriptors, teacher))
        os.close(teacher)
        *inherited, reply = descriptors
        for descriptor in inherited:
            os.close(descriptor)
        os.write(reply, b"%d\n" % process)
        self.replies[process], self.lessons[process] = reply, lesson
        return True

    def _run(self, request: dict[str, object], descriptors: list[int], teacher: int) -> int:
        """In the child: become the command; its exit code."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        *standard, reply = descriptors
        os.close(reply)
        for place, descriptor in enumerate(standard):
            os.dup2(descriptor, place)
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(request["environment"])  # type: ignore[call-overload]
        sys.argv = [self.command, *request["arguments"]]  # type: ignore[misc]
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - the process owns it
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        loaded = set(sys.modules)
        code = _code_of(self.function)
        if self.taught < _RUNS_THAT_TEACH:
            os.write(teacher, " ".join(set(sys.modules) - loaded).encode()[: 1 << 16])
        return code

    def _report_ends(self) -> None:
        while self.replies:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            reply, lesson = self.replies.pop(process), self.lessons.pop(process)
            os.write(reply, b"%d\n" % os.waitstatus_to_exitcode(status))
            os.close(reply)
            with os.fdopen(lesson, "rb") as modules:
                self._learn(modules.read().decode().split())

    def _learn(self, modules: list[str]) -> None:
        for name in modules:
            try:
                importlib.import_module(name)
            except Exception:  # noqa: S112 - a run that needs it will say why it can't be loaded
                continue
        if modules:
            gc.collect()
            gc.freeze()
        self.taught += 1

    def _stop(self) -> None:
        for process in self.replies:
            os.kill(process, signal.SIGTERM)
        for process in list(self.replies):
            os.waitpid(process, 0)


def _code_of(function: Callable[[], object]) -> int:
    """Run the command to its end as the interpreter would: threads, exit functions, buffers; its exit code."""
    code: object = 0
    try:
        function()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    try:
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads any more
        code = code or 1
    return code or 0


if __name__ == "__main__":
    Server(sys.argv[1], socket.socket(fileno=int(sys.argv[2]))).serve()
