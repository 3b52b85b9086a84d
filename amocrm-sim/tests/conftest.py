"""A simulator per module, and a plain HTTP session on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from amocrm_sim.testing import SimulatorServer


class Caller:
    """Plain HTTP to a simulator with its long-lived token."""

    def __init__(self, sim: SimulatorServer) -> None:
        self.sim = sim
        self.session = requests.Session()
        self.session.headers["Authorization"] = "Bearer sim-token"

    def get(self, path: str, **query: Any) -> requests.Response:
        """GET below /api/v4; a list gives repeated parameters."""
        params = {k.replace("__", "[").replace("_]", "]"): v for k, v in query.items()}
        return self.session.get(f"{self.sim.url}/api/v4/{path}", params=params, timeout=30)

    def ask(self, path: str) -> requests.Response:
        """GET below /api/v4 with the query as written."""
        return self.session.get(f"{self.sim.url}/api/v4/{path}", timeout=30)

    def records(self, path: str) -> list[dict[str, Any]]:
        """The records of one answer; none for a 204."""
        answer = self.ask(path)
        if answer.status_code == 204:
            return []
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["_embedded"].values()
        return found

    def ids(self, path: str) -> list[int]:
        """The ids of one answer."""
        return [record["id"] for record in self.records(path)]


@pytest.fixture
def start() -> Iterator[Callable[..., Caller]]:
    """Start simulators with options; all are stopped at the end."""
    running: list[SimulatorServer] = []

    def _start(**options: Any) -> Caller:
        sim = SimulatorServer(**{"companies": 20, "rps": 0, **options})
        sim.__enter__()
        running.append(sim)
        return Caller(sim)

    yield _start
    for sim in running:
        sim.__exit__(None, None, None)


@pytest.fixture(scope="module")
def api() -> Iterator[Caller]:
    """An account of 400 companies that tests only read."""
    with SimulatorServer(companies=400, customers=3, rps=0) as sim:
        yield Caller(sim)


@pytest.fixture(scope="module")
def account() -> Iterator[Caller]:
    """An account that sends all known shapes; tests only read it."""
    with SimulatorServer(companies=400, customers=60, rps=0, plain=False) as sim:
        yield Caller(sim)
