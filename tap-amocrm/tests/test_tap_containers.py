"""Containers: a user without a passwd entry and without a home, folders that can't be written to."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# What `docker run --user 12345` and OpenShift give: a number that /etc/passwd does not know.
NOBODY = """
import os, pwd
def unknown(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")
pwd.getpwuid = unknown
from tap_amocrm.tap import TapAmoCRM
TapAmoCRM.cli()
"""
OAUTH = {
    "access_token": None, "client_id": "a", "client_secret": "b", "redirect_uri": "http://127.0.0.1:1/",
    "refresh_token": "c",
}  # fmt: skip


def run_as_nobody(tap, **settings):
    command = tap.command(**settings)
    return subprocess.run(
        [sys.executable, "-c", NOBODY, *command[1:]], env={"PATH": os.environ["PATH"]}, cwd=tap.folder,
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("share", [True, False])
def test_a_user_without_a_passwd_entry_reads_everything(start, share):
    # At a rate above the limit there would be nothing to share.
    done = run_as_nobody(start(), share_throttle=share, requests_per_second=7 if share else 1000)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count('"stream":"companies","record"') == 30


def test_a_token_file_below_a_home_that_is_not_there_is_one_sentence(start):
    done = run_as_nobody(start(), **OAUTH, token_file="~/tokens.json", share_throttle=False)
    assert done.returncode == 1
    assert "Setting token_file: ~/tokens.json is below the home folder, but this user has none." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("file", ["/proc/metrics.json", "/dev/null/metrics.json", "/tmp"])
def test_a_metrics_file_that_cannot_be_written_is_refused_before_anything_is_read(start, file):
    tap = start()
    output = tap.run(metrics_file=file)
    assert output.code == 1
    assert f"Setting metrics_file: {file} can't be written: " in output.log
    assert "Traceback" not in output.log
    assert tap.sim.stats["requests"] == 0


def test_metrics_in_the_log_are_json(start):
    output = start().run()
    (line,) = [line for line in output.log.splitlines() if "Metrics: " in line]
    assert '"requests": ' in line
