"""What a run says of failures: the reason and what to do, in one sentence, and at once where waiting helps nobody."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from bent_api import CONTACTS, read

from tap_amocrm.auth.oauth import from_config
from tap_amocrm.errors import UnreachableError
from tap_amocrm.http.dispatcher import Again


def test_an_unknown_host_is_reported_at_once(start):
    begun = time.monotonic()
    output = start().run(api_url="https://no-such-account.invalid", requests_per_second=7, share_throttle=False)
    assert output.code == 1
    assert time.monotonic() - begun < 20
    assert "The address of no-such-account.invalid can't be found" in output.log
    assert "subdomain" in output.log
    assert "Traceback" not in output.log


def test_an_unknown_host_is_reported_at_once_by_the_exchange_of_tokens(tmp_path):
    def send(url, body):
        return requests.post(url, json=body, timeout=5)

    settings = {"client_id": "a", "client_secret": "b", "redirect_uri": "https://a.example/", "refresh_token": "c"}
    oauth = from_config({**settings, "token_file": str(tmp_path / "t")}, "https://no-such-account.invalid", send)
    begun = time.monotonic()
    with pytest.raises(UnreachableError, match=r"no-such-account\.invalid can't be found"):
        oauth.authorization()
    assert time.monotonic() - begun < 6


def test_a_name_that_is_lost_in_the_middle_of_a_run_is_tried_again(bent, monkeypatch):
    known, failures = socket.getaddrinfo, [0]

    def sometimes(*args, **kwargs):
        if len(bent.seen) > 3 and failures[0] < 3:
            failures[0] += 1
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return known(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", sometimes)
    # Each answer ends its connection, so that each request asks for the address.
    bent.bend = lambda request, path, query: setattr(request, "close_connection", True) or False
    assert len(read(bent).names()) == 30
    assert failures[0] == 3


def test_a_wait_of_more_than_two_seconds_is_a_log_line(bent, monkeypatch, caplog):
    failures = []
    monkeypatch.setattr("tap_amocrm.http.client.Again", lambda seconds: Again(0))
    bent.bend = lambda request, path, query: (
        path == CONTACTS and len(failures) < 2 and (failures.append(1) or request.answer(502, Retry_After="3"))
    )
    assert len(read(bent).names()) == 30
    lines = [r.message for r in caplog.records if "/api/v4/contacts: 502. Try " in r.message]
    assert lines == ["/api/v4/contacts: 502. Try 2 of 8 in 3 s.", "/api/v4/contacts: 502. Try 3 of 8 in 3 s."]


def test_a_short_wait_is_not_a_log_line(bent, caplog):
    failures = []
    bent.bend = lambda request, path, query: (
        path == CONTACTS and not failures and (failures.append(1) or request.answer(502))
    )
    read(bent)
    assert "Try 2" not in caplog.text


def test_402_says_that_the_plan_has_run_out(bent):
    bent.bend = lambda request, path, query: request.answer(402, {"title": "Payment Required"})
    assert "Payment Required: the account's plan has run out" in str(read(bent).error)


def test_400_shows_code_and_path_of_the_validation_errors_and_not_the_token(bent):
    errors = [{"code": "NotSupportedChoice", "path": "filter.updated_at", "detail": "not s3cret-token"}]
    body = {"title": "Bad Request", "status": 400, "validation-errors": [{"request_id": "0", "errors": errors}]}
    bent.bend = lambda request, path, query: path == CONTACTS and request.answer(400, body)
    error = str(read(bent).error)
    assert "400 Bad Request (NotSupportedChoice at filter.updated_at: not …)" in error
    assert "s3cret" not in error


@pytest.mark.parametrize("odd", [5, "x", [5], [{"errors": 5}], [{"errors": [5, {"code": None}]}], {"a": 1}])
def test_odd_validation_errors_are_survived(bent, odd):
    bent.bend = lambda request, path, query: path == CONTACTS and request.answer(400, {"validation-errors": odd})
    assert "400" in str(read(bent).error)


@pytest.mark.parametrize(
    ("path", "stream"),
    [
        ("/api/v4/leads/loss_reasons", "loss_reasons"),
        ("/api/v4/users", "users"),
        ("/api/v4/leads/pipelines", "pipelines"),
        ("/api/v4/companies/tags", r"tags (companies)"),
        ("/api/v4/contacts/custom_fields", r"custom_fields (contacts)"),
    ],
)
def test_a_side_list_that_is_not_there_leaves_its_stream_empty_with_a_warning(bent, caplog, path, stream):
    bent.lists["contacts/tags"] = [{"id": 5, "name": "tag"}]
    bent.bend = lambda request, asked, query: asked == path and request.answer(404)
    done = read(bent)
    assert done.error is None
    assert len(done.names()) == 30
    assert done.names("tags") == {5: "tag"}
    assert f"Stream {stream} stays empty: {path}: the API answers 404" in caplog.text


def full_disk(command):
    with Path("/dev/full").open("wb") as full:
        return subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)


def broken_pipe(command):
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as pipe:
        return subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=60, check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
@pytest.mark.parametrize(
    ("run", "said"),
    [(full_disk, "Standard output can't be written: No space left on device"), (broken_pipe, "broken pipe")],
)
def test_output_that_cannot_be_written_is_one_sentence(start, run, said):
    done = run(start().command())
    assert done.returncode == 1
    assert said in done.stderr
    assert "[E_OUTPUT]" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
