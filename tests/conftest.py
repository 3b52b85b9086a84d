"""The whole pair as commands: a simulator, a PostgreSQL of the worker's own, a schema for each test."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from servers import server_url

from amocrm_sim.testing import SimulatorServer

BIN = Path(sys.executable).parent
_schemas = itertools.count(1)


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """A server for this worker: the one that TEST_DATABASE_URL names, or an embedded one."""
    with server_url("pair", durable=True) as url:
        yield url


class Pair:
    """One account and one schema; `sync` runs tap and target as a shell would."""

    def __init__(self, sim: SimulatorServer, url: str, schema: str, folder: Path) -> None:
        self.sim, self.folder = sim, folder
        self.schema = schema
        self.tap = {"api_url": sim.url, "access_token": "sim-token", "requests_per_second": 1000}
        self.target: dict[str, Any] = {"database_url": url, "crm_schema": schema}
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(schema)))
        self.connection.execute("SET timezone = 'UTC'")
        self.state: Path | None = None

    def _config(self, name: str, settings: dict[str, Any]) -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(settings))
        return str(path)

    def sync(self, **settings: Any) -> str:
        """Run the pair from the last state on; the tap's log. Both must end well."""
        tap = [str(BIN / "tap-amocrm"), "--config", self._config("tap", {**self.tap, **settings})]
        if self.state is not None:
            tap += ["--state", str(self.state)]
        target = [str(BIN / "target-crm"), "--config", self._config("target", self.target)]
        with (self.folder / "tap.log").open("w+") as log:
            reading = subprocess.Popen(tap, stdout=subprocess.PIPE, stderr=log)
            loaded = subprocess.run(
                target, stdin=reading.stdout, capture_output=True, text=True, timeout=300, check=False
            )
            if reading.stdout is not None:
                reading.stdout.close()  # a tap whose target gave up must not wait for it
            code = reading.wait(60)
            log.seek(0)
            text = log.read()
        assert loaded.returncode == 0, loaded.stderr[-3000:]
        assert code == 0, text[-3000:]
        states = loaded.stdout.split("\n")
        self.state = self.folder / "state.json"
        self.state.write_text([line for line in states if line][-1])
        return text

    def dump(self) -> dict[str, dict[int, dict[str, Any]]]:
        """The truth by kind and id."""
        found: dict[str, dict[int, dict[str, Any]]] = {}
        for kind, record in self.sim.dump():
            if "id" in record:
                found.setdefault(kind, {})[record["id"]] = record
        return found

    def execute(self, statement: str, *values: Any) -> list[Any]:
        """Run SQL with the schema in front."""
        cursor = self.connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def _pairs(database_url: str, folder: Path) -> Iterator[Callable[..., Pair]]:
    """A maker of pairs; at the end their simulators stop and their schemas go."""
    running: list[Pair] = []

    def make(**options: Any) -> Pair:
        sim = SimulatorServer(**{"process": True, "rps": 0, **options})
        sim.__enter__()
        made = Pair(sim, database_url, f"crm_{os.getpid()}_{next(_schemas)}", folder)
        running.append(made)
        return made

    yield make
    for made in running:
        made.sim.__exit__(None, None, None)
        made.connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(made.schema)))
        made.connection.close()


@pytest.fixture
def pair(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Pair]]:
    """Make a pair for an account with the given options."""
    with _pairs(database_url, tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def module_pair(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Pair]]:
    """The same for tests of a module that share what was synced."""
    with _pairs(database_url, tmp_path_factory.mktemp("pair")) as make:
        yield make
