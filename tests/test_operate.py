"""How the pair is run by cron, systemd and containers: deploy/ as it is, under the conditions that those set."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
import requests
import yaml
from psycopg import sql
from servers import with_database

from amocrm_sim.testing import SimulatorServer
from target_crm.config.settings import SETTING_NAMES as TARGET_SETTINGS

pytestmark = pytest.mark.xdist_group("operate")
ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
SYNC = DEPLOY / "amocrm-sync"
# A number that no passwd entry knows, as `docker run --user` and Kubernetes set it; it may read where our Python is
# installed, and write nowhere but where it is let.
STRANGER = 54321
AS_STRANGER = [
    "setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", "--no-new-privs",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
]  # fmt: skip
# As `docker run --read-only` does: nothing can be written to but the folder that is named first.
ON_READ_ONLY_ROOT = [
    "unshare",
    "--mount",
    "sh",
    "-c",
    'mount --bind "$0" "$0" && mount -o remount,bind,ro / && exec "$@"',
]
needs_root = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None, reason="only root may become another user"
)


class Service:
    """One account, one schema, one folder of state; `run` starts deploy/amocrm-sync as a service manager would."""

    def __init__(self, url: str, folder: Path, schema: str) -> None:
        self.folder, self.state = folder, folder / "state.json"
        self.url, self.schema = url, schema
        self.locked = folder / "read-only"
        self.locked.mkdir(mode=0o555)

    def environment(self, sim: SimulatorServer, **more: str) -> dict[str, str]:
        """All that the process knows: no home, no user."""
        return {
            "PATH": f"{BIN}:/usr/bin:/bin",
            "STATE_FILE": str(self.state),
            "TAP_AMOCRM_API_URL": sim.url,
            "TAP_AMOCRM_ACCESS_TOKEN": "sim-token",
            "TARGET_CRM_DATABASE_URL": self.url,
            "TARGET_CRM_CRM_SCHEMA": self.schema,
            **more,
        }

    def start(self, sim: SimulatorServer, *prefix: str, **more: str) -> subprocess.Popen[str]:
        """Start a sync in a folder that can't be written to."""
        return subprocess.Popen(
            [*prefix, SYNC], env=self.environment(sim, **more), cwd=self.locked, stderr=subprocess.PIPE, text=True
        )

    def run(self, sim: SimulatorServer, *prefix: str, **more: str) -> tuple[int, str]:
        """One sync: its exit code and its log."""
        started = self.start(sim, *prefix, **more)
        log = started.communicate(timeout=280)[1]
        return started.returncode, log

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Run SQL with the schema in front."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(self.schema)))
            return connection.execute(statement.encode()).fetchall()


@pytest.fixture
def service(database_url):
    folder = Path(tempfile.mkdtemp(prefix="operate"))
    schema = f"operate_{os.getpid()}_{time.monotonic_ns()}"
    if os.getuid() == 0:
        os.chown(folder, STRANGER, STRANGER)
    yield Service(database_url, folder, schema)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
    shutil.rmtree(folder)


SIZES = {"companies": 6, "contacts": 12, "leads": 6, "notes": 6, "tasks": 6}


@pytest.fixture
def account():
    with SimulatorServer(process=True, rps=0, **SIZES) as sim:
        yield sim


@needs_root
def test_an_unknown_user_without_a_home_on_a_read_only_root_syncs_and_syncs_again(service, account):
    conditions = [*ON_READ_ONLY_ROOT, str(service.folder), *AS_STRANGER]
    if subprocess.run([*ON_READ_ONLY_ROOT, str(service.folder), "true"], check=False).returncode:
        conditions = AS_STRANGER  # mounts are not allowed in this sandbox: the user alone
    code, log = service.run(account, *conditions)
    assert code == 0, log
    assert service.query("SELECT count(*) FROM contacts") == [(12,)]
    first = service.state.read_text()
    assert service.state.stat().st_uid == STRANGER
    code, log = service.run(account, *conditions)
    assert code == 0, log
    assert json.loads(service.state.read_text()) != json.loads(first)
    counts = service.query("SELECT counts->'contacts'->>'inserted' FROM sync_runs ORDER BY id")
    assert counts[0] == ("12",)
    assert counts[1] in {("0",), (None,)}
    # Nothing is left but the state and its lock.
    assert sorted(f.name for f in service.folder.iterdir()) == ["read-only", "state.json", "state.json.lock"]


def test_the_state_in_the_database_is_the_bookmark_and_no_file_is_left(service, account):
    for _ in range(2):
        code, log = service.run(account, STATE_BACKEND="database")
        assert code == 0, log
    assert service.query("SELECT from_start FROM sync_runs ORDER BY id") == [(True,), (False,)]
    assert sorted(f.name for f in service.folder.iterdir()) == ["read-only", "state.json.lock"]


def test_sigterm_ends_a_sync_within_seconds_and_the_next_one_goes_on(service):
    with SimulatorServer(process=True, rps=0, latency="400", **SIZES) as slow:
        started = service.start(slow)
        deadline = time.monotonic() + 100
        while not slow.stats["requests"] and time.monotonic() < deadline:
            time.sleep(0.1)
        started.send_signal(signal.SIGTERM)
        log = started.communicate(timeout=30)[1]
        assert started.returncode == 143, log
        assert "Stopped by a signal" in log
        assert service.query("SELECT count(*) FROM sync_runs WHERE status = 'running'") == [(0,)]
        code, log = service.run(slow)
        assert code == 0, log
    assert service.query("SELECT count(*) FROM contacts") == [(12,)]


def test_a_second_sync_with_the_same_state_does_not_start(service):
    with SimulatorServer(process=True, rps=0, latency="400", **SIZES) as slow:
        first = service.start(slow)
        deadline = time.monotonic() + 60
        while not (service.folder / "state.json.lock").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        code, log = service.run(slow)
        assert code == 75
        assert "Another sync" in log
        first.terminate()
        first.communicate(timeout=30)


def test_on_a_schedule_it_syncs_again_until_it_is_stopped(service, account):
    started = service.start(account, SYNC_EVERY="1")
    deadline = time.monotonic() + 120
    runs = [(0,)]
    while runs[0][0] < 2 and time.monotonic() < deadline:
        time.sleep(0.5)
        try:
            runs = service.query("SELECT count(*) FROM sync_runs WHERE status = 'succeeded'")
        except psycopg.errors.UndefinedTable:
            continue
    started.send_signal(signal.SIGTERM)
    started.communicate(timeout=30)
    assert started.returncode == 143
    assert runs[0][0] >= 2


def test_a_failure_of_either_half_is_an_exit_code(service, account):
    code, log = service.run(account, TAP_AMOCRM_ACCESS_TOKEN="wrong")
    assert code == 1
    assert "E_TOKEN_REFUSED" in log
    assert service.query("SELECT status FROM sync_runs") == [("failed",)]


def test_the_log_is_json_line_by_line(service, account):
    code, log = service.run(account, SINGER_SDK_LOG_CONFIG=str(DEPLOY / "log-json.yaml"))
    assert code == 0, log
    lines = [json.loads(line) for line in log.splitlines()]
    assert any("Metrics: " in line["message"] for line in lines)
    assert all(line["level"] for line in lines)


def copy_database(url, old, new):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(new)))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(new), sql.Identifier(old)))


def test_a_database_restored_from_an_older_backup_says_that_records_may_be_missing(service, account):
    given = service.url
    live, backup = f"live_{os.getpid()}", f"backup_{os.getpid()}"
    copy_database(given, "template1", live)
    service.url = with_database(given, live)
    try:
        assert service.run(account)[0] == 0
        copy_database(given, live, backup)
        contact = next(iter(account.truth("contacts")))
        account.change("update", kind="contacts", ids=[contact], fields={"first_name": "After the backup"})
        assert service.run(account)[0] == 0
        copy_database(given, backup, live)  # the database is restored, the state file is not
        code, log = service.run(account)
        assert code == 0
        assert "the sync started from a state that this database has never released" in log.lower()
        status = subprocess.run(
            [BIN / "target-crm-admin", "status", "--json"], env=service.environment(account),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(status.stdout)["gaps"]
        service.state.unlink()  # what the warning says: read everything once
        assert service.run(account)[0] == 0
        names = service.query(f"SELECT first_name FROM contacts WHERE amo_id = {contact}")
        assert names == [("After the backup",)]
        status = subprocess.run(
            [BIN / "target-crm-admin", "status", "--json"], env=service.environment(account),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert not json.loads(status.stdout)["gaps"]
    finally:
        with psycopg.connect(given, autocommit=True) as connection:
            for name in (live, backup):
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def bookmarks(state):
    return {stream: bookmark for stream, bookmark in json.loads(state)["bookmarks"].items() if bookmark}


def log_in(account, environment):
    """Allow the integration in the browser, and store its tokens."""
    allowed = {"redirect_uri": environment["TAP_AMOCRM_REDIRECT_URI"]}
    requests.get(f"{account.url}/oauth", allowed, timeout=10, allow_redirects=False)
    command = [BIN / "tap-amocrm-login", "--paste", "--api-url", account.url, "--auth-url", f"{account.url}/oauth"]
    subprocess.run(command, env=environment, input="sim-code\n", capture_output=True, text=True, check=True)


def test_a_restored_backup_with_a_spent_token_stops_with_the_remedy_and_nothing_is_missed_after_it(service, account):
    given = service.url
    live, backup = f"live_{os.getpid()}", f"backup_{os.getpid()}"
    tokens = service.folder / "private" / "tokens.json"
    oauth = {
        "TAP_AMOCRM_ACCESS_TOKEN": "",
        "TAP_AMOCRM_CLIENT_ID": "sim-client",
        "TAP_AMOCRM_CLIENT_SECRET": "sim-secret",
        "TAP_AMOCRM_REDIRECT_URI": "http://127.0.0.1:8765/",
        "TAP_AMOCRM_TOKEN_FILE": str(tokens),
    }
    environment = service.environment(account, **oauth)

    def status():
        command = [BIN / "target-crm-admin", "status", "--json"]
        return json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)

    copy_database(given, "template1", live)
    service.url = environment["TARGET_CRM_DATABASE_URL"] = with_database(given, live)
    try:
        log_in(account, environment)
        assert service.run(account, **oauth)[0] == 0
        copy_database(given, live, backup)
        kept = {file: file.read_text() for file in (service.state, tokens)}
        contact = next(iter(account.truth("contacts")))
        account.change("update", kind="contacts", ids=[contact], fields={"first_name": "After the backup"})
        account.control("expire_tokens")
        assert service.run(account, **oauth)[0] == 0  # spends the refresh token that the back-up holds
        account.control("expire_tokens")
        copy_database(given, backup, live)
        for file, text in kept.items():
            file.write_text(text)
        code, log = service.run(account, **oauth)
        assert code == 1
        (said,) = [line for line in log.splitlines() if "E_GRANT_REFUSED" in line]
        assert "run tap-amocrm-login to authorise the integration again." in said
        assert "Traceback" not in log
        runs = [outcome for (outcome,) in service.query("SELECT status FROM sync_runs ORDER BY id")]
        assert runs == ["succeeded", "failed"]
        assert bookmarks(service.state.read_text()) == bookmarks(kept[service.state])
        log_in(account, environment)
        assert service.run(account, **oauth)[0] == 0
        names = service.query(f"SELECT first_name FROM contacts WHERE amo_id = {contact}")
        assert names == [("After the backup",)]
        assert not status()["gaps"]
    finally:
        with psycopg.connect(given, autocommit=True) as connection:
            for name in (live, backup):
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(tmp_path):
    units = []
    for unit in sorted((DEPLOY / "systemd").iterdir()):
        text = unit.read_text("utf-8").replace("/opt/amocrm/bin/amocrm-sync", str(SYNC))
        text = text.replace("/opt/amocrm/bin/", f"{BIN}/")
        units.append(tmp_path / unit.name)
        units[-1].write_text(text, "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if str(tmp_path) in line]


@pytest.mark.parametrize(
    "line",
    [
        ("kubernetes-validate", "deploy/kubernetes.yaml"),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"),
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/test.yml"),
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/image.yml"),
    ],
    ids=lambda line: line[-1],
)
def test_files_fit_the_schema_of_the_tool_that_reads_them_where_one_is_installed(line):
    if shutil.which(line[0]) is None:
        pytest.skip(f"{line[0]} is not installed")
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def variables_in(text):
    return {word for word in text.replace("=", " ").replace(":", " ").split() if word.startswith("TARGET_CRM_")}


@pytest.mark.parametrize("name", ["deploy/amocrm-sync.env", "deploy/kubernetes.yaml", "compose.yaml"])
def test_the_files_set_variables_that_are_settings(name):
    found = variables_in((ROOT / name).read_text("utf-8"))
    assert found
    assert {variable.removeprefix("TARGET_CRM_").lower() for variable in found} <= set(TARGET_SETTINGS)


def test_containers_run_as_a_numeric_user_on_a_read_only_root_with_the_state_in_a_volume():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    for name in ("sync", "review"):
        assert compose["services"][name]["read_only"] is True
        assert compose["services"][name]["user"] == "54321:54321"
    (job,) = [d for d in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")) if d["kind"] == "CronJob"]
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == 54321
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    folders = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {variable["value"] for variable in container["env"] if variable["name"] == "STATE_FILE"} == {
        "/state/state.json"
    }
    assert folders == {"/state", "/tmp"}
    users = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if line.startswith("USER ")]
    assert users == ["USER 54321:54321"]
