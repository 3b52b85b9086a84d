"""Several processes on one token file, and processes that are killed while they renew."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from survived import survived

from tap_amocrm.auth.token_store import TokenStore

# Imports once and forks for each line on its standard input: a process that renews its token that many times. A second
# number kills it at that many lines of token_store.py, counted from the first renewal.
RENEWING = """
import os, signal, sys, requests
from tap_amocrm.auth.oauth import from_config
url, file = sys.argv[1:]
config = {"client_id": "i", "client_secret": "s", "redirect_uri": "http://127.0.0.1/", "token_file": file,
          "refresh_token": "first"}
def post(url, body):
    return requests.post(url, json={**body, "pid": os.getpid()}, timeout=10)
def trace(frame, event, arg):
    global lines
    if frame.f_code.co_filename.endswith("token_store.py"):
        lines -= event == "line"
        if lines == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
for given in sys.stdin:
    times, lines = map(int, given.split())
    pid = os.fork()
    if pid == 0:
        auth = from_config(config, url, post)
        header = auth.authorization()
        sys.settrace(trace if lines else None)
        for _ in range(times):
            auth.renew(header)
            header = auth.authorization()
        os._exit(0)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


class KillingEndpoint:
    """A token endpoint that kills the process that asks, at a moment of the exchange: see `moments`.

    The token before is answered once more with the same tokens, as some accounts do; older ones are not.
    """

    moments = ("asked", "spent", "answered", "soon after")

    def __init__(self):
        self.issued = ["first"]
        self.refused, self.killed, self.asked = [], set(), Counter()
        self.moment, self.request = "", 0
        self._random = random.Random(7)
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.asked[body["pid"]] += 1
                with suppress(OSError):
                    endpoint.answer(self, body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, handler, body):
        if self.kill("asked", body):
            return
        status, tokens = self.exchange(body["refresh_token"])
        if self.kill("spent", body):
            return
        handler.send_response(status)
        handler.end_headers()
        handler.wfile.write(json.dumps(tokens).encode())
        handler.wfile.flush()
        handler.connection.close()
        self.kill("answered", body)
        self.kill("soon after", body)

    def kill(self, moment, body):
        """Kill at the chosen request; what a killed process had sent before is not a reason to kill another."""
        if moment != self.moment or body["pid"] in self.killed or self.asked[body["pid"]] != self.request:
            return False
        self.killed.add(body["pid"])
        if moment == "soon after":
            # Anywhere in the writing, the renaming, or the next request.
            time.sleep(self._random.uniform(0, 0.008))
        os.kill(body["pid"], signal.SIGKILL)
        return True

    def exchange(self, token):
        if token == self.issued[-1]:
            self.issued.append(f"refresh-{len(self.issued)}")
        elif token not in self.issued[-2:]:
            self.refused.append(token)
            return 401, {"hint": "Token has been revoked"}
        return 200, {"access_token": f"access-{self.issued[-1]}", "refresh_token": self.issued[-1], "expires_in": 86400}


@pytest.fixture
def endpoint():
    served = KillingEndpoint()
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.fixture
def renewing(endpoint, tmp_path):
    """Runs a process that renews its token that many times; gives its wait status."""
    command = [sys.executable, "-c", RENEWING, endpoint.url, str(tmp_path / "tokens.json")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:

        def run(times, lines=0):
            nursery.stdin.write(f"{times} {lines}\n")
            nursery.stdin.flush()
            assert select.select([nursery.stdout], [], [], 60)[0]
            return int(nursery.stdout.readline())

        yield run
        nursery.stdin.close()


def test_forty_processes_killed_while_renewing_leave_a_usable_file_each_and_the_chain_goes_on(
    endpoint, renewing, tmp_path
):
    file = tmp_path / "tokens.json"
    assert renewing(0) == 0
    for number in range(40):
        endpoint.moment, endpoint.request = endpoint.moments[number % 4], 1 + number % 3
        assert renewing(50) == signal.SIGKILL
        assert file.stat().st_mode & 0o777 == 0o600
        stored = TokenStore(file).read()
        # The newest token, or the one before it when the kill came before the answer was on disk.
        assert stored.refresh_token in endpoint.issued[-2:]
        assert stored.access_token == f"access-{stored.refresh_token}"
    survived("kill -9 while a token is renewed", len(endpoint.killed), tokens=len(endpoint.refused))
    assert len(endpoint.killed) == 40
    assert endpoint.refused == []
    endpoint.moment = ""
    assert renewing(2) == 0
    assert TokenStore(file).read().refresh_token == endpoint.issued[-1]
    assert {p.name for p in tmp_path.iterdir()} == {"tokens.json", "tokens.json.lock"}


def test_a_kill_at_any_line_of_reading_and_writing_the_file_leaves_it_usable(endpoint, renewing, tmp_path):
    file = tmp_path / "tokens.json"
    assert renewing(0) == 0
    lines = 1
    while renewing(1, lines) == signal.SIGKILL:
        lines += 1
        stored = TokenStore(file).read()
        assert stored.refresh_token in endpoint.issued[-2:]
        assert stored.access_token == f"access-{stored.refresh_token}"
    survived("kill -9 at each line of reading and writing tokens", lines - 1, tokens=len(endpoint.refused))
    assert lines > 50
    assert endpoint.refused == []
    assert {p.name for p in tmp_path.iterdir()} == {"tokens.json", "tokens.json.lock"}


def test_what_a_killed_process_left_half_written_is_neither_read_nor_kept(renewing, tmp_path):
    assert renewing(1) == 0
    (tmp_path / ".tokens.json.part").write_text('{"refresh_token": "half')
    assert renewing(1) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"tokens.json", "tokens.json.lock"}


def test_eight_processes_that_renew_at_once_spend_no_token_twice(endpoint, tmp_path):
    endpoint.issued, file = ["first"], tmp_path / "tokens.json"
    command = [sys.executable, "-c", RENEWING, endpoint.url, str(file)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    asked = []
    exchange = endpoint.exchange
    endpoint.exchange = lambda token: (asked.append(token), exchange(token))[1]
    for process in running:
        process.stdin.write("10 0\n")
        process.stdin.close()
    for process in running:
        assert process.wait(60) == 0, process.stderr.read()
        assert process.stdout.read() == "0\n"
    assert len(asked) == len(set(asked))
    assert asked == endpoint.issued[:-1]


def test_two_runs_at_once_on_one_file_outlive_ten_expiries_of_single_use_tokens(start, tmp_path: Path):
    tap = start(companies=150)
    settings = {
        "access_token": None,
        "client_id": "sim-client",
        "client_secret": "sim-secret",
        "redirect_uri": "http://127.0.0.1/",
        "authorization_code": "sim-code",
        "page_size": 10,
    }
    # So far apart that all that was under way with the old token is through before the new one expires.
    tap.sim.control("expire_tokens", requests=list(range(20, 320, 30)))
    command = tap.command(**settings)
    runs = [
        subprocess.Popen(command, stdout=(tmp_path / f"{n}.out").open("w"), stderr=subprocess.PIPE, text=True)
        for n in range(2)
    ]
    for number, run in enumerate(runs):
        log = run.communicate(timeout=120)[1]
        assert run.returncode == 0, log[-2000:]
        messages = [json.loads(line) for line in (tmp_path / f"{number}.out").read_text().split("\n") if line]
        ids = {m["record"]["id"] for m in messages if m["type"] == "RECORD" and m["stream"] == "contacts"}
        assert ids == set(tap.sim.truth("contacts"))
    exchanges = [r for r in tap.sim.requests if r["path"] == "/oauth2/access_token"]
    assert {r["status"] for r in exchanges} == {200}
    assert len(exchanges) >= 5
