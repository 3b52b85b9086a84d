"""Pairs by Dagster itself: twenty accounts on two Celery workers, limits, retries, partitions, bookmarks, secrets;
one job of Kubernetes for each account."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import fasteners
import pytest
import yaml
from fleet import BIN, ROOT, SIZES, Fleet
from kubernetes_api import KubernetesApi

from amocrm_sim.testing import SimulatorServer

DAGSTER = ROOT / "deploy" / "dagster"
# One worker installs Dagster, once.
pytestmark = pytest.mark.xdist_group("orchestrator")


@pytest.fixture(scope="module")
def dagster():
    """Dagster's command, in a separate venv: it has many requirements, and the pair shares none of them."""
    lines = (DAGSTER / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith(("#", "dagster-webserver"))]
    executors = [re.search(rf"dagster-{name}==\d+(?:\.\d+)*", "\n".join(lines)).group() for name in ("celery", "k8s")]
    home = ROOT / ".cache" / "-".join(executors).replace("==", "-")
    command = home / "bin" / "dagster"
    home.parent.mkdir(exist_ok=True)
    with fasteners.InterProcessLock(str(home) + ".lock"):
        if not (home / "installed").exists():
            uv = str(BIN / "uv")
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, home], check=True)
            done = subprocess.run(
                [
                    uv,
                    "pip",
                    "install",
                    "--quiet",
                    "--compile-bytecode",
                    "--python",
                    home / "bin" / "python",
                    *pins,
                    *executors,
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"Dagster can't be installed here: {done.stderr[-300:]}")
            (home / "installed").touch()
    return command


class Dagster:
    """An orchestrator's home over a fleet."""

    def __init__(self, command: Path, fleet: Fleet) -> None:
        self.command, self.fleet = command, fleet
        self.home = fleet.folder / "dagster"
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join((str(BIN), str(command.parent), os.environ["PATH"])),
            "ACCOUNTS_FILE": str(fleet.folder / "accounts.yaml"),
            "DAGSTER_HOME": str(self.home),
        }

    def execute(self, *arguments, job="nightly"):
        """Run a job once; its exit code and all that it said."""
        done = subprocess.run(
            [self.command, "job", "execute", "-f", "definitions.py", "-j", job, *arguments],
            cwd=DAGSTER,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=150,
            check=False,
        )
        return done.returncode, done.stdout

    def ask(self, code):
        """What code in Dagster's Python prints."""
        done = subprocess.run(
            [self.command.parent / "python", "-c", code],
            cwd=DAGSTER,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout

    def steps(self):
        """What became of each account in the last run: status and attempts."""
        code = (
            "import json; from dagster import DagsterInstance; instance = DagsterInstance.get()\n"
            "(run,) = instance.get_runs(limit=1)\n"
            "stats = instance.get_run_step_stats(run.run_id)\n"
            "print(json.dumps({s.step_key[5:-1]: [s.status.value, s.attempts] for s in stats if '[' in s.step_key}))"
        )
        return {account: tuple(ended) for account, ended in json.loads(self.ask(code)).items()}

    @contextmanager
    def celery(self, workers):
        """Celery workers on a broker of files; the executor's settings."""
        broker = self.home / "broker"
        for name in ("queue", "control", "results"):
            (broker / name).mkdir(parents=True)
        queue = str(broker / "queue")
        transport = {"data_folder_in": queue, "data_folder_out": queue, "control_folder": str(broker / "control")}
        settings = {
            "broker": "filesystem://",
            "backend": f"file://{broker}/results",
            "config_source": {"broker_transport_options": transport, "worker_prefetch_multiplier": 1},
        }
        lines = {"broker_url": "filesystem://", "result_backend": settings["backend"], **settings["config_source"]}
        (self.home / "dagster_celery_config.py").write_text("".join(f"{k} = {v!r}\n" for k, v in lines.items()))
        command = [self.command.parent / "celery", "-A", "dagster_celery.app", "worker", "-c", "3", "-l", "info"]
        with (self.home / "workers.log").open("w") as log:
            running = [
                subprocess.Popen(
                    [*command, "-n", f"w{n}@%h"],
                    cwd=DAGSTER,
                    env={**self.environment, "PYTHONPATH": str(self.home)},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                for n in range(workers)
            ]
            try:
                yield settings
            finally:
                for each in running:
                    each.terminate()
                for each in running:
                    with suppress(subprocess.TimeoutExpired):
                        each.wait(20)
                    with suppress(ProcessLookupError):
                        os.killpg(each.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def twenty():
    """Twenty accounts under the service's limit, the seventeenth of them on a separate server."""
    small = {**SIZES, "plain": True}
    with SimulatorServer(process=True, accounts=20, **small) as sim:
        yield sim


def fleet_of(sim, database_url, folder, numbers):
    names = {f"a{n}": sim.account(n - 1) for n in numbers}
    made = Fleet(database_url, folder, names, {f"a{n}": f"sim-token-{n}" for n in numbers})
    for each in made.settings.values():
        del each["tap"]["requests_per_second"]
    return made


def test_of_twenty_accounts_on_two_celery_workers_only_those_fail_that_must_and_a_second_run_completes_them(
    dagster, twenty, database_url, tmp_path
):
    fleet = fleet_of(twenty, database_url, tmp_path, range(1, 21))
    run = Dagster(dagster, fleet)
    # The same account at an address that goes away while it is read, and later at one that stays.
    where_it_is = {"seed": 17, "account_id": 31_415_942, "token": "sim-token-17", "plain": True}
    going = SimulatorServer(process=True, rps=0, latency="200", **where_it_is, **SIZES)
    going.__enter__()
    fleet.sims["a17"] = going
    fleet.settings["a17"]["tap"] |= {"api_url": going.url, "requests_per_second": 1000}
    fleet.secret("a7", "TAP_AMOCRM_ACCESS_TOKEN", "token-that-has-expired")
    fleet.secret("a13", "TARGET_CRM_DATABASE_URL", fleet.url_of("not_made_yet"))
    leaving = threading.Thread(target=leave_after, args=(going, 8))
    leaving.start()
    healthy = [name for name in fleet.sims if name not in ("a7", "a13", "a17")]
    try:
        with run.celery(2) as settings:
            plan = {"executor": {"celery": settings}, "max_concurrent": 6, "max_retries": 0}
            fleet.write_plan(**plan)
            code, said = run.execute()
            leaving.join(10)
            assert code != 0
            steps = run.steps()
            assert {name for name, (status, _) in steps.items() if status == "FAILURE"} == {"a7", "a13", "a17"}, said[
                -3000:
            ]
            assert len(steps) == 20
            assert {name: fleet.counts(name) for name in healthy} == fleet.complete(healthy)
            bookmarks = {name: fleet.state(name) for name in healthy}
            assert max(fleet.sims[name].stats["peak"] for name in healthy) <= 7
            assert sum(fleet.sims[name].stats["refusals"] for name in healthy) == 0
            for secret in ("password-of-crm", "token-that-has-expired", "sim-token-1"):
                assert secret not in said
                assert secret not in fleet.everything_written()

            fleet.secret("a7", "TAP_AMOCRM_ACCESS_TOKEN", "sim-token-7")
            fleet.secret("a13", "TARGET_CRM_DATABASE_URL", fleet.url)
            fleet.settings["a17"]["tap"] = {**fleet.settings["a16"]["tap"], "api_url": twenty.urls[16]}
            fleet.sims["a17"] = twenty.account(16)
            fleet.write_plan(**plan)
            code, said = run.execute()
            assert code == 0, said[-3000:]
        assert {name: fleet.counts(name) for name in fleet.sims} == fleet.complete(fleet.sims)
        assert all(fleet.state(name) != bookmarks[name] for name in healthy)
        assert max(fleet.sims[name].stats["peak"] for name in fleet.sims) <= 7
        workers = {
            line.split("celery@")[-1]
            for line in (run.home / "workers.log").read_text().splitlines()
            if "ready." in line
        }
        assert len(workers) == 2
    finally:
        fleet.close()


def leave_after(sim, requests):
    """Stop a simulator once it has answered that many requests."""
    while sim.stats["requests"] < requests:
        time.sleep(0.1)
    sim.__exit__(None, None, None)


def test_an_account_whose_step_failed_is_retried_alone_and_goes_on_from_its_bookmark(
    dagster, twenty, database_url, tmp_path
):
    fleet = fleet_of(twenty, database_url, tmp_path, (1, 2))
    run = Dagster(dagster, fleet)
    try:
        fleet.secret("a1", "TARGET_CRM_DATABASE_URL", fleet.url_of(f"{fleet.database}_late"))
        fleet.write_plan(executor={"in_process": None}, max_retries=1, retry_delay_seconds=1, warm=True)
        code, said = run.execute()
        assert code != 0
        assert run.steps() == {"a1": ("FAILURE", 2), "a2": ("SUCCESS", 1)}, said[-3000:]
        assert fleet.counts("a2") == SIZES
        fleet.secret("a1", "TARGET_CRM_DATABASE_URL", fleet.url)
        contact = min(fleet.sims["a2"].truth("contacts"))
        fleet.sims["a2"].change("update", kind="contacts", ids=[contact], fields={"last_name": "Newname"})
        code, said = run.execute()
        assert code == 0, said[-3000:]
        assert fleet.rows("a2", "SELECT amo_id FROM contacts WHERE last_name = 'Newname'") == [(contact,)]
        assert fleet.counts("a1") == SIZES
        # Old runs are deleted with their events.
        fleet.write_plan(executor={"in_process": None}, keep_runs_days=1)
        listed = "from dagster import DagsterInstance as D; print(len(D.get().get_runs()))"
        assert run.ask(listed) == "2\n"
        code, said = run.execute(job="retention")
        assert code == 0, said[-3000:]
        assert "Deleted 0 runs" in said
        age = (
            "from dagster import DagsterInstance as D; import definitions as d, datetime\n"
            "class Later(datetime.datetime):\n"
            "    @classmethod\n"
            "    def now(cls, tz=None): return datetime.datetime.now(tz) + datetime.timedelta(days=2)\n"
            "d.datetime = Later\n"
            "d.retention.execute_in_process(instance=D.get())\n" + listed
        )
        assert run.ask(age).splitlines()[-1] == "1"
    finally:
        fleet.close()


def test_each_partition_runs_its_own_accounts_and_the_schedule_starts_all_partitions(
    dagster, twenty, database_url, tmp_path
):
    fleet = fleet_of(twenty, database_url, tmp_path, range(1, 21))
    run = Dagster(dagster, fleet)
    try:
        fleet.write_plan(partitions=4, executor={"in_process": None})
        shown = run.ask(
            "import definitions as d\n"
            "from dagster import build_schedule_context\n"
            "print(sorted(r.partition_key for r in d.every_night(build_schedule_context())))\n"
            "print(sorted(len(d.PLAN.partition(n)) for n in range(4)))\n"
            "print([a.name for a in d.PLAN.partition(2)])"
        )
        keys, sizes, names = shown.splitlines()
        assert keys == "['0', '1', '2', '3']"
        assert sum(yaml.safe_load(sizes)) == 20
        few = yaml.safe_load(names)[:2]
        fleet.settings = {name: fleet.settings[name] for name in [*few, "a20"]}
        fleet.write_plan(partitions=4, executor={"in_process": None})
        code, said = run.execute("--tags", '{"dagster/partition": "2"}')
        assert code == 0, said[-3000:]
        assert {name: ended for name, ended in run.steps().items() if name != "a20"} == dict.fromkeys(
            few, ("SUCCESS", 1)
        )
    finally:
        fleet.close()


def test_the_executor_of_kubernetes_makes_a_job_for_each_account_that_holds_no_secret(
    dagster, twenty, database_url, tmp_path
):
    """The jobs run as processes of this machine; how a cluster starts a pod is not seen here."""
    fleet = fleet_of(twenty, database_url, tmp_path, (1, 2))
    run = Dagster(dagster, fleet)
    mount = {"name": "secrets", "mountPath": "/etc/amocrm", "readOnly": True}
    try:
        with KubernetesApi(run.environment, tmp_path, DAGSTER) as kubernetes:
            launcher = {
                "service_account_name": "dagster",
                "instance_config_map": "dagster-instance",
                "dagster_home": str(run.home),
                "load_incluster_config": False,
                "kubeconfig_file": str(kubernetes.kubeconfig),
            }
            found = {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": launcher}
            (run.home / "dagster.yaml").write_text(
                yaml.safe_dump({"telemetry": {"enabled": False}, "run_launcher": found})
            )
            settings = {
                "job_image": "registry.example/amocrm-pair:1",
                "job_namespace": "amocrm",
                "env_vars": [f"ACCOUNTS_FILE={fleet.folder / 'accounts.yaml'}"],
                "volumes": [{"name": "secrets", "secret": {"secretName": "amocrm"}}],
                "volume_mounts": [mount],
            }
            fleet.write_plan(executor={"k8s": settings}, state_backend="database", max_retries=0)
            code, said = run.execute()
            assert code == 0, said[-3000:]
            jobs = list(kubernetes.jobs.values())
        assert run.steps() == {"a1": ("SUCCESS", 1), "a2": ("SUCCESS", 1)}
        assert {name: fleet.counts(name) for name in fleet.sims} == fleet.complete(fleet.sims)
        assert [job["namespace"] for job in jobs] == ["amocrm"] * 3
        for job in jobs:
            pod = job["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            assert container["image"] == "registry.example/amocrm-pair:1"
            assert container["args"][:3] == ["dagster", "api", "execute_step"]
            assert mount.items() <= container["volumeMounts"][-1].items()
            assert {"secretName": "amocrm"}.items() <= pod["volumes"][-1]["secret"].items()
            assert not re.search("password-of-crm|sim-token-", json.dumps(job))
    finally:
        fleet.close()
