"""An input that does not end: what is committed when, which runs it becomes, what others can do meanwhile."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import contextmanager

import pytest

from target_crm.config.settings import Settings
from target_crm.load import parts
from target_crm.operations.session import open_session
from target_crm.operations.undo import undo
from target_crm.singer_io.messages import read_lines_and_silences
from target_crm.target import TargetCRM

RUN = "8a4c9d5e-0000-4000-8000-000000000001"


def eventually(look, seconds=20.0):
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return found


class Piped:
    """The target in a thread of this process, fed through a pipe."""

    def __init__(self, crm, **settings):
        self.crm, self.error, self.states = crm, None, []
        reading, writing = os.pipe()
        self._in, self._out = os.fdopen(reading), os.fdopen(writing, "w")
        self._target = TargetCRM(config={**crm.config, **settings})
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._target.listen(self._in)
        except BaseException as error:
            self.error = error

    def send(self, *lines):
        self._out.writelines(line + "\n" for line in lines)
        self._out.flush()

    def schema(self, stream="contacts"):
        message = json.loads(self.crm.schema_message(stream))
        message["schema"]["x-amocrm-run"] = {"tap": "tap-amocrm", "id": RUN, "start_state": None}
        self.send(json.dumps(message))

    def records(self, *records, stream="contacts"):
        self.send(*(m for m in self.crm.messages(stream, *records) if '"RECORD"' in m))

    def state(self, number, **marker):
        value = {"bookmarks": {"contacts": {"at": number}}, "amocrm_run": {"id": RUN, "complete": False, **marker}}
        self.send(json.dumps({"type": "STATE", "value": value}))

    def end(self):
        self._out.close()
        self._thread.join(30)
        assert not self._thread.is_alive()


@contextmanager
def piped(crm, monkeypatch, **settings):
    found = []
    monkeypatch.setattr("target_crm.input_load._write_state", lambda state: found.append(json.loads(state)))
    running = Piped(crm, **settings)
    running.states = found
    try:
        yield running
    finally:
        running.end()


def names(crm):
    return {row["amo_id"]: row["last_name"] for row in crm.rows("contacts")}


def has_table(crm):
    return crm.execute("SELECT to_regclass('contacts') AS found")[0]["found"] is not None


def runs(crm):
    return crm.execute("SELECT id, status, counts FROM sync_runs ORDER BY id")


def test_what_is_buffered_is_committed_after_a_second_of_silence(crm, monkeypatch):
    with piped(crm, monkeypatch) as pipe:
        pipe.schema()
        pipe.records({"id": 1, "last_name": "A"})
        pipe.state(1)
        eventually(lambda: has_table(crm) and names(crm) == {1: "A"})
        assert eventually(lambda: pipe.states)[-1]["bookmarks"]["contacts"]["at"] == 1
        assert [run["status"] for run in runs(crm)] == ["running"], "the run goes on"
        pipe.state(2, complete=True)
    assert pipe.error is None
    assert [run["status"] for run in runs(crm)] == ["succeeded"]


def test_a_state_of_a_tap_that_follows_is_committed_at_once(crm, monkeypatch):
    monkeypatch.setattr("target_crm.input_load.SILENCE_SECONDS", 60.0)
    with piped(crm, monkeypatch) as pipe:
        pipe.schema()
        pipe.records({"id": 1, "last_name": "A"})
        pipe.state(1, following=True)
        eventually(lambda: has_table(crm) and names(crm) == {1: "A"})
        eventually(lambda: [run["status"] for run in runs(crm)] == ["succeeded", "running"])
        pipe.records({"id": 1, "last_name": "B"}, {"id": 2, "last_name": "C"})
        pipe.state(2, following=True)
        eventually(lambda: names(crm) == {1: "B", 2: "C"})
        pipe.state(3, complete=True)
    assert pipe.error is None
    first, second = runs(crm)
    assert (first["status"], second["status"]) == ("succeeded", "succeeded")
    assert (first["counts"]["contacts"]["inserted"], second["counts"]["contacts"]["updated"]) == (1, 1)
    kept = crm.execute("SELECT notices FROM sync_runs ORDER BY id")
    assert [n["code"] for row in kept for n in row["notices"]] == []


def test_a_deletion_is_marked_with_the_turn_that_brings_it(crm, monkeypatch):
    with piped(crm, monkeypatch, max_deletes_percent=100) as pipe:
        pipe.schema()
        pipe.schema("deleted_records")
        pipe.records({"id": 1, "last_name": "A"}, {"id": 2, "last_name": "B"})
        pipe.state(1, following=True)
        eventually(lambda: has_table(crm) and len(names(crm)) == 2)
        gone = {"id": "e1", "entity_type": "contacts", "entity_id": 1, "deleted_at": "2026-01-02T00:00:00+00:00"}
        pipe.records({**gone, "merged_into": None, "restored_at": None}, stream="deleted_records")
        pipe.state(2, following=True)
        eventually(lambda: crm.row("contacts")["amo_deleted_at"])
        pipe.state(3, complete=True)
    assert pipe.error is None


def test_while_the_tap_is_quiet_others_undo_and_load(crm, monkeypatch):
    with piped(crm, monkeypatch) as pipe:
        pipe.schema()
        pipe.records({"id": 1, "last_name": "A"})
        pipe.state(1, following=True)
        first = eventually(lambda: has_table(crm) and len(runs(crm)) == 2 and runs(crm)[0]["id"])
        with open_session(Settings.from_config({**crm.config, "lock_timeout_seconds": 5})) as session:
            undo(session, first)
        assert names(crm) == {}
        crm.sync("contacts", {"id": 7, "last_name": "other load"}, lock_timeout_seconds=5)
        pipe.records({"id": 2, "last_name": "B"})
        pipe.state(2, following=True)
        eventually(lambda: names(crm) == {2: "B", 7: "other load"})
        pipe.state(3, complete=True)
    assert pipe.error is None


def test_an_hour_is_a_run_and_its_rejects_do_not_end_the_next_one(crm, monkeypatch):
    monkeypatch.setattr(parts, "LONGEST_RUN_SECONDS", 0.0)
    with piped(crm, monkeypatch) as pipe:
        pipe.schema()
        pipe.state(1, following=True)
        for number in range(1, 4):
            records = [{"id": number, "last_name": "A"}] if number != 2 else [{"id": "x"}, {"id": "y"}]
            pipe.records(*records)
            pipe.state(number + 1, following=True)
        eventually(lambda: has_table(crm) and set(names(crm)) == {1, 3})
        pipe.state(9, complete=True)
    assert pipe.error is None
    assert [run["status"] for run in runs(crm)] == ["succeeded", "succeeded", "failed", "succeeded", "succeeded"]
    assert len(crm.rows("sync_rejects", "id")) == 2


def test_a_tap_that_is_killed_leaves_an_incomplete_run(crm, monkeypatch):
    with piped(crm, monkeypatch) as pipe:
        pipe.schema()
        pipe.records({"id": 1, "last_name": "A"})
        pipe.state(1, following=True)
        pipe.records({"id": 2, "last_name": "B"})
    assert "end" in str(pipe.error)
    assert [run["status"] for run in runs(crm)] == ["succeeded", "incomplete"]
    assert set(names(crm)) == {1, 2}, "what came is kept"


def test_of_thousands_of_states_only_the_last_ones_stay(crm, monkeypatch):
    monkeypatch.setattr("target_crm.singer_io.released_states._LAST_KEPT", 3)
    with piped(crm, monkeypatch) as pipe:
        pipe.schema()
        pipe.records({"id": 1, "last_name": "A"})
        for number in range(1, 11):
            pipe.state(number)
        pipe.state(11, following=True)
        eventually(lambda: has_table(crm) and len(runs(crm)) == 2)
        pipe.state(12, complete=True)
    assert len(crm.execute("SELECT * FROM sync_released_states")) <= 4


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
def test_lines_are_the_same_in_whatever_pieces_they_come(step):
    reading, writing = os.pipe()
    text = "\ufeffone\n\n two \nthree".encode()

    def write():
        with os.fdopen(writing, "wb", buffering=0) as out:
            for place in range(0, len(text), step):
                out.write(text[place : place + step])
                time.sleep(0.001)

    threading.Thread(target=write).start()
    with os.fdopen(reading) as source:
        assert [line for line in read_lines_and_silences(source, 5.0) if line is not None] == [b"one", b"two", b"three"]


def test_a_silence_is_reported_as_often_as_it_lasts():
    reading, writing = os.pipe()
    with os.fdopen(reading) as source, os.fdopen(writing, "w") as out:
        lines = read_lines_and_silences(source, 0.05)
        out.write("one\ntw")
        out.flush()
        assert [next(lines), next(lines), next(lines)] == [b"one", None, None]
        out.write("o\n")
        out.flush()
        assert eventually(lambda: next(lines)) == b"two"
