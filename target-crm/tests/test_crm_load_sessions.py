"""A load's sessions: fewer than wanted, closed while idle, taken over by others meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cutting_proxy import CuttingProxy
from psycopg import sql

COMMAND = str(Path(sys.executable).parent / "target-crm")


@pytest.fixture
def alone(crm):
    """A role that may have one connection, and owns the schema."""
    role = f"alone_{crm.schema}"
    name = crm.execute("SELECT current_database() AS name")[0]["name"]
    statements = "CREATE ROLE {role} LOGIN CONNECTION LIMIT 1; GRANT CREATE, TEMPORARY ON DATABASE {name} TO {role}"
    crm.connection.execute(sql.SQL(statements).format(role=sql.Identifier(role), name=sql.Identifier(name)))
    yield f"{crm.url}&user={role}"
    crm.connection.execute(sql.SQL("DROP OWNED BY {role} CASCADE; DROP ROLE {role}").format(role=sql.Identifier(role)))


def test_a_role_with_one_connection_loads_over_one(crm, alone):
    records = [{"id": n, "last_name": "а"} for n in range(1, 2500)]
    assert crm.sync("contacts", *records, database_url=alone, parallel_merges=4)["inserted"] == 2499
    changed = [{**record, "last_name": "б"} for record in records]
    assert crm.sync("contacts", *changed, database_url=alone, parallel_merges=4)["updated"] == 2499


class Slow:
    """The real command on an open pipe: it takes what it is given and waits for more."""

    def __init__(self, crm, **settings):
        self.crm = crm
        config = Path(crm.folder) / f"config-{time.monotonic_ns()}.json"
        config.write_text(json.dumps({**crm.config, "batch_size_rows": 1, **settings}))
        self.process = subprocess.Popen(
            [COMMAND, "--config", config],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def say(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def load(self, *identities):
        """Give it contacts, and wait until they are there."""
        self.say(self.crm.schema_message("contacts"), *self.crm.messages("contacts", *({"id": n} for n in identities)))
        wanted = len(identities)
        self.wait(f"SELECT 1 FROM contacts WHERE amo_id = ANY('{set(identities)}') HAVING count(*) = {wanted}")

    def wait(self, query, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.stderr.read()
            if self.crm.execute("SELECT to_regclass('contacts') AS found")[0]["found"] and self.crm.execute(query):
                return
            time.sleep(0.05)
        raise AssertionError(query)

    def end(self):
        """Close its input; the exit code and the log."""
        self.process.stdin.close()
        log = self.process.stderr.read()
        return self.process.wait(60), log


def end_sessions(crm):
    """What a firewall or `idle_session_timeout` does; returns when the sessions are gone."""
    mine = "application_name LIKE 'target-crm%' AND datname = current_database()"
    for row in crm.execute(f"SELECT pid FROM pg_stat_activity WHERE {mine}"):
        crm.execute("SELECT pg_terminate_backend(%s, 5000)", row["pid"])


def account_locks(crm, schema):
    name = f"target-crm:{schema}:77"
    query = (
        "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
        "AND (classid::bigint << 32) | objid::bigint = hashtextextended(%s, 0)"
    )
    return crm.execute(query, name)[0]["n"]


def test_sessions_that_were_closed_while_idle_are_opened_again_with_the_lock_of_the_account(crm):
    crm.load([])
    slow = Slow(crm)
    slow.load(1, 2)
    time.sleep(0.3)
    end_sessions(crm)
    assert account_locks(crm, crm.schema) == 0
    slow.load(3, 4)
    assert account_locks(crm, crm.schema) == 1
    code, log = slow.end()
    assert code == 0, log
    assert "idle connections had been closed" in log
    assert [r["amo_id"] for r in crm.rows("contacts")] == [1, 2, 3, 4]
    runs = crm.execute("SELECT status, error FROM sync_runs ORDER BY id")
    assert runs[-1] == {"status": "succeeded", "error": None}


def test_a_load_that_lost_its_session_stops_when_another_has_worked_on_the_account_since(crm):
    crm.load([])
    slow = Slow(crm)
    slow.load(1, 2)
    time.sleep(0.3)
    end_sessions(crm)
    crm.sync("contacts", {"id": 1, "last_name": "другая загрузка"})
    slow.say(*crm.messages("contacts", {"id": 3}, {"id": 4}, {"id": 5}))
    code, log = slow.end()
    assert code == 1
    assert "has worked on the same account since" in log
    assert "Traceback" not in log
    assert [r["amo_id"] for r in crm.rows("contacts")] == [1, 2]
    assert crm.execute("SELECT status FROM sync_runs ORDER BY id DESC LIMIT 2 OFFSET 0") == [
        {"status": "succeeded"},
        {"status": "failed"},
    ]


def test_a_line_that_is_cut_while_the_load_waits_is_made_again(crm):
    crm.load([])
    with CuttingProxy(crm.url) as proxy:
        slow = Slow(crm, database_url=proxy.url)
        slow.load(1, 2)
        time.sleep(0.3)
        proxy.cut_all()
        slow.load(3, 4)
        code, log = slow.end()
    assert code == 0, log
    assert [r["amo_id"] for r in crm.rows("contacts")] == [1, 2, 3, 4]


def test_a_run_whose_session_is_ended_in_the_middle_of_its_work_is_closed_as_failed(crm):
    crm.load([])
    crm.execute(
        f"CREATE FUNCTION {crm.schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN new; END$$; "
        f"CREATE TRIGGER refuse BEFORE INSERT ON contacts EXECUTE FUNCTION {crm.schema}.refuse()"
    )
    slow = Slow(crm, parallel_merges=1)
    slow.say(crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1}, {"id": 2}))
    code, log = slow.end()
    assert code == 1
    assert "Traceback" not in log
    assert crm.execute("SELECT status FROM sync_runs ORDER BY id DESC LIMIT 1") == [{"status": "failed"}]
