"""How browsers reach the review page: through proxies and tunnels, by links, slowly, and with absurd addresses."""

from __future__ import annotations

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.cookies import SimpleCookie
from urllib.parse import urljoin, urlsplit, urlunsplit

import pytest
import requests
import review_data
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql
from review_server import Browser, hidden, plain, serving

from target_crm.errors import ConfigError
from target_crm.web.addresses import local_path, served_origins
from target_crm.web.protocol import DeadlineProtocol

PASSWORD = "очень длинный пароль"


@pytest.fixture
def served(crm):
    review_data.fill(crm)
    with serving(crm.config) as found:
        yield found


def test_many_guesses_at_the_same_moment_share_the_few_attempts_of_a_minute(crm):
    crm.load([])
    with serving(crm.config, PASSWORD) as locked, ThreadPoolExecutor(40) as pool:
        answers = pool.map(lambda n: Browser(locked.url).send("/enter", {"password": f"guess {n}"}), range(40))
        codes = sorted(a.status_code for a in answers)
    assert codes == [401] * 5 + [429] * 35


def test_right_answers_do_not_use_up_the_attempts(crm):
    crm.load([])
    with serving(crm.config, PASSWORD) as locked:
        for _ in range(8):
            browser = Browser(locked.url)
            browser.send("/enter", {"password": PASSWORD})
            assert browser.get("/runs").status_code == 200


HOSTILE_ADDRESSES = [
    "/\\/\\evil.example",
    "/\\\\evil.example",
    "/\\//evil.example",
    "//evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/%09/evil.example",
    "/%5c%5cevil.example",
    "///evil.example",
    "/.//evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "/x/..//\\evil.example",
    "/conflicts?x=\r\nSet-Cookie: a=b",
]


def test_choosing_a_language_never_leads_to_another_site(served):
    browser = served.enter()
    for back in HOSTILE_ADDRESSES:
        answer = browser.get("/language/ru", params={"back": back}, allow_redirects=False)
        location = answer.headers["Location"]
        assert "\\" not in location, back
        assert urlsplit(urljoin(served.url, location)).netloc == urlsplit(served.url).netloc, back
        assert "a" not in answer.cookies, back


@given(st.text(alphabet="/\\.:@?#%\t\n\r 25cCfFex", max_size=20))
def test_a_local_path_stays_on_this_site_whatever_is_asked_for(text):
    path = local_path(text)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert all(c.isprintable() and c not in ("\\", " ") for c in path)


def test_a_proxy_with_tls_on_its_usual_port_works_and_gets_secure_cookies(crm):
    review_data.fill(crm)
    with serving(crm.config, PASSWORD, public_urls=["https://crm.example.com"]) as served:
        for host in ("crm.example.com", "crm.example.com:443"):
            headers = {"Host": host, "Origin": f"https://{host}"}
            answer = requests.post(
                f"{served.url}/enter", data={"password": PASSWORD}, headers=headers, allow_redirects=False, timeout=30
            )
            cookie = SimpleCookie(answer.headers["Set-Cookie"])
            assert answer.status_code == 303
            assert all(morsel["secure"] for morsel in cookie.values())
            session = {name: morsel.value for name, morsel in cookie.items()}
            page = requests.get(f"{served.url}/conflicts", headers=headers, cookies=session, timeout=30)
            form = {"form_token": hidden(page.text, "form_token")}
            left = requests.post(
                f"{served.url}/leave", data=form, headers=headers, cookies=session, allow_redirects=False, timeout=30
            )
            assert left.status_code == 303


def test_a_tunnel_by_another_local_port_works_when_its_address_is_given(crm):
    review_data.fill(crm)
    with serving(crm.config, public_urls=["http://127.0.0.1:9000"]) as served:
        answer = requests.get(served.entrance, headers={"Host": "127.0.0.1:9000"}, timeout=30)
        assert answer.status_code == 200


def test_an_address_that_is_not_served_names_the_option_that_serves_it(served):
    answer = requests.get(served.entrance, headers={"Host": "127.0.0.1:9000"}, timeout=30)
    assert answer.status_code == 421
    assert "--public-url" in answer.text


@pytest.mark.parametrize("scheme", ["https", "ftp"])
def test_a_form_from_the_same_host_by_another_scheme_is_refused(served, scheme):
    browser = served.enter()
    origin = served.url.replace("http", scheme, 1)
    answer = browser.post("/rejects/drop", {"id": 1, "reason": "x"}, Origin=origin)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "url", ["crm.example.com", "ftp://x", "https://u@h", "https://h/path", "https://", "http://h:x"]
)
def test_a_public_url_that_is_not_an_address_is_refused(url):
    with pytest.raises(ConfigError, match="--public-url"):
        served_origins(["localhost"], 1, https=False, public_urls=[url])


def test_an_allowed_host_is_served_with_and_without_its_port():
    origins = served_origins([], 8420, https=False, allowed=["crm.example.com", "[::1]:9000"])
    assert origins == {
        "crm.example.com:8420": "http",
        "crm.example.com:80": "http",
        "crm.example.com": "http",
        "[::1]:9000": "http",
    }


def test_a_connection_that_sends_half_a_request_is_closed(served, monkeypatch):
    monkeypatch.setattr(DeadlineProtocol, "request_seconds", 0.3)
    for sent in (b"GET / HTTP/1.1\r\nHost: x", b"", b"POST /enter HTTP/1.1\r\nContent-Length: 9\r\n\r\na"):
        with connected(served) as connection:
            connection.sendall(sent)
            answer = read_to_end(connection)
        assert not answer or b" 4" in answer.splitlines()[0], sent


def test_a_browser_that_leaves_in_the_middle_of_a_form_is_no_error(served, caplog):
    log = logging.getLogger("uvicorn.error")
    log.addHandler(caplog.handler)
    try:
        with connected(served) as connection:
            host = urlsplit(served.url).netloc
            head = f"POST /enter HTTP/1.1\r\nHost: {host}\r\nOrigin: {served.url}\r\nContent-Length: 100\r\n"
            connection.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\nname=".encode())
            time.sleep(0.2)
        for _ in range(3):
            assert served.enter().get("/runs").status_code == 200
    finally:
        log.removeHandler(caplog.handler)
    assert caplog.records == []


def test_a_request_that_arrives_byte_by_byte_is_cut_off_in_time(served, monkeypatch):
    monkeypatch.setattr(DeadlineProtocol, "request_seconds", 0.5)
    ended = threading.Event()

    def trickle():
        with suppress(OSError):
            while not ended.wait(0.05):
                connection.sendall(b"x")

    with connected(served) as connection:
        sender = threading.Thread(target=trickle)
        sender.start()
        try:
            assert read_to_end(connection) == b""
        finally:
            ended.set()
            sender.join()


def connected(served):
    host, port = urlsplit(served.url).netloc.split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def read_to_end(connection):
    """All that comes until the server closes the connection; a server that does not is a TimeoutError."""
    answer = b""
    with suppress(ConnectionError):
        while part := connection.recv(65536):
            answer += part
    return answer


ABSURD_ADDRESSES = [
    "/runs/" + "9" * 23,
    "/runs/" + "9" * 5000,
    "/conflicts/" + "9" * 5000,
    "/conflicts/-1",
    "/records?table=contacts&key=%C2%B2",
    "/records?table=contacts&key=" + "9" * 5000,
    "/records?table=contacts&key=" + "9" * 19,
    "/records?table=contacts&key=amo:" + "9" * 5000,
    "/records?table=contacts&key=amo:%C2%B2",
    "/records?table=contacts&key=amo:1:2:3",
    "/records/contacts/%00",
    "/records/contacts/%ff%fe",
    "/records/contacts/amo:%D9%A3",
]


def test_an_absurd_number_or_key_leads_to_no_page(served):
    browser = served.enter()
    for path in ABSURD_ADDRESSES:
        assert browser.get(path).status_code == 404, path[:60]


def test_a_form_of_very_many_fields_is_refused(served):
    browser = served.enter()
    fields = "&".join("a" for _ in range(400_000))
    for path in ("/enter", "/conflicts/bulk"):
        answer = browser.send(path, fields, Content_Type="application/x-www-form-urlencoded")
        assert answer.status_code in (401, 403), path


def test_a_link_from_a_mail_is_followed_after_the_login(served):
    for path in ("/conflicts/1?table=contacts", "/runs/1/undo", "/records/contacts/x"):
        browser = Browser(served.url)
        browser.get(path)
        answer = browser.http.get(served.entrance, allow_redirects=False, timeout=30)
        assert answer.headers["Location"] == path


def test_a_link_is_followed_once(served):
    browser = Browser(served.url)
    browser.get("/rejects")
    browser.http.get(served.entrance, timeout=30)
    assert browser.http.get(served.entrance, allow_redirects=False, timeout=30).headers["Location"] == "/"


def test_a_remembered_link_that_somebody_forged_stays_on_this_site(served):
    browser = Browser(served.url)
    name = served.access.wanted_cookie
    answer = browser.http.get(
        served.entrance, cookies={name: "%2F%5C%5Cevil.example"}, allow_redirects=False, timeout=30
    )
    assert answer.headers["Location"] == "/"


def test_the_language_can_be_chosen_before_entering(served):
    browser = Browser(served.url)
    answer = browser.get("/language/ru?back=/enter")
    assert answer.url.endswith("/enter")
    assert "ключ" in plain(answer.text)


def test_a_database_that_cannot_be_reached_is_said_in_the_readers_language(crm, monkeypatch):
    monkeypatch.setattr("target_crm.web.crm.POOL_SECONDS", 0.5)
    name = sql.Identifier(f"gone_{crm.schema}")
    crm.connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    url = urlunsplit(urlsplit(crm.url)._replace(path=f"/gone_{crm.schema}"))
    try:
        with serving({**crm.config, "database_url": url}) as served:
            browser = served.enter("ru")
            crm.connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
            crm.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name._obj[0])
            answer = browser.get("/runs")
    finally:
        crm.connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
    assert answer.status_code == 503
    assert "База данных сейчас недоступна" in plain(answer.text)
    assert not any(word.isascii() and word.isalpha() for word in plain(answer.text).split())
