"""The pair as a service that follows: deploy/amocrm-sync with `follow`, killed in the middle, stopped and started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from amocrm_sim.testing import SimulatorServer

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


class Service:
    """deploy/amocrm-sync, as amocrm-follow.service starts it."""

    def __init__(self, sim, url, schema, folder):
        self.sim, self.folder, self.schema = sim, folder, schema
        self.connection = psycopg.connect(url, autocommit=True)
        self.environment = {
            "PATH": f"{BIN}:/usr/bin:/bin",
            "STATE_FILE": str(folder / "state.json"),
            "TAP_AMOCRM_API_URL": sim.url,
            "TAP_AMOCRM_ACCESS_TOKEN": "sim-token",
            "TAP_AMOCRM_REQUESTS_PER_SECOND": "100",
            "TAP_AMOCRM_FOLLOW": "true",
            "TARGET_CRM_DATABASE_URL": url,
            "TARGET_CRM_CRM_SCHEMA": schema,
        }

    def start(self):
        log = (self.folder / "log").open("ab")
        command = ROOT / "deploy" / "amocrm-sync"
        self.process = subprocess.Popen([command], env=self.environment, cwd=self.folder, stderr=log)

    def kill_tap(self):
        (tap,) = [c for c in psutil.Process(self.process.pid).children() if "tap-amocrm" in " ".join(c.cmdline())]
        tap.kill()

    def query(self, statement, *values):
        self.connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(self.schema)))
        try:
            return self.connection.execute(statement, values).fetchall()
        except psycopg.errors.UndefinedTable:
            return []

    def wait_for(self, statement, *values, seconds=40.0):
        end = time.monotonic() + seconds
        while not (found := self.query(statement, *values)):
            assert time.monotonic() < end, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.05)
        return found

    def rename(self, contact, name):
        self.sim.change("update", kind="contacts", ids=[contact], fields={"name": name, "last_name": name})


@pytest.fixture
def service(database_url, tmp_path):
    schema = f"follow_{os.getpid()}"
    with SimulatorServer(companies=10, rps=0) as sim:
        running = Service(sim, database_url, schema, tmp_path)
        yield running
        if running.process.poll() is None:
            running.process.kill()
        running.connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
        running.connection.close()


def test_a_service_that_is_killed_and_stopped_misses_nothing(service):
    service.start()
    service.wait_for("SELECT 1 FROM sync_runs WHERE status = 'succeeded'")
    first, second, third, gone = list(service.sim.truth("contacts"))[:4]
    service.rename(first, "while it follows")
    service.wait_for("SELECT 1 FROM contacts WHERE amo_id = %s AND last_name = 'while it follows'", first)

    service.rename(second, "right before the kill")
    service.kill_tap()
    assert service.process.wait(30) == 1
    service.rename(third, "while nothing runs")
    service.sim.change("delete", kind="contacts", ids=[gone])

    service.start()
    for contact, name in ((second, "right before the kill"), (third, "while nothing runs")):
        service.wait_for("SELECT 1 FROM contacts WHERE amo_id = %s AND last_name = %s", contact, name)
    service.wait_for("SELECT 1 FROM contacts WHERE amo_id = %s AND amo_deleted_at IS NOT NULL", gone)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 143
    statuses = [row[0] for row in service.query("SELECT status FROM sync_runs ORDER BY id")]
    assert statuses == ["succeeded", "incomplete", "succeeded", "succeeded"]
    assert service.query("SELECT count(*) FROM contacts WHERE amo_id IS NULL") == [(0,)]
