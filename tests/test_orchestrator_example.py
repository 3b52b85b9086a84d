"""The orchestrator example by Dagster itself: a pair for each account, limits, retries, bookmarks, secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import fasteners
import psycopg
import pytest
import yaml
from psycopg import sql

from amocrm_sim.testing import SimulatorServer

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "orchestrator"
BIN = Path(sys.executable).parent
SIZES = {"companies": 15, "contacts": 30, "leads": 10, "notes": 40, "tasks": 20}
# One worker installs Dagster, once.
pytestmark = pytest.mark.xdist_group("orchestrator")


@pytest.fixture(scope="module")
def dagster():
    """Dagster's command, in a venv of its own: it has many requirements, and the pair shares none of them."""
    (pinned,) = [x for x in (EXAMPLE / "requirements.txt").read_text().splitlines() if x.startswith("dagster==")]
    home = ROOT / ".cache" / pinned.replace("==", "-")
    command = home / "bin" / "dagster"
    home.parent.mkdir(exist_ok=True)
    with fasteners.InterProcessLock(str(home) + ".lock"):
        if not (home / "installed").exists():
            uv = str(BIN / "uv")
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, home], check=True)
            done = subprocess.run(
                [uv, "pip", "install", "--quiet", "--python", home / "bin" / "python", pinned, "PyYAML>=6"],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"Dagster can't be installed here: {done.stderr[-300:]}")
            (home / "installed").touch()
    return command


class Fleet:
    """Two accounts, each with a database of its own, and an orchestrator's home."""

    def __init__(self, dagster: Path, url: str, folder: Path, sims: dict[str, SimulatorServer]) -> None:
        self.dagster, self.folder, self.sims = dagster, folder, sims
        self.admin = psycopg.connect(url, autocommit=True)
        parts = urlsplit(url)
        self.databases = {name: f"fleet_{os.getpid()}_{name}" for name in sims}
        urls = {
            name: urlunsplit((parts.scheme, "postgres:password-of-crm@", f"/{database}", *parts[3:]))
            for name, database in self.databases.items()
        }
        self.secrets = {f"CRM_{n.upper()}": u for n, u in urls.items()}
        self.secrets |= {f"TOKEN_{n.upper()}": f"token-of-{n}" for n in sims}

    def create_database(self, account: str) -> None:
        """Until then loads of that account fail."""
        self.admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.databases[account])))

    def rows(self, account: str, query: str) -> list[tuple[object, ...]]:
        """What an account's CRM holds."""
        with psycopg.connect(self.secrets[f"CRM_{account.upper()}"]) as connection:
            return connection.execute(query.encode()).fetchall()

    def counts(self, account: str) -> dict[str, object]:
        """Rows by table."""
        return {table: self.rows(account, f"SELECT count(*) FROM crm.{table}")[0][0] for table in SIZES}

    def environment(self, **plan: object) -> dict[str, str]:
        """What the example's commands get; writes the accounts file."""
        accounts = {
            name: {
                "secrets": {
                    "TAP_AMOCRM_ACCESS_TOKEN": f"TOKEN_{name.upper()}",
                    "TARGET_CRM_DATABASE_URL": f"CRM_{name.upper()}",
                },
                "tap": {"api_url": sim.url, "requests_per_second": 1000, "share_throttle": False},
            }
            for name, sim in self.sims.items()
        }
        file = self.folder / "accounts.yaml"
        file.write_text(yaml.safe_dump({**plan, "accounts": accounts}))
        home = self.folder / "dagster"
        home.mkdir(exist_ok=True)
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        path = os.pathsep.join((str(BIN), str(self.dagster.parent), os.environ["PATH"]))
        given = {"PATH": path, "ACCOUNTS_FILE": str(file), "DAGSTER_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
        return {**os.environ, **self.secrets, **given}

    def run(self, on_line: Callable[[str], None] = lambda _: None, **plan: object) -> tuple[int, str]:
        """Run the job once; its exit code and all that it said."""
        running = subprocess.Popen(
            [self.dagster, "job", "execute", "-f", "definitions.py", "-j", "nightly"],
            cwd=EXAMPLE,
            env=self.environment(**plan),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert running.stdout is not None
        said: list[str] = []
        for line in running.stdout:
            said.append(line)
            on_line(line)
        return running.wait(60), "".join(said)

    def run_pair(self, account: str, code: str = "run_pair(plan.accounts[name], plan.accounts, plan.state_dir)") -> str:
        """The pair alone, without Dagster; what it said."""
        script = (
            "import os, sys\nfrom pathlib import Path\nfrom filelock import FileLock\nfrom pair import *\n"
            "plan, name = read_plan(Path(os.environ['ACCOUNTS_FILE'])), sys.argv[1]\n" + code
        )
        done = subprocess.run(
            [self.dagster.parent / "python", "-c", script, account],
            cwd=EXAMPLE,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout + done.stderr

    def state(self, account: str) -> str:
        """An account's bookmark."""
        return (self.folder / "state" / f"{account}.json").read_text()

    def span(self, account: str) -> tuple[float, float]:
        """When the account's first and last requests came."""
        seen = [r["wall"] for r in self.sims[account].requests]
        return min(seen), max(seen)

    def everything_written(self) -> str:
        """Every file that a run left: Dagster's events and logs, bookmarks, metrics."""
        files = [p for p in self.folder.rglob("*") if p.is_file()]
        assert len(files) > 3
        return "".join(p.read_bytes().decode("utf-8", "replace") for p in files)


@pytest.fixture
def fleet(dagster, database_url, tmp_path):
    sims = {
        name: SimulatorServer(process=True, rps=0, seed=seed, token=f"token-of-{name}", **SIZES)
        for seed, name in enumerate(("north", "south"), 1)
    }
    for sim in sims.values():
        sim.__enter__()
    made = Fleet(dagster, database_url, tmp_path, sims)
    yield made
    for sim in sims.values():
        sim.__exit__(None, None, None)
    for database in made.databases.values():
        made.admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
    made.admin.close()


def test_dagster_runs_a_pair_for_each_account_retries_the_one_that_fails_and_goes_on_from_the_bookmarks(fleet):
    fleet.create_database("south")

    def repair(line: str) -> None:
        if "STEP_UP_FOR_RETRY" in line:
            fleet.create_database("north")

    code, said = fleet.run(repair, max_concurrent=2, max_retries=1, retry_delay_seconds=5)
    assert code == 0, said[-3000:]
    assert "target-crm of account north ended with code 1" in said
    assert said.count("STEP_RESTARTED") == 1
    assert {account: fleet.counts(account) for account in fleet.sims} == dict.fromkeys(fleet.sims, SIZES)
    for secret in ("password-of-crm", "token-of-north", "token-of-south"):
        assert secret not in said
        assert secret not in fleet.everything_written()

    contact = min(fleet.sims["south"].truth("contacts"))
    fleet.sims["south"].change("update", kind="contacts", ids=[contact], fields={"last_name": "Newname"})
    before = fleet.state("south")
    first_sync = {account: sim.stats["requests"] for account, sim in fleet.sims.items()}
    for sim in fleet.sims.values():
        sim.reset()
    code, said = fleet.run(max_concurrent=1)
    assert code == 0, said[-3000:]
    assert fleet.rows("south", "SELECT amo_id FROM crm.contacts WHERE last_name = 'Newname'") == [(contact,)]
    assert fleet.state("south") != before
    assert all(sim.stats["requests"] < first_sync[account] for account, sim in fleet.sims.items())
    # One at a time: the accounts' requests do not mix.
    earlier, later = sorted(fleet.span(account) for account in fleet.sims)
    assert earlier[1] < later[0]


def test_a_pair_alone_tells_which_half_failed_and_why_without_the_secret(fleet):
    fleet.create_database("north")
    fleet.secrets["TOKEN_NORTH"] = "token-that-has-expired"
    said = fleet.run_pair("north")
    assert "tap-amocrm of account north ended with code 1" in said
    assert "amoCRM refuses the token" in said
    assert "token-that-has-expired" not in said


def test_an_environment_without_the_token_is_one_message(fleet):
    del fleet.secrets["TOKEN_NORTH"]
    assert "The environment variable TOKEN_NORTH of account north is not set." in fleet.run_pair("north")


def test_a_pair_sees_its_own_secrets_and_no_other_accounts(fleet):
    show = "print(sorted(environment(plan.accounts[name], plan.accounts, Path('m')).values()))"
    said = fleet.run_pair("north", show)
    assert "token-of-north" in said
    assert "token-of-south" not in said


def test_a_second_run_of_an_account_on_the_same_machine_is_refused(fleet):
    code = (
        "plan.state_dir.mkdir()\nwith FileLock(plan.state_dir / f'{name}.lock'):\n"
        "    run_pair(plan.accounts[name], plan.accounts, plan.state_dir)"
    )
    assert "Another run of account north is under way." in fleet.run_pair("north", code)


def test_an_entry_that_is_wrong_is_named(fleet):
    file = fleet.folder / "wrong.yaml"
    file.write_text("accounts: {north: {token: x}}")
    said = fleet.run_pair("north", f"read_plan(Path({str(file)!r}))")
    assert "account north" in said
    assert "it takes secrets, tap, target" in said
