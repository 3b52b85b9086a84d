"""What a person sees of a long run: a bar on a terminal, lines in a log, and the metrics at its end."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess

from tap_amocrm.http.metrics import Metrics
from tap_amocrm.singer_io import progress

# As users and checks rely on them.
METRICS = {
    "duration_seconds",
    "requests",
    "requests_by_stream",
    "average_rps",
    "peak_rps",
    "retries",
    "status_counts",
    "records_by_stream",
    "batches_by_stream",
    "requests_without_batching",
}


def test_a_log_gets_a_line_with_stream_records_requests_rate_and_time_left(monkeypatch, caplog):
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    caplog.set_level(logging.INFO, "tap-amocrm")
    metrics = Metrics()
    for _ in range(5):
        metrics.sent("contacts")
    metrics.read("contacts", 1250)
    progress.Progress(metrics, expected=50).advance("contacts", 250)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("contacts: 1,250 records; 5 requests, ")
    assert " a second, about " in line
    assert line.endswith(" s left")


def test_a_log_is_not_filled_with_a_line_for_each_page(caplog):
    caplog.set_level(logging.INFO, "tap-amocrm")
    shown = progress.Progress(Metrics())
    for _ in range(100):
        shown.advance("contacts", 250)
    assert caplog.records == []


def test_a_terminal_shows_a_bar(start):
    tap = start(companies=60)
    ours, theirs = pty.openpty()
    run = subprocess.Popen(tap.command(), stdout=subprocess.DEVNULL, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert run.wait(60) == 0
    assert "━".encode() in seen


def test_the_metrics_are_in_the_file_and_in_the_log_with_all_their_keys(start, tmp_path):
    file = tmp_path / "metrics.json"
    output = start().run(metrics_file=str(file))
    metrics = json.loads(file.read_text())
    assert set(metrics) >= METRICS
    assert all(f'"{key}"' in output.log for key in METRICS)
    assert metrics["records_by_stream"]["contacts"] == output.read["contacts"]


def test_lists_in_the_environment_are_lists(start, monkeypatch, tmp_path):
    tap = start(companies=60)
    values = {
        "API_URL": tap.sim.url,
        "ACCESS_TOKEN": "sim-token",
        "REQUESTS_PER_SECOND": "1000",
        "RESPONSIBLE_USER_IDS": "[5000003, 5000004]",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"TAP_AMOCRM_{name}", value)
    command = [tap.command()[0], "--config=ENV"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    messages = [json.loads(line) for line in done.stdout.split("\n") if line]
    users = {
        m["record"]["responsible_user_id"] for m in messages if m["type"] == "RECORD" and m["stream"] == "companies"
    }
    assert users == {5_000_003, 5_000_004}
