"""Whether a run still lives is shown by its session, to every role alike."""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from target_crm.config.settings import Settings
from target_crm.load import runs
from target_crm.operations.session import UnknownError, open_session
from target_crm.operations.undo import undo
from target_crm.target import TargetCRM


@pytest.fixture
def roles(crm):
    """URLs of two roles that may load into the schema and see nothing of each other's sessions."""
    crm.load([])
    names = [f"{crm.schema}_{letter}" for letter in "ab"]
    schema = sql.Identifier(crm.schema)
    for name in names:
        role = sql.Identifier(name)
        crm.connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'geheim'").format(role))
        for what in ("SCHEMA {}", "ALL TABLES IN SCHEMA {}", "ALL SEQUENCES IN SCHEMA {}"):
            crm.connection.execute(sql.SQL("GRANT ALL ON " + what + " TO {}").format(schema, role))
    yield [f"{crm.url}&user={name}&password=geheim" for name in names]
    for name in names:
        crm.connection.execute(sql.SQL("DROP OWNED BY {}; DROP ROLE {}").format(*[sql.Identifier(name)] * 2))


class Paused:
    """Messages of which the last ones come when the test requests them."""

    def __init__(self, first):
        self.first, self.asked, self.go_on = list(first), threading.Event(), threading.Event()

    def __iter__(self):
        yield from (line + "\n" for line in self.first)
        self.asked.set()
        assert self.go_on.wait(60)

    def read(self, *_):
        raise io.UnsupportedOperation


@contextmanager
def running_load(crm, url):
    """A load of that role that has read its records and waits for more."""
    source = Paused([crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1, "last_name": "Иванов"})])
    target = TargetCRM(config={**crm.config, "database_url": url})
    load = threading.Thread(target=lambda: target.listen(source))
    load.start()
    assert source.asked.wait(60)
    yield
    source.go_on.set()
    load.join(60)


def status(crm):
    return [(r["status"], r["error"]) for r in crm.execute("SELECT status, error FROM sync_runs ORDER BY id")][1:]


def test_a_load_of_another_role_leaves_a_running_load_running(crm, roles):
    first, second = roles
    with running_load(crm, first):
        crm.load([], database_url=second)
        assert status(crm) == [("running", None), ("succeeded", None)]
    assert status(crm) == [("succeeded", None)] * 2
    assert crm.row("contacts")["last_name"] == "Иванов"


def dead_run(crm):
    """A run whose session was ended from outside before it closed its run; its number."""
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    with psycopg.connect(crm.url) as connection:
        number = runs.begin_run(connection, crm.schema, "load")
        connection.commit()
        entry = "INSERT INTO {}.sync_changes (run_id, table_name, row_id, column_name, old_value, new_value) "
        values = "SELECT %s, 'contacts', id::text, 'last_name', '\"Иванов\"', '\"Петров\"' FROM {}.contacts"
        connection.execute((entry + values).replace("{}", crm.schema).encode(), [number])
        connection.execute(f"UPDATE {crm.schema}.contacts SET last_name = 'Петров'".encode())
        connection.commit()
        crm.execute("SELECT pg_terminate_backend(%s, 5000)", connection.info.backend_pid)
    return number


def test_a_run_whose_session_is_gone_can_be_undone_at_once(crm):
    number = dead_run(crm)
    with open_session(Settings.from_config(crm.config)) as session:
        undo(session, number)
    assert crm.row("contacts")["last_name"] == "Иванов"
    assert ("interrupted", "The process ended without closing its run.") in status(crm)


def test_a_run_whose_session_lives_is_not_undone(crm):
    crm.sync("contacts", {"id": 1})
    with psycopg.connect(crm.url) as connection:
        number = runs.begin_run(connection, crm.schema, "load")
        connection.commit()
        with (
            open_session(Settings.from_config(crm.config)) as session,
            pytest.raises(UnknownError, match="still running"),
        ):
            undo(session, number)
