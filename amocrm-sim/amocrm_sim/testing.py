"""For tests: a simulator in a thread of this process, or in a separate process, with its controls as methods."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

from amocrm_sim.app import Simulator
from amocrm_sim.cli import build_all, serve, server_of


class SimulatorServer:
    """`with SimulatorServer(companies=50, rps=0) as sim:` - options as those of `amocrm-sim serve`.

    `process=True` starts the command instead of a thread. Of several `accounts` each has its own of `urls`; `url` and the
    controls are those of the first, `account(n)` gives another.
    """

    def __init__(self, *, process: bool = False, **options: Any) -> None:
        defaults = serve.make_context("serve", []).params
        unknown = set(options) - set(defaults)
        if unknown:
            msg = f"unknown options: {', '.join(sorted(unknown))}"
            raise TypeError(msg)
        self.given = options
        self.options = {**defaults, **options}
        self.process = process
        self.url = ""
        self.urls: list[str] = []
        self.simulator: Simulator | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> SimulatorServer:
        if self.process:
            self._start_process()
        else:
            self._start_thread()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(10)
        if self._child is not None:
            self._child.terminate()
            self._child.wait(10)

    def _start_thread(self) -> None:
        accounts, sockets = build_all(self.options, "127.0.0.1", 0)
        self.simulator = next(iter(accounts.by_port.values()))
        self.urls = [f"http://127.0.0.1:{port}" for port in accounts.by_port]
        self.url = self.urls[0]
        self._server = server_of(accounts, "critical")
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": sockets}, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def _start_process(self) -> None:
        ready = Path(tempfile.mkdtemp()) / "url"
        command = [sys.executable, "-m", "amocrm_sim", "serve", "--port", "0", "--ready-file", str(ready)]
        for name, value in self.given.items():
            flag = "--" + name.replace("_", "-")
            if name == "plain":
                command.append("--plain" if value else "--unkind")
            elif value is True:
                command.append(flag)
            elif value is not False:
                command += [flag, str(value)]
        self._child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(600):
            if ready.exists():
                break
            if self._child.poll() is not None:
                msg = "the simulator did not start"
                raise RuntimeError(msg)
            time.sleep(0.05)
        self.urls = ready.read_text().splitlines()
        self.url = self.urls[0]

    def account(self, number: int) -> SimulatorServer:
        """The controls of the account of that number (from 0); it runs as long as this server does."""
        one = SimulatorServer(**self.given)
        one.url, one.urls = self.urls[number], [self.urls[number]]
        return one

    def control(self, name: str, /, **body: Any) -> Any:
        """Call a control endpoint; without a body it is a GET."""
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"{self.url}/_sim/{name}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def change(self, action: str, **body: Any) -> Any:
        """create, update, delete, restore, merge or link."""
        return self.control(action, **body)

    def dump(self, *kinds: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The truth: pairs of kind and record."""
        query = f"?kind={','.join(kinds)}" if kinds else ""
        with urllib.request.urlopen(f"{self.url}/_sim/dump{query}", timeout=60) as answer:
            for line in answer:
                entry = json.loads(line)
                yield entry["kind"], entry["record"]

    def truth(self, kind: str) -> dict[int, dict[str, Any]]:
        """The records of one kind by id."""
        return {record["id"]: record for _, record in self.dump(kind)}

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Every API request since the start or the last reset."""
        result: list[dict[str, Any]] = self.control("requests")
        return result

    @property
    def stats(self) -> dict[str, Any]:
        """Totals of requests, the peak in any second, refusals."""
        result: dict[str, Any] = self.control("stats")
        return result

    def reset(self) -> None:
        """Forget the requests."""
        self.control("reset_requests", now=True)
