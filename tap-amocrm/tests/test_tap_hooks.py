"""Webhooks as hints: what the receiver takes and keeps away, the queue, the subscription."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest
from servers import server_url

from amocrm_sim.testing import SimulatorServer
from tap_amocrm.errors import ConfigError
from tap_amocrm.hooks import queue as queues
from tap_amocrm.hooks.hints import Hint, hints_of
from tap_amocrm.hooks.queue import QueueError, open_queue

BIN = Path(sys.executable).parent
SECRET = "0123456789abcdef0123"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "hints"),
    [
        ("contacts[update][0][id]=5&contacts[update][0][name]=A", [Hint("contacts", 5)]),
        ("contacts[add][0][id]=5&contacts[add][0][type]=company", [Hint("companies", 5)]),
        ("leads[status][0][id]=7&leads[status][1][id]=8&leads[update][0][id]=7", [Hint("leads", 7), Hint("leads", 8)]),
        ("task[add][0][id]=9", [Hint("tasks", 9)]),
        ("contacts[note][0][note][id]=3&contacts[note][0][note][element_id]=5", [Hint("contacts/notes", 3)]),
        ("leads[delete][0][id]=7", [Hint("deleted_records", 0)]),
        ("leads[restore][0][id]=7", [Hint("deleted_records", 0)]),
        ("leads[update][0][id]=0&leads[update][1][id]=-1&leads[update][2][id]=x", []),
        ("leads[update][0][id]=99999999999999999999&users[add][0][id]=1&account[id]=1", []),
        ("leads[update][0][id][extra]=7&leads[update]=7&id=7", []),
    ],
)  # fmt: skip
def test_of_a_body_only_kinds_and_ids_are_taken(body, hints):
    assert hints_of(body.encode()) == hints


def test_a_body_that_names_too_much_is_refused():
    with pytest.raises(ValueError):
        hints_of("&".join(f"leads[update][{n}][id]={n + 1}" for n in range(1001)).encode())


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL for queues."""
    with server_url("hooks") as url:
        yield url


@pytest.fixture(params=["file", "database"])
def make_queue(request, tmp_path):
    """Opens a queue, again and again the same one."""
    if request.param == "file":
        yield lambda url="http://one.amocrm.ru": open_queue(str(tmp_path / "hooks"), url)
        return
    url = request.getfixturevalue("server")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS amocrm_hooks")
        yield lambda address="http://one.amocrm.ru": open_queue(url, address)
        connection.execute("DROP TABLE IF EXISTS amocrm_hooks")


def test_a_hint_waits_until_it_has_been_read(make_queue):
    make_queue().put([Hint("leads", 1), Hint("leads", 2), Hint("leads", 1)])
    queue = make_queue()
    number, hints = queue.take()
    assert hints == [Hint("leads", 1), Hint("leads", 2)]
    make_queue().put([Hint("leads", 3)])
    assert len(queue.take()[1]) == 3, "until it is said to be done"
    queue.done(number)
    assert queue.take()[1] == [Hint("leads", 3)]


def test_whoever_waits_for_hints_is_woken_by_the_first_one(make_queue):
    queue, other = make_queue(), make_queue()
    queue.wait(0.01)
    queue.take()
    threading.Timer(0.2, lambda: other.put([Hint("leads", 1)])).start()
    begun = time.monotonic()
    queue.wait(20)
    assert time.monotonic() - begun < 10
    assert queue.take()[1] == [Hint("leads", 1)]


def test_a_wait_in_which_no_hint_comes_ends(make_queue):
    queue = make_queue()
    for _ in range(2):
        queue.take()
        begun = time.monotonic()
        queue.wait(0.1)
    assert time.monotonic() - begun >= 0.09


def test_accounts_share_a_queue_without_seeing_one_another(make_queue):
    make_queue("http://one.amocrm.ru").put([Hint("leads", 1)])
    other = make_queue("http://two.amocrm.ru")
    assert other.take()[1] == []
    other.done(10**6)
    assert make_queue("http://one.amocrm.ru").take()[1] == [Hint("leads", 1)]


def test_a_queue_that_nobody_reads_does_not_grow_without_end(make_queue, monkeypatch):
    monkeypatch.setattr(queues, "MOST_WAITING", 3)
    queue = make_queue()
    for number in range(1, 6):
        queue.put([Hint("leads", number), Hint("leads", -number)])
    assert len(queue.take()[1]) == 3


@pytest.mark.parametrize("given", ["mysql://x/y", "/dev/null", "/proc/none/hooks"])
def test_a_queue_that_cannot_be_used_is_named(given):
    with pytest.raises(ConfigError, match="hooks_queue"):
        open_queue(given, "http://one.amocrm.ru")


def test_a_database_that_is_gone_costs_no_record(tmp_path):
    queue = open_queue("postgresql://nobody:secret@127.0.0.1:9/none", "http://one.amocrm.ru")
    with pytest.raises(QueueError) as fault:
        queue.take()
    assert "secret" not in str(fault.value)


@pytest.fixture(scope="module")
def sim():
    with SimulatorServer(companies=12, rps=0) as running:
        running.control("webhooks", lost=0, twice=1, delay=[0, 0], late=0)
        yield running


class Hooks:
    """The receiver as a command, subscribed at a simulator."""

    def __init__(self, sim, folder):
        self.sim, self.queue, self.config = sim, folder / "hooks", folder / "config.json"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        given = {"api_url": sim.url, "access_token": "sim-token", "requests_per_second": 1000}
        given |= {"hooks_queue": str(self.queue), "hooks_secret": SECRET, "hooks_url": f"{self.url}/amo"}
        self.config.write_text(json.dumps(given))
        command = [str(BIN / "tap-amocrm-hooks"), "serve", "--config", str(self.config), "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.told = self.process.stdout.readline()

    def hints(self):
        return open_queue(str(self.queue), self.sim.url).take()[1]

    def run(self, name):
        command = [str(BIN / "tap-amocrm-hooks"), name, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def post(self, path, body=b"leads[update][0][id]=1", kind=FORM):
        request = urllib.request.Request(self.url + path, body, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code


@pytest.fixture(scope="module")
def hooks(sim, tmp_path_factory):
    running = Hooks(sim, tmp_path_factory.mktemp("hooks"))
    yield running
    running.process.terminate()
    out, errors = running.process.communicate(timeout=20)
    assert running.process.returncode == 0
    assert SECRET not in running.told + out + errors


def eventually(look, seconds=10.0):
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return found


def test_what_the_account_changes_is_in_the_queue(hooks, sim):
    subscription = eventually(
        lambda: [h for h in sim.simulator.webhooks.subscribed if h["destination"].endswith(SECRET)]
    )
    assert "update_contact" in subscription[0]["settings"]
    contact = next(iter(sim.truth("contacts")))
    sim.change("update", kind="contacts", ids=[contact], fields={"name": "x"})
    assert eventually(lambda: Hint("contacts", contact) in hooks.hints())


def test_a_stranger_learns_nothing_and_leaves_nothing(hooks):
    before = hooks.hints()
    assert hooks.post("/amo/wrong-secret-of-twenty-letters") == 404
    assert hooks.post("/") == 404
    assert hooks.post(f"/amo/{SECRET}", b"{}", "application/json") == 415
    assert hooks.post(f"/amo/{SECRET}", b"a=" + b"x" * 300_000) == 413
    assert hooks.post(f"/amo/{SECRET}", b"&".join(b"a=1" for _ in range(20_001))) == 400
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{hooks.url}/amo/{SECRET}", timeout=10)
    assert hooks.hints() == before


def test_a_body_that_does_not_come_is_not_waited_for(hooks):
    with socket.create_connection(("127.0.0.1", hooks.port), timeout=10) as slow:
        head = f"POST /amo/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 100\r\n\r\nleads"
        begun = time.monotonic()
        slow.sendall(head.encode())
        assert b"503" in slow.recv(1000).split(b"\r\n")[0]
    assert time.monotonic() - begun < 2


def test_heads_that_never_end_take_no_place_for_good(hooks):
    slow = [socket.create_connection(("127.0.0.1", hooks.port), timeout=10) for _ in range(70)]
    for one in slow:
        one.sendall(b"POST / HTTP/1.1\r\nHost: ")
    assert hooks.post(f"/amo/{SECRET}") == 503
    assert slow[0].recv(1000) == b"", "it was closed"
    # The others are closed one after another.
    eventually(lambda: hooks.post(f"/amo/{SECRET}") == 200)
    for one in slow:
        one.close()


def test_subscribing_again_and_taking_it_back(hooks, sim):
    eventually(lambda: sim.simulator.webhooks.subscribed)
    assert hooks.run("subscribe").stdout == "Subscribed already.\n"
    sim.simulator.webhooks.subscribed[0]["disabled"] = True
    assert hooks.run("subscribe").stdout == "Subscribed.\n"
    assert sim.simulator.webhooks.subscribed[0]["disabled"] is False
    assert hooks.run("unsubscribe").stdout == "Unsubscribed.\n"
    assert hooks.run("unsubscribe").stdout == "The account has no such subscription.\n"
    assert sim.simulator.webhooks.subscribed == []


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"hooks_secret": "short"}, "hooks_secret"),
        ({"hooks_url": None}, "hooks_url"),
        ({"hooks_url": "ftp://x"}, "hooks_url"),
    ],
)
def test_a_setting_that_is_missing_is_named(settings, name, tmp_path):
    given = {"subdomain": "x", "access_token": "t", "hooks_secret": SECRET, "hooks_url": "https://crm.example.com/h"}
    (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in (given | settings).items() if v is not None}))
    command = [str(BIN / "tap-amocrm-hooks"), "subscribe", "--config", str(tmp_path / "config.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, f"Setting {name}" in done.stderr, "[E_SETTING]" in done.stderr) == (1, True, True)


def test_a_receiver_that_fails_is_switched_off(sim):
    webhooks = sim.simulator.webhooks
    sim.control("webhooks", failures=2, retry=0.01)
    webhooks.respond("POST", {"destination": "http://127.0.0.1:9/x", "settings": ["update_lead"]})
    (hook,) = [h for h in webhooks.subscribed if h["destination"].endswith(":9/x")]
    lead = next(iter(sim.truth("leads")))
    sim.change("update", kind="leads", ids=[lead], fields={"name": "x"})
    eventually(lambda: hook["disabled"])
    webhooks.respond("DELETE", {"destination": hook["destination"]})


def test_a_user_without_rights_may_not_subscribe(sim, tmp_path):
    sim.simulator.options.admin = False
    given = {
        "api_url": sim.url,
        "access_token": "sim-token",
        "hooks_secret": SECRET,
        "hooks_url": "https://x.example/h",
    }
    (tmp_path / "config.json").write_text(json.dumps(given))
    command = [str(BIN / "tap-amocrm-hooks"), "subscribe", "--config", str(tmp_path / "config.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    sim.simulator.options.admin = True
    assert done.returncode == 1
    assert "403" in done.stderr
    assert "E_API_REFUSED" in done.stderr
