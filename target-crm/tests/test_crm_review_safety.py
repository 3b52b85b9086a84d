"""Who gets into the review page, and what a hostile page, name or form can't do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from http.cookies import SimpleCookie
from pathlib import Path

import psycopg
import pytest
import requests
import review_data
from psycopg import sql
from review_server import Browser, hidden, plain, serving

COMMAND = str(Path(sys.executable).parent / "target-crm-admin")
PASSWORD = "очень длинный пароль"
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">{{7*7}}"


@pytest.fixture
def served(crm):
    review_data.fill(crm)
    with serving(crm.config) as found:
        yield found


@pytest.fixture
def locked(crm):
    crm.load([])
    with serving(crm.config, PASSWORD) as found:
        yield found


def count_runs(crm):
    return crm.execute("SELECT count(*) AS n FROM sync_runs")[0]["n"]


@pytest.mark.parametrize(
    "path", ["/", "/conflicts", "/conflicts/1", "/runs/1", "/records", "/rejects", "/no/such/page"]
)
def test_without_a_session_no_page_shows_anything(served, path):
    answer = Browser(served.url).get(path)
    assert answer.status_code == 401
    assert "Соколова" not in answer.text
    assert "Key required" in plain(answer.text)


@pytest.mark.parametrize("token", ["", "wrong", "é"])
def test_a_wrong_token_does_not_let_in(served, token):
    browser = Browser(served.url)
    assert browser.get(f"/enter?token={token}").status_code == 401
    assert browser.get("/conflicts").status_code == 401


def test_the_token_gives_a_cookie_that_scripts_and_other_sites_do_not_get(served):
    answer = requests.get(served.entrance, allow_redirects=False, timeout=30)
    assert answer.status_code == 303
    assert "token" not in answer.headers["Location"]
    (cookie,) = SimpleCookie(answer.headers["Set-Cookie"]).values()
    assert cookie["httponly"]
    assert cookie["samesite"] == "strict"
    assert served.access.token not in cookie.value
    assert "Соколова" in requests.get(f"{served.url}/conflicts", cookies={cookie.key: cookie.value}, timeout=30).text


def test_a_forged_or_outdated_cookie_does_not_let_in(served, monkeypatch):
    browser = served.enter()
    (cookie,) = browser.http.cookies
    name, until, signature = cookie.value.split(".")
    for value in (f"{name}.{int(until) + 9}.{signature}", f"x.{until}.{signature}", "", "..", f"{name}.{until}"):
        found = requests.get(f"{served.url}/conflicts", cookies={cookie.name: value}, timeout=30)
        assert found.status_code == 401
    assert browser.get("/conflicts").status_code == 200
    monkeypatch.setattr("target_crm.web.security.time.time", lambda: float(until) + 1)
    assert browser.get("/conflicts").status_code == 401


def test_after_logging_out_the_cookie_is_worth_nothing(served):
    browser = served.enter()
    (cookie,) = browser.http.cookies
    browser.post("/leave", {})
    answer = requests.get(f"{served.url}/conflicts", cookies={cookie.name: cookie.value}, timeout=30)
    assert answer.status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1", ""])
def test_another_host_is_refused(served, host):
    port = served.url.rpartition(":")[2]
    answer = served.enter().get("/conflicts", headers={"Host": host.format(port=port)})
    assert answer.status_code in (400, 421)
    assert "Соколова" not in answer.text


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "http://127.0.0.1:1", "http://[", None])
def test_a_form_from_elsewhere_is_refused(crm, served, origin):
    browser = served.enter()
    token, runs = hidden(browser.get("/conflicts").text, "form_token"), count_runs(crm)
    fields = {"form_token": token, "take": "amo", "confirmed": "1"}
    headers = {"Origin": origin} if origin is not None else {}
    browser.http.headers.pop("Origin", None)
    answer = browser.http.post(f"{served.url}/conflicts/bulk", data=fields, headers=headers, timeout=30)
    assert answer.status_code == 403
    assert count_runs(crm) == runs


def test_a_form_that_a_browser_calls_cross_site_is_refused(crm, served):
    browser, runs = served.enter(), count_runs(crm)
    fields = {"take": "amo", "confirmed": "1"}
    answer = browser.post("/conflicts/bulk", fields, page="/conflicts", Sec_Fetch_Site="cross-site")
    assert answer.status_code == 403
    assert count_runs(crm) == runs


def test_a_form_without_this_sessions_token_is_refused(crm, served):
    browser, other, runs = served.enter(), served.enter(), count_runs(crm)
    foreign = hidden(other.get("/conflicts").text, "form_token")
    for token in ({}, {"form_token": ""}, {"form_token": foreign}):
        answer = browser.send("/conflicts/bulk", {"take": "amo", "confirmed": "1", **token})
        assert answer.status_code == 403
    assert count_runs(crm) == runs


def test_only_forms_of_a_bearable_length_are_taken(served):
    browser = served.enter()
    url, own = f"{served.url}/conflicts/bulk", {"Origin": served.url}
    assert browser.http.post(url, json={"take": "amo"}, headers=own, timeout=30).status_code == 415
    assert browser.send("/conflicts/bulk", {"value": "x" * 1_100_000}).status_code == 413
    form = {**own, "Content-Type": "application/x-www-form-urlencoded"}
    chunked = browser.http.post(url, data=iter([b"a=b"]), headers=form, timeout=30)
    assert chunked.status_code == 413
    for method in ("PUT", "DELETE", "TRACE", "OPTIONS"):
        assert browser.http.request(method, url, headers=own, timeout=30).status_code == 405


@pytest.mark.parametrize("path", ["/conflicts", "/enter", "/no/such/page", "/static/review.js", "/runs/999"])
def test_every_answer_forbids_foreign_scripts_frames_and_guessing(served, path):
    headers = served.enter().get(path).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert path.startswith("/static/") or headers["Cache-Control"] == "no-store"


def test_pages_hold_no_script_or_style_of_their_own_and_nothing_from_elsewhere(served):
    browser = served.enter()
    for path in ("/conflicts", "/conflicts/1", "/runs", "/runs/2", "/rejects", "/records?table=contacts&key=501"):
        page = browser.get(path).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
        assert re.findall(r"<script(?![^>]*src=)", page) == []
        assert not re.search(r'(?:src|href|action)="(?!/|#)[^"]*"', page)


def test_hostile_names_are_text_wherever_they_show(crm):
    for last_name, position in ((HOSTILE, "x"), (HOSTILE, HOSTILE + "2")):
        crm.sync("contacts", {"id": 1, "last_name": last_name, **review_data.position(position)})
        crm.execute("UPDATE contacts SET position = %s", HOSTILE + "1")
    crm.sync("leads", {"id": 5, "name": HOSTILE, "price": HOSTILE})
    with serving(crm.config) as served:
        browser = served.enter()
        (number,) = [c["id"] for c in crm.conflicts()]
        browser.settle(number, "amo")
        browser.post("/rejects/drop", {"id": 1, "reason": HOSTILE})
        paths = ["/conflicts?resolved=1", f"/conflicts/{number}", "/runs", "/runs/1", "/runs/2", "/rejects?resolved=1"]
        paths += ["/records?table=contacts&key=1", f"/records?table=contacts&key={HOSTILE}", f"/runs?table={HOSTILE}"]
        paths += [
            f"/conflicts?table={HOSTILE}&column={HOSTILE}&rule={HOSTILE}",
            f"/records/{HOSTILE}/1",
            "/runs/4?all=1",
        ]
        shown = 0
        for path in paths:
            page = browser.get(path).text
            assert "<script>document" not in page, path
            assert "<img" not in page, path
            assert "49" not in re.sub(r"\d{3,}", "", plain(page)).replace(":49", ""), path
            shown += "&lt;script&gt;" in page
        assert shown >= 8


def test_choosing_a_language_leads_to_no_other_site(served):
    browser = served.enter()
    for back in ("https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "/conflicts?x=1"):
        answer = browser.get("/language/ru", params={"back": back}, allow_redirects=False)
        assert re.match(r"/(?![/\\])", answer.headers["Location"]), back


def test_a_password_lets_in_and_the_token_does_not(locked):
    assert Browser(locked.url).get(f"/enter?token={locked.access.token}").status_code == 401
    browser = Browser(locked.url)
    assert browser.send("/enter", {"password": "falsch"}).status_code == 401
    assert browser.get("/runs").status_code == 401
    browser.send("/enter", {"password": PASSWORD})
    assert browser.get("/runs").status_code == 200


def test_guessing_passwords_is_slowed_down(locked):
    browser = Browser(locked.url)
    codes = [browser.send("/enter", {"password": f"guess {n}"}).status_code for n in range(7)]
    assert codes == [401] * 5 + [429] * 2
    assert browser.send("/enter", {"password": PASSWORD}).status_code == 429


@pytest.mark.parametrize(
    ("options", "password", "said"),
    [
        (["--host", "0.0.0.0"], None, "--allow-remote and a password"),
        (["--host", "0.0.0.0", "--allow-remote"], None, "CRM_REVIEW_PASSWORD"),
        (["--host", "0.0.0.0", "--allow-remote"], "short", "too short"),
        (["--host", "192.0.2.1", "--allow-remote"], PASSWORD, "Choose another"),
    ],
)
def test_the_command_shows_the_page_to_others_only_with_a_password(crm, options, password, said):
    environment = {**os.environ, **({"CRM_REVIEW_PASSWORD": password} if password else {})}
    line = [COMMAND, "--database-url", crm.url, "--crm-schema", crm.schema, "serve", "--port", "0", *options]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_prints_an_address_that_lets_in_and_ends_on_a_signal(crm, tmp_path):
    crm.load([])
    line = [COMMAND, "--database-url", crm.url, "--crm-schema", crm.schema, "serve", "--port", "0"]
    with (tmp_path / "log").open("w") as log:
        child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        address = next(found[1] for text in child.stdout if (found := re.search(r"(http://\S+token=\S+)", text)))
        assert address.startswith("http://127.0.0.1:")
        assert "Conflicts" in requests.get(address, timeout=30).text
    finally:
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=30)
    assert address.partition("token=")[2] not in (tmp_path / "log").read_text()


def test_a_role_that_owns_nothing_is_warned_and_served(crm, caplog):
    crm.load([])
    role, said = f"reader_{crm.schema}", []
    names = [sql.Identifier(n) for n in (role, crm.schema)]
    crm.connection.execute(sql.SQL("CREATE ROLE {0} LOGIN; GRANT USAGE ON SCHEMA {1} TO {0}").format(*names))
    crm.connection.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {1} TO {0}").format(*names))
    try:
        with serving({**crm.config, "database_url": f"{crm.url}&user={role}"}, tell=said.append) as served:
            assert served.enter().get("/conflicts").status_code == 200
    finally:
        crm.connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(names[0]))
    assert "does not own the tables" in said[-1]


def test_a_database_that_goes_away_is_one_message_without_secrets(crm):
    crm.load([])
    with serving(crm.config) as served:
        browser = served.enter()
        crm.execute("ALTER TABLE sync_runs RENAME TO sync_runs_gone")
        answer = browser.get("/runs")
        crm.execute("ALTER TABLE sync_runs_gone RENAME TO sync_runs")
    assert answer.status_code == 500
    assert "sync_runs" in plain(answer.text)
    assert psycopg.__name__ not in answer.text
    assert "Traceback" not in answer.text
