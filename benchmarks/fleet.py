"""What a sync costs where many accounts are kept in step: commands started each time, and kept loaded by `run_pair`.

Syncs of one account with nothing new, and with a hundredth of its contacts and notes changed, the two ways in turns,
with the throttle lifted. CPU seconds are those of tap, target and PostgreSQL. Those of a VACUUM of the whole database
and of a checkpoint after each sync, which a server does far more rarely, are measured apart; so is an empty step of
Dagster, as what 40 more of them add to a job.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ours
import psutil
from harness import Account, BenchmarkError, Postgres, console, main, median_of, postgres, show, simulated_account
from scale import change

ROOT = Path(__file__).resolve().parents[1]
PAIR, DAGSTER = ROOT / "deploy" / "pair", ROOT / "deploy" / "dagster"
BIN = Path(sys.executable).parent
SIZES = {1_000: 7, 10_000: 5}
WAYS = ("started", "loaded")
FEW, MANY = 5, 45
# Takes an accounts file's first account again and again, as a worker takes accounts from its queue.
WORKER = """
import json, sys
from pathlib import Path
from accounts import read_plan
from pair import run_pair
for line in sys.stdin:
    plan = read_plan(Path(line.strip()))
    metrics = run_pair(next(iter(plan.accounts.values())), plan, lambda _: None)
    report = {"requests": metrics["requests"], "records": sum(metrics["records_by_stream"].values())}
    print(json.dumps(report), flush=True)
"""


class Worker:
    """A process that runs pairs; `sync` runs one."""

    def __init__(self, folder: Path, account: Account, database: str, *, warm: bool) -> None:
        settings = {"api_url": account.url, "requests_per_second": ours.LIFTED, "share_throttle": False}
        entry = {"tap": settings, "secrets": {"TAP_AMOCRM_ACCESS_TOKEN": "TOKEN", "TARGET_CRM_DATABASE_URL": "CRM"}}
        # JSON is YAML, too.
        self._file = folder / f"{'loaded' if warm else 'started'}.json"
        state = str(folder / self._file.stem)
        self._file.write_text(json.dumps({"warm": warm, "state_dir": state, "accounts": {"one": entry}}))
        path = os.pathsep.join((str(BIN), os.environ["PATH"]))
        given = {"PATH": path, "PYTHONPATH": str(PAIR), "TOKEN": "sim-token", "CRM": database}
        self._child = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env={**os.environ, **given},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._process = psutil.Process(self._child.pid)

    def cpu_seconds(self) -> float:
        """CPU seconds of the pairs so far: of all that this process started, not its own."""
        own = self._process.cpu_times()
        total = own.children_user + own.children_system
        for child in self._process.children():
            times = child.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
        return float(total)

    def sync(self) -> dict[str, Any]:
        """One sync: what it took."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        before, started = self.cpu_seconds(), time.perf_counter()
        self._child.stdin.write(f"{self._file}\n")
        self._child.stdin.flush()
        said = self._child.stdout.readline()
        if not said:
            raise BenchmarkError("run_pair failed; its error is above")
        seconds = time.perf_counter() - started
        return {**json.loads(said), "seconds": seconds, "pair_cpu_seconds": self.cpu_seconds() - before}

    def close(self) -> None:
        """End the process."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(30)


def syncs(contacts: int, runs: int, server: Postgres) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Syncs of both ways by step, in turns, each way with a separate database."""
    companies = contacts // 3
    sizes = {"companies": companies, "contacts": contacts, "leads": companies}
    sizes |= {"notes": 2 * contacts, "tasks": 2 * companies}
    taken: dict[str, dict[str, list[dict[str, Any]]]] = {
        step: {way: [] for way in WAYS} for step in ("nothing_new", "hundredth_changed")
    }
    with simulated_account(**sizes, rps=0) as account, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        databases = {way: server.fresh() for way in WAYS}
        workers = {way: Worker(Path(folder), account, databases[way], warm=way == "loaded") for way in WAYS}
        try:
            for worker in workers.values():
                worker.sync()
                worker.sync()
            for step, ways in taken.items():
                for _ in range(runs):
                    if step == "hundredth_changed":
                        change(account)
                    for way, found in ways.items():
                        before = server.cpu_seconds()
                        took = workers[way].sync()
                        loaded = server.cpu_seconds()
                        took["postgres_cpu_seconds"] = loaded - before
                        took["cpu_seconds"] = took["pair_cpu_seconds"] + took["postgres_cpu_seconds"]
                        server.settle(databases[way])
                        took["settle_cpu_seconds"] = server.cpu_seconds() - loaded
                        found.append({k: round(v, 3) for k, v in took.items()})
        finally:
            for worker in workers.values():
                worker.close()
        for database in databases.values():
            server.drop(database)
    return taken


def empty_step() -> float | None:
    """CPU seconds of an empty step of Dagster in one process; None where Dagster can't be installed."""
    with tempfile.TemporaryDirectory(prefix="bench-dagster-") as folder:
        home = Path(folder)
        uv = str(BIN / "uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, home / "venv"], check=True)
        pins = [p for p in (DAGSTER / "requirements.txt").read_text().splitlines() if p and not p.startswith("#")]
        wanted = [pin for pin in pins if "webserver" not in pin]
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", home / "venv/bin/python", *wanted]
        if subprocess.run(install, check=False).returncode:
            return None
        shutil.copytree(DAGSTER, home / "dagster")
        (home / "pair").mkdir()
        shutil.copy(PAIR / "accounts.py", home / "pair")
        (home / "pair/pair.py").write_text("def run_pair(*_):\n    return {}\n")
        return (_job(home, MANY) - _job(home, FEW)) / (MANY - FEW)


def _job(home: Path, steps: int) -> float:
    accounts: Mapping[str, Any] = {f"a{n}": {} for n in range(steps)}
    file = home / "accounts.json"
    file.write_text(json.dumps({"executor": {"in_process": None}, "accounts": accounts}))
    (home / f"home{steps}").mkdir()
    (home / f"home{steps}/dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    command = [home / "venv/bin/dagster", "job", "execute", "-f", "definitions.py", "-j", "nightly"]
    process = psutil.Process()
    before = process.cpu_times()
    subprocess.run(
        command,
        cwd=home / "dagster",
        env={**os.environ, "ACCOUNTS_FILE": str(file), "DAGSTER_HOME": str(home / f"home{steps}")},
        capture_output=True,
        check=True,
    )
    after = process.cpu_times()
    return float(after.children_user + after.children_system - before.children_user - before.children_system)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All sizes, then the orchestrator."""
    found: dict[str, Any] = {}
    with postgres() as server:
        for contacts, runs in ({30: 1} if options.small else SIZES).items():
            console.print(f"{contacts:,} contacts ...")
            found[str(contacts)] = syncs(contacts, runs, server)
    step = None if options.small else empty_step()
    rows = [
        [f"{int(contacts):,}, {name.replace('_', ' ')}", *(median_of(ways[way], "cpu_seconds") for way in WAYS)]
        for contacts, steps in found.items()
        for name, ways in steps.items()
    ]
    show("CPU seconds of a sync", ["contacts", "commands started each time", "commands kept loaded"], rows)
    return {"accounts": found, "empty_step_cpu_seconds": step}


if __name__ == "__main__":
    main("fleet", __doc__, measure)
