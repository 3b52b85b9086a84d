"""The throttle on a clock of the test's own: how many requests arrive in any second, how many in the long run."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amocrm_sim.testing import SimulatorServer
from tap_amocrm.http.rate_limit import Throttle
from tap_amocrm.http.slot_file import FileSlots


class Clock:
    """Time that passes when somebody sleeps; each sleep ends some seconds late."""

    def __init__(self, late=0.0):
        self.now, self.late = 1000.0, late

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds + self.late


def throttle_on(clock, rate=7, store=None):
    return Throttle(rate, store, clock=clock, sleep=clock.sleep)


def send(clock, throttle, before=0.0, writing=0.0):
    """One request that is held up before it is written and while it is; when it arrives at the latest."""
    throttle.acquire()
    clock.now += before
    with throttle.leaving():
        clock.now += writing
    return clock.now


def most_in_a_second(moments):
    return max(sum(1 for other in moments if m - 1 < other <= m) for m in moments)


@given(st.lists(st.tuples(st.floats(0, 0.6), st.floats(0, 0.2)), min_size=20, max_size=60), st.floats(0, 0.1))
def test_however_requests_are_held_up_no_second_sees_an_eighth(holds, late):
    clock = Clock(late)
    throttle = throttle_on(clock)
    assert most_in_a_second([send(clock, throttle, *hold) for hold in holds]) <= 7


@pytest.mark.parametrize("late", [0.0, 0.002, 0.01])
def test_threads_that_wake_up_a_little_late_lose_no_slots(late):
    clock = Clock(late)
    throttle = throttle_on(clock)
    moments = [send(clock, throttle, before=0.001, writing=0.0005) for _ in range(200)]
    assert 199 / (moments[-1] - moments[0]) >= 6.85


def test_a_machine_on_which_threads_wake_up_very_late_gets_a_wider_margin():
    clock = Clock(0.06)
    throttle = throttle_on(clock)
    for _ in range(20):
        send(clock, throttle)
    assert throttle.margin == pytest.approx(0.03, abs=0.005)


def test_what_was_not_used_is_gone():
    clock = Clock()
    throttle = throttle_on(clock)
    send(clock, throttle)
    clock.now += 30
    moments = [send(clock, throttle) for _ in range(14)]
    assert most_in_a_second(moments) <= 7
    assert min(b - a for a, b in itertools.pairwise(moments)) > 0.08


def test_a_refusal_stops_all_for_the_requested_time_and_widens_the_margin():
    clock = Clock()
    throttle = throttle_on(clock)
    send(clock, throttle)
    before, narrow = clock.now, throttle.margin
    throttle.pause(5)
    assert send(clock, throttle) >= before + 5
    assert throttle.margin > narrow


def test_throttles_on_one_file_give_out_each_slot_once(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("tap_amocrm.http.rate_limit.time.monotonic", clock)
    throttles = [throttle_on(clock, store=FileSlots(tmp_path / "slots")) for _ in range(3)]
    moments = [send(clock, throttles[n % 3]) for n in range(60)]
    assert most_in_a_second(moments) <= 7
    assert 59 / (moments[-1] - moments[0]) >= 6.85


@pytest.mark.parametrize("content", ["", "{", "[]", '{"due": 1e12}', '{"due": "x"}', "12.5"])
def test_a_file_that_was_left_behind_broken_or_by_another_boot_does_not_matter(tmp_path, content):
    (tmp_path / "slots").write_text(content)
    clock = Clock()
    throttle = throttle_on(clock, store=FileSlots(tmp_path / "slots"))
    send(clock, throttle)
    assert clock.now < 1001


SENDS = """
import sys, time
import requests
from tap_amocrm.http.slot_file import FileSlots
from tap_amocrm.http.rate_limit import Throttle
from tap_amocrm.http.transport import WireAdapter
from pathlib import Path

throttle = Throttle(7, FileSlots(Path(sys.argv[2])))
session = requests.Session()
session.mount("http://", WireAdapter(throttle.leaving))
session.headers["Authorization"] = "Bearer sim-token"
for _ in range(12):
    throttle.acquire()
    session.get(sys.argv[1] + "/api/v4/account", timeout=30)
"""


@pytest.mark.parametrize("busy", [0, 4])
def test_processes_on_one_file_share_the_limit_as_the_server_sees_it(tmp_path, busy):
    """Beside processes that never pause, too: the server counts by the kernel's time of arrival, not by its own."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        stats = three_processes(tmp_path)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert stats["requests"] == 36
    assert stats["refusals"] == 0
    assert stats["peak"] <= 7


def three_processes(tmp_path):
    """What the server counted of three processes with twelve requests each."""
    with SimulatorServer(process=True, companies=1, rps=7) as sim:
        command = [sys.executable, "-c", SENDS, sim.url, str(tmp_path / "slots")]
        running = [subprocess.Popen(command, env=os.environ) for _ in range(3)]
        assert [child.wait(60) for child in running] == [0, 0, 0]
        return sim.stats


def test_slots_in_a_file_can_be_read_by_a_person(tmp_path):
    clock = Clock()
    send(clock, throttle_on(clock, store=FileSlots(Path(tmp_path / "slots"))))
    assert json.loads((tmp_path / "slots").read_text())["left"] == [1000.0]
