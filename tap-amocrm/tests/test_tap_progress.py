"""What a person sees of a long run: a bar on a terminal, lines in a log, and the metrics at its end."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys

import pytest

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


# The command with a line every fifth of a second, and sizes asked for at once.
IMPATIENT = """
import sys
from tap_amocrm.reading import scan_share
from tap_amocrm.singer_io import progress
progress._EVERY, scan_share.PATIENCE_SECONDS, scan_share._LEAST_PAGES = 0.1, 0.0, 3
from tap_amocrm.cli.main import tap
tap()
"""


def metrics_of(requests, **records):
    metrics = Metrics()
    for _ in range(requests):
        metrics.sent("contacts")
    for stream, number in records.items():
        metrics.read(stream, number)
    return metrics


def test_a_line_has_records_total_percent_rate_and_time_left():
    shown = progress.Progress(metrics_of(50, contacts=12_400))
    shown.reached("contacts", "contacts", 12_400, 0.2138)
    shown.metrics.average = lambda: 6.84
    assert shown.line() == ("12,400 of about 58,000 contacts, 21 %; 50 requests, 6.84 a second, about 27 s left")
    assert shown.share() == pytest.approx(0.2138)


def test_several_lists_of_a_stream_are_one_and_lists_at_their_end_are_left_out():
    shown = progress.Progress(metrics_of(50))
    shown.reached("companies", "companies", 500, None)
    shown.reached("companies", "companies", 0, 1.0)
    shown.reached("companies/notes", "notes", 1000, 0.5)
    shown.reached("contacts/notes", "notes", 1000, 0.25)
    assert shown.line().startswith("2,000 of about 6,000 notes, 33 %; 50 requests, ")


def test_while_no_size_is_known_the_time_left_is_that_of_the_last_run():
    shown = progress.Progress(metrics_of(5, contacts=1250), expected=50)
    shown.metrics.average = lambda: 5.0
    shown.advance("contacts", 1250)
    shown.close()
    assert shown.line() == "1,250 contacts; 5 requests, 5.00 a second, about 9 s left"


def test_the_log_of_a_long_run_names_sizes_that_are_about_true_and_asks_once_for_each(start):
    tap = start(companies=400)
    line = tap.command(requests_per_second=100, page_size=50)
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, *line[1:]], capture_output=True, text=True, timeout=120, check=True
    )
    real = len(tap.sim.truth("contacts"))
    totals = [int(n.replace(",", "")) for n in re.findall(r"[\d,]+ of about ([\d,]+) contacts, \d+ %", done.stderr)]
    assert totals, done.stderr
    assert 0.7 * real <= totals[-1] <= 1.4 * real
    asked = [r for r in tap.sim.requests if r["path"] == "/api/v4/contacts" and "desc" in str(r)]
    assert len(asked) == 1
    assert re.search(r"Read [^:]*[\d,]+ companies[^:]*: [\d,]+ requests in \d+ s, ", done.stderr)


def test_a_short_run_asks_for_no_size_and_writes_no_line(start):
    tap = start(companies=60)
    output = tap.run()
    assert not [r for r in tap.sim.requests if "desc" in str(r)]
    assert " of about " not in output.log


def test_a_terminal_shows_a_bar_and_log_lines_do_not_break_it(start):
    tap = start(companies=400)
    ours, theirs = pty.openpty()
    line = tap.command(requests_per_second=100, page_size=50)
    run = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, *line[1:]], stdout=subprocess.DEVNULL, stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
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
    text = seen.decode()
    assert "━" in text
    assert re.search(r" of about [\d,]+ contacts, \d+ %", text)
    logged = re.findall(r"[^\r\n]*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^\r\n]*", text)
    assert logged
    assert not [line for line in logged if "━" in line]


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
