"""tap-amocrm-login: the answer over loopback or pasted, tokens stored, nothing secret shown."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from amocrm_sim.testing import SimulatorServer
from tap_amocrm.cli.login import Login, Redirect
from tap_amocrm.errors import ConfigError

COMMAND = str(Path(sys.executable).parent / "tap-amocrm-login")


def free_port():
    """A port below those that connections are given, so that none takes it before the command does."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randint(20_000, 30_000))) as listener:
            return listener.getsockname()[1]


@pytest.fixture
def sim():
    with SimulatorServer(companies=5, rps=0) as running:
        yield running


@dataclass
class Person:
    """Runs the command and does in the browser what it says."""

    sim: SimulatorServer
    folder: Path
    redirect_uri: str

    @property
    def file(self):
        return self.folder / "private" / "tokens.json"

    def start(self, *options, **environment):
        """The command under way and the address that it tells to open."""
        kept = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
        settings = {
            "TAP_AMOCRM_CLIENT_ID": "sim-client",
            "TAP_AMOCRM_CLIENT_SECRET": "sim-secret",
            "TAP_AMOCRM_REDIRECT_URI": self.redirect_uri,
            "TAP_AMOCRM_TOKEN_FILE": str(self.file),
        }
        running = subprocess.Popen(
            [COMMAND, "--auth-url", f"{self.sim.url}/oauth", *options],
            env={k: v for k, v in (kept | settings | environment).items() if v is not None},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        told = ""
        while not (found := re.search(r"http://\S+/oauth\?\S+", told)):
            line = running.stdout.readline()
            if not line:
                return running, told
            told += line
        return running, found[0]

    def redirected(self, address):
        """Where the browser is sent once the access is allowed."""
        return requests.get(address, timeout=10, allow_redirects=False).headers["Location"]

    def end(self, running, text=None):
        """Exit code, what was printed since, and errors."""
        out, errors = running.communicate(text, timeout=60)
        return running.returncode, out, errors

    def tokens(self):
        return json.loads(self.file.read_text())

    def works(self):
        header = {"Authorization": f"Bearer {self.tokens()['access_token']}"}
        return requests.get(f"{self.sim.url}/api/v4/account", headers=header, timeout=10).status_code == 200


@pytest.fixture
def person(sim, tmp_path):
    return Person(sim, tmp_path, f"http://127.0.0.1:{free_port()}/amo/back")


# -- the answer over loopback --------------------------------------------------------------------------------------


def test_the_browsers_answer_is_received_and_the_tokens_work(person):
    running, address = person.start()
    page = requests.get(address, timeout=10)
    assert page.status_code == 200
    assert "may close this window" in page.text
    code, out, _ = person.end(running)
    assert code == 0
    assert "Access to account 31415926" in out
    assert person.works()
    assert person.file.stat().st_mode & 0o777 == 0o600
    assert person.file.parent.stat().st_mode & 0o777 == 0o700


def test_the_browser_is_opened(person, tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(f"#!{sys.executable}\nimport sys, urllib.request\nurllib.request.urlopen(sys.argv[1]).read()\n")
    browser.chmod(0o755)
    running, _ = person.start(BROWSER=f"{browser} %s")
    assert person.end(running)[0] == 0
    assert person.works()


def test_the_tap_runs_with_the_settings_that_are_printed(person, tmp_path):
    running, address = person.start()
    requests.get(address, timeout=10)
    out = person.end(running)[1]
    printed = dict(re.findall(r"TAP_AMOCRM_(\w+)=(\S+)", out))
    assert set(printed) == {"API_URL", "CLIENT_ID", "REDIRECT_URI", "TOKEN_FILE"}
    config = tmp_path / "config.json"
    settings = {k.lower(): v for k, v in printed.items()} | {"client_secret": "sim-secret", "requests_per_second": 1000}
    config.write_text(json.dumps(settings))
    tap = [str(Path(sys.executable).parent / "tap-amocrm"), "--config", str(config)]
    done = subprocess.run(tap, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"stream":"companies"' in done.stdout.replace(" ", "")


def test_no_secret_is_printed_or_shown_to_the_browser(person):
    running, address = person.start()
    page = requests.get(address, timeout=10)
    _, out, errors = person.end(running)
    stored = person.tokens()
    secrets = ("sim-secret", "sim-code", stored["access_token"], stored["refresh_token"])
    assert not [s for s in secrets if s in out + errors + page.text + address]


def test_answers_that_are_not_to_this_login_do_not_end_it(person):
    running, address = person.start()
    assert requests.get(f"{person.redirect_uri}?code=evil&state=guessed", timeout=10).status_code == 400
    assert requests.get(f"{person.redirect_uri}?code=evil", timeout=10).status_code == 400
    assert requests.get(person.redirect_uri.replace("/amo/back", "/favicon.ico"), timeout=10).status_code == 404
    requests.get(address, timeout=10)
    assert person.end(running)[0] == 0
    assert person.works()


def test_a_connection_that_the_browser_opened_ahead_does_not_hold_up_the_answer(person):
    running, address = person.start()
    assert "Waiting" in running.stdout.readline() + running.stdout.readline()
    with socket.create_connection(("127.0.0.1", urlsplit(person.redirect_uri).port)):
        requests.get(address, timeout=5)
        assert person.end(running)[0] == 0


def test_access_that_is_not_allowed_is_reported(person):
    running, address = person.start()
    state = parse_qs(urlsplit(address).query)["state"][0]
    requests.get(f"{person.redirect_uri}?error=access_denied&state={state}", timeout=10)
    code, _, errors = person.end(running)
    assert code == 1
    assert "not allowed (access_denied)" in errors
    assert not person.file.exists()


def test_no_answer_in_time_is_reported(person):
    running, _ = person.start("--minutes", "0.002")
    code, _, errors = person.end(running)
    assert code == 1
    assert "--paste" in errors
    assert "Traceback" not in errors


def test_a_port_that_is_taken_is_reported(person):
    with socket.create_server(("127.0.0.1", urlsplit(person.redirect_uri).port)):
        running, _ = person.start()
        code, _, errors = person.end(running)
    assert code == 1
    assert "redirect_uri" in errors
    assert "--paste" in errors


# -- the answer pasted ---------------------------------------------------------------------------------------------


def test_the_whole_redirected_address_is_pasted(person):
    running, address = person.start("--paste")
    code, _, errors = person.end(running, person.redirected(address) + "\n")
    assert code == 0, errors
    assert person.works()


def test_a_code_alone_is_pasted_with_the_account_named(person):
    running, _ = person.start("--paste", "--api-url", person.sim.url)
    assert person.end(running, "sim-code\n")[0] == 0
    assert person.works()


def test_a_redirect_address_elsewhere_is_pasted_without_asking_for_it(person):
    person.redirect_uri = "https://example.com/amo"
    running, address = person.start()
    pasted = person.redirected(address)
    assert pasted.startswith("https://example.com/amo?code=")
    assert person.end(running, pasted)[0] == 0
    assert person.works()


@pytest.mark.parametrize(
    ("pasted", "told"),
    [
        ("\n", "Nothing was pasted"),
        ("http://127.0.0.1/?code=sim-code&state=another&referer=x.amocrm.ru\n", "belongs to another login"),
        ("sim-code\n", "--subdomain"),
    ],
)
def test_what_is_pasted_wrongly_is_reported_and_no_code_is_spent(person, pasted, told):
    running, _ = person.start("--paste")
    code, _, errors = person.end(running, pasted)
    assert code == 1
    assert told in errors
    assert not [r for r in person.sim.requests if r["path"] == "/oauth2/access_token"]


# -- settings, files, refusals -------------------------------------------------------------------------------------


def test_settings_come_from_a_config_file_too(person, tmp_path):
    config = tmp_path / "config.json"
    names = ("CLIENT_ID", "CLIENT_SECRET", "REDIRECT_URI", "TOKEN_FILE")
    values = ("sim-client", "sim-secret", person.redirect_uri, str(person.file))
    config.write_text(json.dumps(dict(zip([n.lower() for n in names], values, strict=True))))
    running, address = person.start("--config", str(config), **{f"TAP_AMOCRM_{n}": None for n in names})
    requests.get(address, timeout=10)
    assert person.end(running)[0] == 0
    assert person.works()


def test_without_a_secret_key_and_nobody_to_ask_the_setting_is_named(person):
    running, _ = person.start(TAP_AMOCRM_CLIENT_SECRET=None)
    code, _, errors = person.end(running)
    assert code == 1
    assert "TAP_AMOCRM_CLIENT_SECRET" in errors


@pytest.mark.parametrize("environment", [{"TAP_AMOCRM_CLIENT_SECRET": "mistyped"}, {"TAP_AMOCRM_CLIENT_ID": "other"}])
def test_a_refused_integration_is_reported_without_its_secret(person, environment):
    running, address = person.start(**environment)
    requests.get(address, timeout=10)
    code, _, errors = person.end(running)
    assert code == 1
    assert "client_secret are refused" in errors
    assert "mistyped" not in errors
    assert "Traceback" not in errors


def test_a_new_login_begins_a_dead_chain_again_and_outranks_the_old_code_in_the_settings(person):
    for _ in range(2):
        running, address = person.start(TAP_AMOCRM_AUTHORIZATION_CODE="long-spent")
        requests.get(address, timeout=10)
        assert person.end(running)[0] == 0
        assert person.works()
        person.sim.simulator.tokens.refresh.clear()
        person.sim.control("expire_tokens")


def test_the_tokens_of_another_account_are_not_overwritten(person):
    running, address = person.start()
    requests.get(address, timeout=10)
    assert person.end(running)[0] == 0
    before = json.dumps(person.tokens() | {"host": "other.amocrm.ru"})
    person.file.write_text(before)
    running, address = person.start()
    requests.get(address, timeout=10)
    code, _, errors = person.end(running)
    assert code == 1
    assert "other.amocrm.ru" in errors
    assert person.file.read_text() == before


# -- whose account -------------------------------------------------------------------------------------------------


def login(page="https://www.amocrm.ru/oauth", **settings):
    return Login({"domain": "amocrm.ru", **settings}, page, "state")


@pytest.mark.parametrize("host", ["firma.amocrm.ru", "our-firm.kommo.com", "firma.amocrm.com"])
def test_the_account_is_the_one_that_was_chosen_in_the_browser(host):
    assert login().account_url(Redirect("code", host)) == f"https://{host}"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "amocrm.ru",
        "x.amocrm.ru.evil.example",
        "evil.example/x.amocrm.ru",
        "evil.example#.amocrm.ru",
        "u@x.amocrm.ru",
        "x.amocrm.ru:8443",
        "x.y.amocrm.ru",
        "127.0.0.1:80",
        "x.amocrm.ru\n",
    ],
)
def test_a_host_that_is_not_an_account_never_gets_the_code_and_the_secret(host):
    with pytest.raises(ConfigError, match="not a host of amoCRM"):
        login().account_url(Redirect("code", host))


def test_another_account_than_the_settings_name_is_refused():
    with pytest.raises(ConfigError, match=r"allowed to https://theirs\.amocrm\.ru.*name https://ours\.amocrm\.ru"):
        login(subdomain="ours").account_url(Redirect("code", "theirs.amocrm.ru"))
