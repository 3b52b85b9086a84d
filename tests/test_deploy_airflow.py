"""The DAG for Airflow, by Airflow itself: a task for each account, and one that fails leaves the others alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import fasteners
import pytest
from fleet import BIN, PAIR, ROOT, SIZES, Fleet

from amocrm_sim.testing import SimulatorServer

DAGS = ROOT / "deploy" / "airflow"
VERSION = "3.3.2"
pytestmark = pytest.mark.xdist_group("orchestrator")


@pytest.fixture(scope="module")
def airflow():
    """Airflow's Python, in a separate venv."""
    home = ROOT / ".cache" / f"airflow-{VERSION}"
    home.parent.mkdir(exist_ok=True)
    with fasteners.InterProcessLock(str(home) + ".lock"):
        if not (home / "installed").exists():
            uv = str(BIN / "uv")
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, home], check=True)
            wanted = [f"apache-airflow=={VERSION}", "PyYAML>=6", "filelock>=3.12"]
            done = subprocess.run(
                [uv, "pip", "install", "--quiet", "--python", home / "bin" / "python", *wanted],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"Airflow can't be installed here: {done.stderr[-300:]}")
            (home / "installed").touch()
    return home / "bin"


def test_the_dag_has_a_task_for_each_account_and_one_that_fails_leaves_the_others_alone(
    airflow, database_url, tmp_path
):
    run = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import amocrm_pairs\n"
        "(made,) = amocrm_pairs.DAGS; run = made.test()\n"
        "print(json.dumps([str(run.state), sorted((t.task_id, str(t.state)) for t in run.get_task_instances())]))"
    )
    with SimulatorServer(process=True, accounts=3, rps=0, **SIZES) as sim:
        numbers = {f"a{n}": n for n in (1, 2, 3)}
        tokens = {name: f"sim-token-{n}" for name, n in numbers.items()}
        fleet = Fleet(database_url, tmp_path, {name: sim.account(n - 1) for name, n in numbers.items()}, tokens)
        try:
            fleet.secret("a2", "TAP_AMOCRM_ACCESS_TOKEN", "wrong")
            fleet.write_plan(max_retries=0)
            environment = {
                **os.environ,
                "PATH": os.pathsep.join((str(BIN), os.environ["PATH"])),
                "ACCOUNTS_FILE": str(tmp_path / "accounts.yaml"),
                "PAIR_FOLDER": str(PAIR),
                "AIRFLOW_HOME": str(tmp_path / "airflow"),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            }
            subprocess.run([airflow / "airflow", "db", "migrate"], env=environment, capture_output=True, check=True)
            done = subprocess.run(
                [airflow / "python", "-c", run, DAGS],
                env=environment,
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
            assert done.returncode == 0, done.stderr[-3000:]
            state, tasks = json.loads(done.stdout.splitlines()[-1])
            assert state == "failed"
            expected = [["accounts", "success"], ["sync", "failed"], ["sync", "success"], ["sync", "success"]]
            assert tasks == expected
            assert {name: fleet.counts(name) for name in ("a1", "a3")} == fleet.complete(("a1", "a3"))
        finally:
            fleet.close()
