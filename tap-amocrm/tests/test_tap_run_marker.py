"""Whether a run was complete, and from which state it started, can be read from its messages."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess

import pytest
from meltano.core.utils import merge

from tap_amocrm.singer_io.run_marker import state_digest


def marks(output):
    return [state["amocrm_run"] for state in output.states]


def test_only_the_last_state_of_a_run_that_read_everything_is_complete(start):
    output = start().run()
    assert output.messages[-1]["type"] == "STATE"
    assert [mark["complete"] for mark in marks(output)] == [False] * (len(output.states) - 1) + [True]
    assert len({mark["id"] for mark in marks(output)}) == 1


def test_two_runs_have_two_identities(start):
    tap = start()
    first = tap.run()
    assert marks(tap.run(first.state))[0]["id"] != marks(first)[0]["id"]


def test_a_run_that_cannot_begin_leaves_the_state_of_the_last_one_as_it_is(start):
    output = start().run(access_token="wrong")
    assert output.code == 1
    assert output.messages == []


def test_a_run_whose_server_goes_away_is_not_complete(start):
    tap = start(companies=200)
    tap.sim.control("faults", script={str(n): "502" for n in range(20, 2000)})
    output = tap.run(page_size=25)
    assert output.code == 1
    assert not any(mark["complete"] for mark in marks(output))


def test_a_run_that_a_signal_stops_is_not_complete(start):
    tap = start(companies=300)
    run = subprocess.Popen(
        tap.command(requests_per_second=20), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    lines = [run.stdout.readline()]
    while '"RECORD"' not in lines[-1]:
        lines.append(run.stdout.readline())
    run.send_signal(signal.SIGTERM)
    lines += run.stdout
    assert run.wait(30) == 143
    states = [json.loads(line)["value"] for line in lines if '"STATE"' in line]
    assert states
    assert not any(state["amocrm_run"]["complete"] for state in states)


def test_a_first_run_says_that_it_starts_from_nothing(start):
    output = start().run()
    told = [message["schema"]["x-amocrm-run"] for message in output.schemas]
    assert {mark["start_state"] for mark in told} == {None}
    assert {mark["tap"] for mark in told} == {"tap-amocrm"}
    assert {mark["id"] for mark in told} == {marks(output)[0]["id"]}


def test_a_state_with_nothing_but_a_marker_is_a_first_run(start):
    output = start().run({"amocrm_run": {"id": "x", "complete": False}})
    assert output.schemas[0]["schema"]["x-amocrm-run"]["start_state"] is None


def test_a_later_run_names_the_state_it_starts_from(start):
    tap = start()
    state = tap.run().state
    told = tap.run(state).schemas[0]["schema"]["x-amocrm-run"]["start_state"]
    plain = {key: value for key, value in state.items() if key != "amocrm_run"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert told == hashlib.sha256(text.encode()).hexdigest()
    assert tap.run(plain).schemas[0]["schema"]["x-amocrm-run"]["start_state"] == told


@pytest.mark.parametrize("state", [None, {}, {"amocrm_run": {"complete": True}}])
def test_an_empty_state_has_no_digest(state):
    assert state_digest(state) is None


def test_a_state_merged_into_the_one_before_is_the_same_state(start):
    """Meltano merges the state of a run that failed into the last complete one."""
    tap = start(companies=40)
    first = tap.run(page_size=25)
    tap.sim.change("update", kind="contacts", ids=[min(first.ids("contacts"))], fields={"name": "Новое"})
    second = tap.run(first.state, page_size=25)
    assert state_digest(merge(second.state, first.state)) == state_digest(second.state)
