"""OAuth chains: begun by the settings, kept in a file, renewed once for all; errors say what to do and no secret."""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from amocrm_sim.testing import SimulatorServer
from tap_amocrm.auth import token_exchange
from tap_amocrm.auth.oauth import from_config
from tap_amocrm.errors import AccountBlockedError, AuthorisationError, ConfigError, TapError, UnreachableError

SECRETS = ("s3cret-key", "c0de-given", "refresh-given")


class TokenEndpoint:
    """A token endpoint that answers as instructed: `script` holds what the next requests meet.

    "drop" and "drop early" close the connection, after the token was spent and before; a pair of status and body is
    sent as it is. An old token is refused, with `grace` it is answered with the same tokens once more.
    """

    def __init__(self):
        self.script, self.bodies, self.grace, self.lifetime = [], [], False, 86_400
        self.headers = {}
        self.valid, self.given = {"c0de-given", "refresh-given"}, {}
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.bodies.append(body)
                told = endpoint.script.pop(0) if endpoint.script else None
                answer = (0, None) if told == "drop early" else endpoint.exchange(body)
                if isinstance(told, tuple):
                    answer = told
                elif told is not None:
                    self.close_connection = True
                    return
                text = answer[1] if isinstance(answer[1], str) else json.dumps(answer[1])
                self.send_response(answer[0])
                self.send_header("Content-Type", "text/html" if text.startswith("<") else "application/problem+json")
                for name, value in endpoint.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def exchange(self, body):
        token = body.get("code") or body.get("refresh_token")
        if token in self.given and self.grace:
            return 200, self.given[token]
        if token not in self.valid:
            return 401, {"hint": "Token has been revoked", "title": "Некорректный запрос", "status": 401}
        self.valid.discard(token)
        number = len(self.given) + 1
        tokens = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}", "expires_in": self.lifetime}
        self.given[token] = tokens
        self.valid.add(tokens["refresh_token"])
        return 200, tokens


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setattr(token_exchange, "RETRIES", replace(token_exchange.RETRIES, first=0.0))
    served = TokenEndpoint()
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.fixture
def sim():
    with SimulatorServer(companies=5, rps=0) as running:
        yield running


@pytest.fixture
def file(tmp_path):
    return tmp_path / "private" / "tokens.json"


def post(url, body):
    return requests.post(url, json=body, timeout=10, allow_redirects=False)


def oauth(server, file, **settings):
    """An integration of the simulator, or of the endpoint above."""
    given = {"client_id": "sim-client", "client_secret": "sim-secret"}
    if isinstance(server, TokenEndpoint):
        given = {"client_id": "our-integration", "client_secret": "s3cret-key"}
    given |= {"redirect_uri": "http://127.0.0.1/", "token_file": str(file)}
    return from_config(given | settings, server.url, post)


def opens(sim, header):
    return requests.get(f"{sim.url}/api/v4/account", headers={"Authorization": header}, timeout=10).status_code == 200


def chain_with_token_near_its_end(endpoint, file):
    oauth(endpoint, file, refresh_token="refresh-given").authorization()
    stored = json.loads(file.read_text())
    file.write_text(json.dumps(stored | {"renew_at": time.time() - 1, "expires_at": time.time() + 200}))


# -- how a chain begins and continues --------------------------------------------------------------------------------


def test_a_code_begins_a_chain_that_later_runs_continue_with_the_code_still_in_the_settings(sim, file):
    first = oauth(sim, file, authorization_code="sim-code").authorization()
    sim.control("expire_tokens")
    second = oauth(sim, file, authorization_code="sim-code")
    assert second.authorization() == first
    assert second.renew(first)
    assert opens(sim, second.authorization())
    assert opens(sim, oauth(sim, file).authorization())


def test_the_first_refresh_token_begins_a_chain(sim, file):
    assert opens(sim, oauth(sim, file, refresh_token="first-refresh-token").authorization())


def test_a_run_within_the_tokens_life_asks_for_no_other(endpoint, file):
    endpoint.lifetime = 60  # shorter than the usual reach ahead
    first = oauth(endpoint, file, refresh_token="refresh-given")
    assert {first.authorization() for _ in range(5)} == {"Bearer access-1"}
    assert oauth(endpoint, file).authorization() == "Bearer access-1"
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize("lifetime", [10**400, 1e300, -5, "soon", None])
def test_a_lifetime_that_is_none_keeps_the_chain(endpoint, file, lifetime):
    endpoint.lifetime = lifetime
    assert oauth(endpoint, file, refresh_token="refresh-given").authorization() == "Bearer access-1"
    assert oauth(endpoint, file).authorization() in ("Bearer access-1", "Bearer access-2")


@pytest.mark.parametrize("time_of_file", ["NaN", "1e999", "9" * 400, "-1"])
def test_a_time_in_the_file_that_is_none_gets_new_tokens(endpoint, file, time_of_file):
    oauth(endpoint, file, refresh_token="refresh-given").authorization()
    stored = json.loads(file.read_text()) | {"renew_at": "odd", "expires_at": "odd"}
    file.write_text(json.dumps(stored).replace('"odd"', time_of_file))
    assert oauth(endpoint, file).authorization() == "Bearer access-2"


def test_a_token_near_its_end_is_renewed_before_it_ends(endpoint, file):
    chain_with_token_near_its_end(endpoint, file)
    assert oauth(endpoint, file).authorization() == "Bearer access-2"


def test_a_new_token_in_the_settings_goes_before_the_file(endpoint, file):
    oauth(endpoint, file, refresh_token="refresh-given").authorization()
    endpoint.valid.add("refresh-of-a-new-authorisation")
    assert oauth(endpoint, file, refresh_token="refresh-of-a-new-authorisation").authorization() == "Bearer access-2"
    assert endpoint.bodies[-1]["refresh_token"] == "refresh-of-a-new-authorisation"


def test_a_stale_code_in_the_settings_does_not_cost_the_chain_of_the_file(endpoint, file, caplog):
    oauth(endpoint, file, refresh_token="refresh-given").authorization()
    assert oauth(endpoint, file, authorization_code="stale").authorization() == "Bearer access-2"
    assert "refuses the authorisation code" in caplog.text
    assert oauth(endpoint, file, authorization_code="stale").authorization() == "Bearer access-2"
    assert [b.get("code") for b in endpoint.bodies].count("stale") == 1


def test_a_file_that_is_removed_under_a_run_is_written_again(endpoint, file):
    running = oauth(endpoint, file, refresh_token="refresh-given")
    header = running.authorization()
    file.unlink()
    assert running.renew(header)
    assert json.loads(file.read_text())["refresh_token"] == "refresh-2"


def test_sixteen_threads_with_a_rejected_token_make_one_exchange(endpoint, file):
    shared = oauth(endpoint, file, refresh_token="refresh-given")
    header, renewed = shared.authorization(), []
    threads = [threading.Thread(target=lambda: renewed.append(shared.renew(header))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert renewed == [True] * 16
    assert len(endpoint.bodies) == 2


# -- the file ------------------------------------------------------------------------------------------------------


def test_new_tokens_are_on_disk_before_they_are_used(endpoint, file):
    shared = oauth(endpoint, file, refresh_token="refresh-given")
    for _ in range(20):
        header = shared.authorization()
        assert header == "Bearer " + json.loads(file.read_text())["access_token"]
        assert shared.renew(header)


def test_file_and_folder_are_private_and_hold_no_token_of_the_settings(endpoint, file):
    oauth(endpoint, file, refresh_token="refresh-given").authorization()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert not [s for s in SECRETS if s in file.read_text()]
    assert {p.name for p in file.parent.iterdir()} == {"tokens.json", "tokens.json.lock"}


def test_a_file_that_others_can_read_is_made_private(endpoint, file, caplog):
    oauth(endpoint, file, refresh_token="refresh-given").authorization()
    file.chmod(0o644)
    oauth(endpoint, file).authorization()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "others could read" in caplog.text


def test_a_link_is_followed_not_replaced(endpoint, file, tmp_path):
    link = tmp_path / "link.json"
    link.symlink_to(file)
    oauth(endpoint, link, refresh_token="refresh-given").authorization()
    assert link.is_symlink()
    assert json.loads(file.read_text())["refresh_token"] == "refresh-1"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"access_token": "half-of-a-t', "{}", '{"refresh_token": 5}'])
def test_a_file_without_tokens_is_named_and_not_shown_and_nothing_is_sent(endpoint, file, text):
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"token_file.*tokens\.json holds no tokens and was left as it is") as caught:
        oauth(endpoint, file, refresh_token="refresh-given").authorization()
    assert "half-of" not in str(caught.value)
    assert endpoint.bodies == []


def test_another_programs_file_keeps_content_and_mode_and_gets_no_lock_file_beside_it(endpoint, file):
    file.parent.mkdir()
    file.write_text("root:x:0:0:root:/root:/bin/sh\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="holds no tokens"):
        oauth(endpoint, file, refresh_token="refresh-given").authorization()
    assert file.read_text().startswith("root:")
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_folder_that_takes_no_file_is_found_out_before_a_token_is_spent(endpoint, file):
    chain_with_token_near_its_end(endpoint, file)
    (file.parent / ".tokens.json.part").mkdir()
    with pytest.raises(ConfigError, match=r"token_file.*can't be written"):
        oauth(endpoint, file).authorization()
    assert endpoint.valid >= {"refresh-1"}


def test_a_token_file_with_a_nul_in_its_name_is_named(endpoint):
    with pytest.raises(ConfigError, match="Setting token_file: a path can't contain a NUL character"):
        oauth(endpoint, "tokens\0.json", refresh_token="refresh-given")


def test_a_token_file_below_a_file_is_named(endpoint, tmp_path):
    (tmp_path / "plain").write_text("")
    with pytest.raises(ConfigError, match=r"token_file.*can't be written"):
        oauth(endpoint, tmp_path / "plain" / "tokens.json", refresh_token="refresh-given").authorization()
    assert endpoint.bodies == []


@pytest.mark.parametrize("other", [{"client_id": "another-integration"}, {"host": "other.amocrm.ru"}])
def test_the_file_of_another_account_or_integration_is_neither_used_nor_overwritten(endpoint, file, other):
    oauth(endpoint, file, refresh_token="refresh-given").authorization()
    before = json.dumps(json.loads(file.read_text()) | other)
    file.write_text(before)
    with pytest.raises(ConfigError, match=next(iter(other.values()))):
        oauth(endpoint, file, authorization_code="c0de-given").authorization()
    assert file.read_text() == before
    assert len(endpoint.bodies) == 1


# -- lost answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        "drop early",
        (500, "{}"),
        (502, "<html>"),
        (429, "{}"),
        (200, "<html>soon</html>"),
        (200, '{"access'),
        (200, "[" * 100_000),
    ],
)
def test_an_answer_that_is_none_is_asked_for_again_with_the_same_token(endpoint, file, fault):
    endpoint.grace = True
    endpoint.script = [fault, fault]
    assert oauth(endpoint, file, refresh_token="refresh-given").authorization() == "Bearer access-1"
    assert [b["refresh_token"] for b in endpoint.bodies] == ["refresh-given"] * 3


def test_a_lost_answer_heals_where_the_old_token_is_answered_once_more(endpoint, file):
    endpoint.grace = True
    chain_with_token_near_its_end(endpoint, file)
    endpoint.script = ["drop"]
    assert oauth(endpoint, file).authorization() == "Bearer access-2"


def test_a_lost_answer_that_does_not_heal_is_explained_now_and_in_the_next_run(endpoint, file):
    chain_with_token_near_its_end(endpoint, file)
    endpoint.script = ["drop"]
    for _ in range(2):
        with pytest.raises(AuthorisationError, match=r"the answer was lost.*tap-amocrm-login"):
            oauth(endpoint, file).authorization()


def test_while_the_service_is_down_a_good_token_goes_on(endpoint, file, caplog):
    chain_with_token_near_its_end(endpoint, file)
    stored = json.loads(file.read_text())
    file.write_text(json.dumps(stored | {"renew_at": time.time() + 0.3}))
    running = oauth(endpoint, file)
    assert running.authorization() == "Bearer access-1"
    time.sleep(0.3)
    endpoint.script = [(503, "{}")] * 4
    assert running.authorization() == "Bearer access-1"
    assert "could not be renewed in advance" in caplog.text


def test_with_no_good_token_and_the_service_down_the_run_ends_and_the_next_one_succeeds(endpoint, file):
    endpoint.script = ["drop early"] * 4
    with pytest.raises(UnreachableError, match="no usable answer after 4 tries"):
        oauth(endpoint, file, refresh_token="refresh-given").authorization()
    assert oauth(endpoint, file, refresh_token="refresh-given").authorization() == "Bearer access-1"


# -- refusals ------------------------------------------------------------------------------------------------------


def hint(text):
    return {"hint": text, "title": "Некорректный запрос", "detail": "В запросе отсутствует ряд параметров"}


REFUSALS = [
    ("authorization_code", 400, hint("Authorization code has expired"), AuthorisationError, "20 minutes"),
    ("refresh_token", 401, hint("Token has been revoked"), AuthorisationError, "once and within 3 months"),
    ("refresh_token", 400, hint("Cannot decrypt the refresh token"), AuthorisationError, "tap-amocrm-login"),
    ("refresh_token", 400, hint("Token is not linked to client"), AuthorisationError, "another integration"),
    ("refresh_token", 401, {"title": "Client authentication failed"}, ConfigError, "client_id and client_secret"),
    ("authorization_code", 400, hint("Invalid redirect URI"), ConfigError, "redirect_uri"),
    ("refresh_token", 404, "<html>nothing</html>", ConfigError, "subdomain"),
    ("refresh_token", 400, "not json", AuthorisationError, "tap-amocrm-login"),
    ("refresh_token", 403, "<html>nginx</html>", AccountBlockedError, "blocked"),
    ("refresh_token", 401, hint("s3cret-key refresh-given"), AuthorisationError, "tap-amocrm-login"),
]


@pytest.mark.parametrize(("kind", "status", "body", "error", "said"), REFUSALS)
def test_a_refusal_says_what_it_means_and_shows_no_secret(endpoint, file, caplog, kind, status, body, error, said):
    caplog.set_level(logging.DEBUG)
    endpoint.script = [(status, body)]
    settings = {kind: "c0de-given" if kind == "authorization_code" else "refresh-given"}
    with pytest.raises(error, match=said) as caught:
        oauth(endpoint, file, **settings).authorization()
    assert_no_secret(caught.value, caplog.text)
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize("fault", ["drop", (200, '{"access_token": "refresh-given", '), (500, "s3cret-key")])
def test_no_secret_is_in_the_error_of_an_unreachable_service(endpoint, file, caplog, fault):
    caplog.set_level(logging.DEBUG)
    endpoint.script = [fault] * 4
    with pytest.raises(UnreachableError) as caught:
        oauth(endpoint, file, refresh_token="refresh-given").authorization()
    assert_no_secret(caught.value, caplog.text)


def assert_no_secret(error, log):
    """Neither in what is logged nor in the error, what led to it, or what they carry."""
    seen = [log]
    while error is not None:
        seen += [str(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    assert not [s for s in SECRETS for text in seen if s in text]


def test_an_account_that_has_moved_is_named(endpoint, file):
    endpoint.headers = {"Location": "https://renamed.amocrm.ru/oauth2/access_token"}
    endpoint.script = [(301, "")]
    with pytest.raises(ConfigError, match=r"renamed\.amocrm\.ru: set subdomain"):
        oauth(endpoint, file, refresh_token="refresh-given").authorization()


def test_after_a_wrong_secret_is_put_right_the_chain_goes_on(sim, file):
    header = oauth(sim, file, authorization_code="sim-code").authorization()
    sim.control("expire_tokens")
    wrong = oauth(sim, file, client_secret="mistyped")
    assert wrong.authorization() == header
    with pytest.raises(ConfigError, match="client_secret"):
        wrong.renew(header)
    right = oauth(sim, file)
    assert right.renew(right.authorization())
    assert opens(sim, right.authorization())


def test_an_expired_chain_says_what_to_do_in_one_sentence(sim, file):
    oauth(sim, file, authorization_code="sim-code").authorization()
    sim.simulator.tokens.refresh.clear()
    later = oauth(sim, file)
    with pytest.raises(AuthorisationError, match=r"^[^.]*run tap-amocrm-login to authorise the integration again\.$"):
        later.renew(later.authorization())


# -- settings ------------------------------------------------------------------------------------------------------


def test_a_long_lived_token_goes_before_oauth_and_can_not_be_renewed(endpoint, file):
    token = oauth(endpoint, file, access_token=" long-lived\n", refresh_token="refresh-given")
    assert token.authorization() == "Bearer long-lived"
    assert not token.renew("Bearer long-lived")
    assert endpoint.bodies == []


@pytest.mark.parametrize("token", ["s3cret-key two", "s3cret-key\nX: y", "s3cret-keyю"])
def test_a_token_that_can_not_stand_in_a_header_is_named_and_not_shown(endpoint, file, token):
    with pytest.raises(ConfigError, match="access_token") as caught:
        oauth(endpoint, file, access_token=token)
    assert_no_secret(caught.value, "")


@pytest.mark.parametrize("name", ["client_id", "client_secret", "redirect_uri", "token_file"])
def test_a_missing_setting_is_named(endpoint, file, name):
    with pytest.raises(ConfigError, match=name):
        oauth(endpoint, file, **{name: ""})


def test_without_any_token_the_command_that_gets_one_is_named(endpoint, file):
    with pytest.raises(TapError, match="tap-amocrm-login"):
        oauth(endpoint, file).authorization()
    assert endpoint.bodies == []
