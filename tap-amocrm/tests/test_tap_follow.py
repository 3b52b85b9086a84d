"""A tap that continues after the first reading: what it finds, what it costs, how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from bent_api import BentApi, read

from amocrm_sim.testing import SimulatorServer
from tap_amocrm.following.brought import Brought
from tap_amocrm.following.freshness import Freshness
from tap_amocrm.following.schedule import Schedule
from tap_amocrm.following.versions import Versions
from tap_amocrm.following.watch import streams_of
from tap_amocrm.hooks.hints import Hint
from tap_amocrm.hooks.queue import open_queue
from tap_amocrm.http.allowance import Allowance
from tap_amocrm.http.metrics import Metrics
from tap_amocrm.http.server_clock import ServerClock

BIN = Path(sys.executable).parent


class Following:
    """The command with `follow`, its messages as they come."""

    def __init__(self, sim, folder, **settings):
        self.sim, self.messages = sim, []
        self.log, self.metrics = (folder / "log").open("w+"), folder / "metrics.json"
        given = {"api_url": sim.url, "access_token": "sim-token", "follow": True, "metrics_file": str(self.metrics)}
        (folder / "config.json").write_text(json.dumps(given | settings))
        command = [str(BIN / "tap-amocrm"), "--config", str(folder / "config.json")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for(lambda m: m["type"] == "STATE" and m["value"]["amocrm_run"].get("following"))

    def _read(self):
        for line in self.process.stdout:
            self.messages.append(json.loads(line))

    def wait_for(self, wanted, since=0, seconds=30.0):
        end = time.monotonic() + seconds
        while not (found := [m for m in self.messages[since:] if wanted(m)]):
            assert time.monotonic() < end, "it did not come"
            assert self.process.poll() is None
            time.sleep(0.02)
        return found[0]

    def after(self, action, wanted, **body):
        """What a change brings."""
        since = len(self.messages)
        self.sim.change(action, **body)
        return self.wait_for(lambda m: m["type"] == "RECORD" and wanted(m["stream"], m["record"]), since)

    def end(self, name=signal.SIGTERM):
        self.process.send_signal(name)
        code = self.process.wait(20)
        self._reader.join()
        self.log.seek(0)
        return code, self.log.read()


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    with SimulatorServer(companies=15, rps=0) as sim:
        following = Following(sim, tmp_path_factory.mktemp("follow"), requests_per_second=200)
        yield following
        if following.process.poll() is None:
            following.end()


def ids(followed, kind, place):
    return list(followed.sim.truth(kind))[place]


def test_a_change_leaves_without_another_start(followed):
    contact = ids(followed, "contacts", 2)
    body = {"kind": "contacts", "ids": [contact], "fields": {"name": "new name"}}
    followed.after("update", lambda stream, r: r.get("name") == "new name", **body)


def test_a_note_that_has_no_event_leaves_too(followed):
    note = ids(followed, "contacts/notes", 2)
    body = {"kind": "contacts/notes", "ids": [note], "fields": {"params": {"text": "new text"}}}
    followed.after("update", lambda stream, r: stream == "notes" and r["params"] == {"text": "new text"}, **body)


def test_deletion_restore_merge_and_link_leave_too(followed):
    gone, into, lost = (ids(followed, "contacts", place) for place in (3, 4, 5))
    deleted = followed.after(
        "delete", lambda s, r: s == "deleted_records" and r["entity_id"] == gone, kind="contacts", ids=[gone]
    )
    assert deleted["record"]["deleted_at"]
    body = {"kind": "contacts", "ids": [gone]}
    followed.after("restore", lambda s, r: s == "contacts" and r["id"] == gone and not r.get("_sdc_deleted_at"), **body)
    merged = followed.after(
        "merge", lambda s, r: s == "deleted_records" and r["merged_into"], kind="contacts", into=into, ids=[lost]
    )
    assert merged["record"]["entity_id"] == lost
    company = ids(followed, "companies", 1)
    body = {"kind": "leads", "id": ids(followed, "leads", 5), "company_id": company, "touch": "company"}
    followed.after("link", lambda s, r: s == "leads" and r["company_id"] == company, **body)


def test_the_end_by_a_signal_is_a_good_end(followed):
    contact = ids(followed, "contacts", 6)
    body = {"kind": "contacts", "ids": [contact], "fields": {"name": "last name"}}
    followed.after("update", lambda stream, r: r.get("name") == "last name", **body)
    code, log = followed.end()
    assert code == 0
    assert "Traceback" not in log
    assert followed.messages[-1]["type"] == "STATE"
    assert followed.messages[-1]["value"]["amocrm_run"]["complete"] is True
    states = [m["value"]["amocrm_run"] for m in followed.messages if m["type"] == "STATE"]
    assert [s for s in states[:-1] if s["complete"]] == []
    found = json.loads(followed.metrics.read_text())["follow"]
    assert found["changes"] >= 6
    assert found["seconds"]["p95"] is not None
    # Nothing left twice because readings look back.
    renamed = [m for m in followed.messages if m["type"] == "RECORD" and m["record"].get("name") == "last name"]
    assert len(renamed) == 1


def test_a_signal_during_the_first_reading_ends_it_as_without_follow(start):
    tap = start(companies=400, rps=7, latency="200")
    process = subprocess.Popen(
        tap.command(follow=True, requests_per_second=7), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    for line in process.stdout:
        if line.startswith('{"type":"RECORD","stream":"contacts"'):
            break
    process.send_signal(signal.SIGTERM)
    last = process.stdout.read().splitlines()[-1]
    assert process.wait(20) == 143
    assert json.loads(last)["value"]["amocrm_run"]["complete"] is False


def test_the_turns_keep_to_their_share_and_go_on_after_an_outage(start):
    tap = start(companies=15, rps=0)
    following = Following(tap.sim, tap.folder, requests_per_second=20, follow_request_share=0.1)
    tap.sim.reset()
    begun = time.monotonic()
    tap.sim.control("faults", rates="502=1")
    time.sleep(2)
    tap.sim.control("faults", rates="")
    contact = ids(following, "contacts", 2)
    body = {"kind": "contacts", "ids": [contact], "fields": {"name": "after it"}}
    following.after("update", lambda stream, r: r.get("name") == "after it", **body)
    sent = tap.sim.stats["requests"]
    assert sent <= 3 + 2 * (time.monotonic() - begun) * 1.2
    assert following.end()[0] == 0


def test_a_refused_token_ends_it_with_the_state_out(monkeypatch):
    api = BentApi()
    try:
        found = {}

        def bend(request, path, query):
            if api.seen and len(api.seen) > 40:
                return request.answer(401, {"title": "Unauthorized"})
            return False

        api.bend = bend
        monkeypatch.setattr("tap_amocrm.tap.TapAmoCRM._setup_signal_handlers", lambda self: None, raising=False)
        found = read(api, follow=True)
        assert "token" in str(found.error)
        assert found.state["amocrm_run"]["complete"] is False
        assert found.bookmark("contacts")
    finally:
        api.close()


def test_what_a_webhook_names_is_read_next_by_its_id(start):
    tap = start(companies=15, rps=0)
    queue = open_queue(str(tap.folder / "hooks"), tap.sim.url)
    settings = {"follow_request_share": 0.02, "hooks_queue": str(tap.folder / "hooks")}
    following = Following(tap.sim, tap.folder, requests_per_second=50, **settings)
    contact, gone = list(tap.sim.truth("contacts"))[:2]
    (note,) = list(tap.sim.truth("contacts/notes"))[:1]
    tap.sim.reset()
    since = len(following.messages)
    tap.sim.change("update", kind="contacts", ids=[contact], fields={"name": "hooked"})
    tap.sim.change("update", kind="contacts/notes", ids=[note], fields={"params": {"text": "hooked"}})
    tap.sim.change("delete", kind="contacts", ids=[gone])
    queue.put([Hint("contacts/notes", note), Hint("contacts", contact), Hint("deleted_records", 0)])

    def is_here(message):
        return message["type"] == "RECORD" and message["record"].get("entity_id") == gone

    following.wait_for(is_here, since)
    came = [m for m in following.messages[since:] if m["type"] == "RECORD"]
    assert [m["record"]["id"] for m in came[:2]] == [contact, note], "entities before what hangs on them"
    asked = [entry["query"] for entry in tap.sim.simulator.log.entries]
    assert sum("filter%5Bid%5D" in query for query in asked) == 2
    following.wait_for(lambda m: not queue.take()[1], 0)
    assert following.end()[0] == 0


def test_webhooks_without_end_keep_nothing_else_from_being_read(start):
    tap = start(companies=15, rps=0)
    queue = open_queue(str(tap.folder / "hooks"), tap.sim.url)
    following = Following(tap.sim, tap.folder, requests_per_second=50, hooks_queue=str(tap.folder / "hooks"))
    contact, note = next(iter(tap.sim.truth("contacts"))), next(iter(tap.sim.truth("contacts/notes")))
    ended = threading.Event()

    def call():
        while not ended.wait(0.02):
            queue.put([Hint("contacts", contact)])

    caller = threading.Thread(target=call)
    caller.start()
    try:
        body = {"kind": "contacts/notes", "ids": [note], "fields": {"params": {"text": "without a hint"}}}
        following.after("update", lambda stream, r: r.get("params") == {"text": "without a hint"}, **body)
    finally:
        ended.set()
        caller.join()
    assert following.end()[0] == 0


def test_a_queue_that_cannot_be_used_is_named_before_anything_is_read(start):
    tap = start(companies=3)
    done = tap.run(follow=True, hooks_queue="mysql://x/y")
    assert (done.code, done.messages) == (1, [])
    assert "Setting hooks_queue" in done.log


def test_an_allowance_is_kept_in_the_long_run_and_saves_up_a_little():
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    allowance = Allowance(2.0, 6.0, clock=lambda: now[0], sleep=sleep)
    now[0] = 100.0
    for _ in range(26):
        allowance.take()
    assert now[0] == pytest.approx(110.0), "6 at once, then 20 at 2 a second"


def test_a_stream_is_read_often_while_it_changes_and_rarely_while_it_does_not():
    schedule = Schedule(["contacts", "leads"], ["users"], set(), 0.0, together=False)
    assert schedule.due(0.0, 10) == ["contacts", "leads"]
    for number in range(1, 6):
        schedule.paces["contacts"].read(float(number), found=True, requests=1, rate=2.0)
        schedule.paces["leads"].read(float(number), found=False, requests=1, rate=2.0)
    assert (schedule.paces["contacts"].due, schedule.paces["leads"].due) == (8.0, 25.0)
    schedule.wake({"leads"}, 9.0)
    assert schedule.due(9.0, 10) == ["contacts", "leads"]
    assert len(schedule.due(9.0, 1.5)) == 1, "as far as the requests last"


def test_a_stream_that_costs_much_rests_whatever_changes():
    schedule = Schedule(["contacts"], [], set(), 0.0, together=False)
    schedule.paces["contacts"].read(0.0, found=True, requests=103, rate=2.0)
    schedule.wake({"contacts"}, 10.0)
    assert schedule.due(149.0, 10) == []
    assert schedule.due(150.0, 10) == ["contacts"]


def test_with_webhooks_one_stream_at_a_time_is_read_once_the_requests_suffice_for_it():
    schedule = Schedule(["notes", "leads"], [], set(), 0.0, together=False)
    schedule.paces["notes"].read(0.0, found=True, requests=3, rate=2.0)
    schedule.paces["leads"].read(1.0, found=True, requests=1, rate=2.0)
    assert schedule.first(2.0, 10, 3) == [], "nothing is due"
    assert schedule.first(9.0, 2.5, 3) == [], "notes are due longest, and have three lists"
    assert schedule.first(9.0, 3.0, 3) == ["notes"]
    assert schedule.first(9.0, 1.4, 1.4) == ["notes"], "more can't be saved up"
    schedule.paces["notes"].read(9.0, found=False, requests=200, rate=2.0)
    assert schedule.first(9.0, 1.0, 3) == ["leads"]
    assert schedule.price(3) == 1


def test_an_event_of_what_a_webhook_has_brought_wakes_no_stream():
    brought = Brought()
    brought.note("contacts", [{"id": 5, "updated_at": 100}, {"id": 6, "updated_at": 10**10}], now=200.0)
    brought.note("contacts/notes", [{"id": 9, "updated_at": 100}], now=200.0)

    def woken(kind, identity, at, **values):
        event = {"type": kind, "entity_type": "contact", "entity_id": identity, "created_at": at, **values}
        return streams_of(event, brought)

    note = [{"note": {"id": 9}}]
    assert woken("name_field_changed", 5, 100) == set()
    assert woken("name_field_changed", 5, 101) == {"contacts"}
    assert woken("name_field_changed", 6, 201) == {"contacts"}, "a client's clock is not believed"
    assert woken("name_field_changed", 7, 100) == {"contacts"}
    assert woken("contact_deleted", 5, 100) == {"deleted_records"}
    assert woken("common_note_added", 5, 100, value_after=note) == set()
    assert woken("common_note_added", 5, 100, value_after=[{"note": {"id": 10}}]) == {"notes"}
    assert woken("incoming_call", 5, 100) == {"notes"}


def test_a_version_leaves_once_and_a_return_to_an_older_one_too():
    versions = Versions(of_parents=False)
    first, second = {"id": 1, "name": "a"}, {"id": 1, "name": "b"}
    assert versions.fresh([dict(first)]) == [first]
    versions.begin()
    assert versions.fresh([dict(first)]) == []
    assert versions.fresh([dict(second)]) == [second]
    assert versions.fresh([dict(first)]) == [first]
    for _ in range(2):
        versions.begin()
    assert len(versions) == 0, "what no reading shows is forgotten"


def test_what_is_old_for_a_reason_does_not_count_as_late():
    freshness = Freshness(lambda: 1000.0)
    freshness.left(
        [{"updated_at": "1970-01-01T00:16:37+00:00"}, {"updated_at": "1970-01-01T00:00:01+00:00"}], "updated_at", 60
    )
    assert freshness.document() == {"changes": 2, "seconds": {"p50": 3.0, "p95": 3.0, "p100": 3.0}}


def test_the_metrics_of_days_take_no_more_memory_than_those_of_an_hour():
    metrics = Metrics()
    metrics.started -= 10_000
    for second in range(10_000):
        metrics._sent.append(float(second))
        metrics._read.setdefault("contacts", {})[second] = second + 1
        metrics.waits.answer("contacts", "200", 0.5)
    metrics.keep_recent()
    assert len(metrics._sent) <= 3601
    waits = metrics.waits.document()["waits_by_stream"]["contacts"]
    assert (waits["answers"], waits["seconds_for_answers"]) == (10_000, 5000.0)
    assert len(metrics.waits._answers_by_stream["contacts"]) <= 5000
    assert metrics.requests == 10_000
    assert metrics.average() == pytest.approx(1.0, abs=0.01)
    found = metrics.document()
    assert len(found["requests_per_second_series"]) == len(found["records_series"]["contacts"]) <= 3601
    assert found["records_series"]["contacts"][0] == found["series_begin_seconds"] + 1


def test_a_wrong_date_of_hours_ago_does_not_hold_bookmarks_back(monkeypatch):
    now = [1e6]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.time", lambda: 1.7e9 + now[0])
    clock = ServerClock()
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(1.7e9 + now[0] - 7200))
    clock.note(date, now[0], now[0])
    assert clock.earliest(now[0]) < 1.7e9 + now[0] - 7000
    for _ in range(3):
        now[0] += 3700
        clock.begin_turn()
        good = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(1.7e9 + now[0]))
        clock.note(good, now[0], now[0])
    assert clock.earliest(now[0]) > 1.7e9 + now[0] - 3
