"""A simulator for each test that asks for one, and the tap's command run against it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from bent_api import BentApi

from amocrm_sim.testing import SimulatorServer
from tap_amocrm.http import client
from tap_amocrm.tap import TapAmoCRM

BIN = Path(sys.executable).parent


@dataclass
class Output:
    """What a run wrote."""

    code: int
    log: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    schemas: list[dict[str, Any]] = field(default_factory=list)
    records: dict[str, dict[int, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    read: Counter[str] = field(default_factory=Counter)
    state: dict[str, Any] | None = None

    def add(self, line: str) -> None:
        """Take in a message; the last version of a record stays."""
        message = json.loads(line)
        self.messages.append(message)
        if message["type"] == "RECORD":
            self.records[message["stream"]][message["record"]["id"]] = message["record"]
            self.read[message["stream"]] += 1
        elif message["type"] == "STATE":
            self.state = message["value"]
        elif message["type"] == "SCHEMA":
            self.schemas.append(message)

    @property
    def states(self) -> list[dict[str, Any]]:
        """The values of all STATE messages."""
        return [message["value"] for message in self.messages if message["type"] == "STATE"]

    def ids(self, stream: str) -> set[int]:
        """Ids of a stream."""
        return set(self.records[stream])


class Tap:
    """The command `tap-amocrm` with settings for a simulator; the throttle is lifted unless set otherwise."""

    def __init__(self, sim: SimulatorServer, folder: Path) -> None:
        self.sim, self.folder = sim, folder
        self.settings: dict[str, Any] = {
            "api_url": sim.url,
            "access_token": "sim-token",
            "requests_per_second": 1000,
            "token_file": str(folder / "tokens.json"),
        }

    def command(self, state: dict[str, Any] | None = None, **settings: Any) -> list[str]:
        """The command line; a setting of None is left out."""
        given = {k: v for k, v in {**self.settings, **settings}.items() if v is not None}
        config = self.folder / "config.json"
        config.write_text(json.dumps(given))
        command = [str(BIN / "tap-amocrm"), "--config", str(config)]
        if state is not None:
            path = self.folder / "state.json"
            path.write_text(json.dumps(state))
            command += ["--state", str(path)]
        return command

    def run(self, state: dict[str, Any] | None = None, *options: str, **settings: Any) -> Output:
        """Run to the end."""
        done = subprocess.run(
            [*self.command(state, **settings), *options], capture_output=True, text=True, timeout=240, check=False
        )
        output = Output(done.returncode, done.stderr)
        for line in done.stdout.split("\n"):
            if line:
                output.add(line)
        return output


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Tap]]:
    """Start an account with options; the tap for it."""
    running: list[SimulatorServer] = []

    def make(**options: Any) -> Tap:
        sim = SimulatorServer(**{"companies": 30, "rps": 0, **options})
        sim.__enter__()
        running.append(sim)
        return Tap(sim, tmp_path)

    yield make
    for sim in running:
        sim.__exit__(None, None, None)


@pytest.fixture
def bent(monkeypatch: pytest.MonkeyPatch) -> Iterator[BentApi]:
    """An account whose answers the test bends, read in this process without long waits between tries."""
    monkeypatch.setattr(TapAmoCRM, "_setup_signal_handlers", lambda self: None, raising=False)
    monkeypatch.setattr(client, "RETRIES", replace(client.RETRIES, longest=0.1))
    api = BentApi()
    yield api
    api.close()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What processes share on this machine: not in the cache folder of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
