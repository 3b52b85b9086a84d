"""The rate limit counts by the time at which requests reached the machine, not by when the server got round to them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from email.utils import parsedate_to_datetime
from types import SimpleNamespace

import pytest

from amocrm_sim import arrivals
from amocrm_sim.gate import RateLimit
from amocrm_sim.testing import SimulatorServer

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux stamps what TCP receives")


def spread_over_two_seconds(sim, server):
    """Eight requests, a quarter of a second apart, while the server is stopped; their statuses once it continues."""
    host, port = sim.url.removeprefix("http://").split(":")
    connections = [socket.create_connection((host, int(port)), timeout=30) for _ in range(8)]
    os.kill(server, signal.SIGSTOP)
    try:
        for connection in connections:
            connection.sendall(b"GET /api/v4/account HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sim-token\r\n\r\n")
            time.sleep(0.25)
    finally:
        os.kill(server, signal.SIGCONT)
    answers = [connection.recv(4096).split(b" ")[1] for connection in connections]
    for connection in connections:
        connection.close()
    return answers


@linux
def test_requests_that_a_held_up_server_reads_at_once_count_by_their_arrival():
    with SimulatorServer(process=True, companies=1, rps=7) as sim:
        assert spread_over_two_seconds(sim, sim._child.pid) == [b"200"] * 8
        stats = sim.stats
    assert stats["peak"] <= 5
    assert stats["refusals"] == 0
    assert stats["latest"] > 1.5


def test_an_arrival_that_is_read_late_counts_in_its_own_second():
    limit = RateLimit(2)
    assert [limit.admits(t) for t in (10.0, 10.9, 11.5)] == [True, True, True]
    assert limit.admits(10.3)
    assert not limit.admits(10.95)


class HeldUpClocks:
    """Both clocks of a process that waits 50 ms for a processor after each of the first readings."""

    def __init__(self, pauses):
        self.elapsed, self.pauses = 0.0, pauses

    def _read(self, base):
        now = base + self.elapsed
        self.elapsed += 0.05 if self.pauses > 0 else 0.00001
        self.pauses -= 1
        return now

    def time(self):
        return self._read(1_800_000_000.0)

    def monotonic(self):
        return self._read(5_000.0)


@pytest.mark.parametrize("pauses", range(7))
def test_a_server_that_is_held_up_between_reading_two_clocks_moves_no_arrival(monkeypatch, pauses):
    wrapped = SimpleNamespace(_sock=SimpleNamespace(received=1_800_000_000.0 - 0.25))
    transport = SimpleNamespace(get_extra_info=lambda name: wrapped)
    monkeypatch.setattr(arrivals, "time", HeldUpClocks(pauses))
    assert arrivals.arrival(transport).at == pytest.approx(5_000.0 - 0.25, abs=0.001)


def seconds_off(answer):
    return parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()


def test_every_answer_bears_the_servers_clock_refusals_and_faults_too(start):
    caller = start(clock_offset=600, rps=2)
    caller.sim.control("faults", script={"2": "502"})
    answers = [caller.ask("account") for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 502, 429]
    assert all(598 < seconds_off(a) < 602 for a in answers)


def test_the_servers_clock_can_be_set_between_two_requests(start):
    caller = start()
    caller.sim.control("schedule", request=2, action="clock", body={"offset": -3600})
    first, second = caller.ask("account"), caller.ask("account")
    assert abs(seconds_off(first)) < 2
    assert -3602 < seconds_off(second) < -3598


def test_one_answer_alone_can_bear_a_wrong_date(start):
    caller = start()
    caller.sim.control("clock", dates={"2": 1800})
    assert [round(seconds_off(caller.ask("account")) / 600) for _ in range(3)] == [0, 3, 0]


BUSY = "while True: pass"


@linux
def test_the_limit_is_counted_rightly_beside_busy_processes():
    """Four processes that never pause leave the server some milliseconds here and there; a client that keeps its
    distance of a seventh of a second and a little more by the kernel's clock is never refused."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(4)]
    try:
        with SimulatorServer(process=True, companies=50, rps=7) as sim:
            host, port = sim.url.removeprefix("http://").split(":")
            question = b"GET /api/v4/contacts?limit=50 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sim-token\r\n\r\n"
            left: list[float] = []
            connections = []
            for number in range(35):
                connection = socket.create_connection((host, int(port)), timeout=60)
                # The eighth leaves only when the first of the seven is more than a second old.
                while number >= 7 and time.monotonic() < left[number - 7] + 1.002:
                    time.sleep(0.001)
                connection.sendall(question)
                left.append(time.monotonic())
                connections.append(connection)
            statuses = {connection.recv(65536).split(b" ")[1] for connection in connections}
            stats = sim.stats
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert statuses == {b"200"}
    assert stats["peak"] <= 7
    assert stats["refusals"] == 0
