"""The review page served over HTTP in a thread, and a hand that uses it as a browser would."""

from __future__ import annotations

import html
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import requests
import uvicorn

from target_crm.config.settings import Settings
from target_crm.web.addresses import served_origins
from target_crm.web.app import create_app
from target_crm.web.crm import Crm
from target_crm.web.protocol import DeadlineProtocol
from target_crm.web.security import Access
from target_crm.web.server import LOOPBACK


class Served:
    """A page that is being served; `enter` gives a browser that has come in."""

    def __init__(self, url: str, access: Access) -> None:
        self.url, self.access = url, access

    @property
    def entrance(self) -> str:
        """The address that the command would print."""
        return f"{self.url}/enter?token={self.access.token}"

    def enter(self, language: str = "en") -> Browser:
        """A browser of its own, with a session."""
        browser = Browser(self.url, language)
        assert browser.get(f"/enter?token={self.access.token}").status_code == 200
        return browser


class Browser:
    """Cookies, the form's hidden token, the Origin: what a browser sends by itself."""

    def __init__(self, url: str, language: str = "en") -> None:
        self.url = url
        self.http = requests.Session()
        self.http.headers["Accept-Language"] = language

    def get(self, path: str, **options: Any) -> requests.Response:
        """Load a page; redirects are followed."""
        return self.http.get(self.url + path, timeout=30, **options)

    def text(self, path: str) -> str:
        """A page's text without its tags, on one line."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return plain(answer.text)

    def post(self, path: str, fields: Mapping[str, Any], *, page: str = "/runs", **headers: str) -> requests.Response:
        """Send a form as the page `page` would, with its hidden token."""
        token = hidden(self.get(page).text, "form_token")
        return self.send(path, {"form_token": token, **fields}, **headers)

    def send(self, path: str, fields: Mapping[str, Any], **headers: str) -> requests.Response:
        """Send a form with these fields alone."""
        given = {"Origin": self.url, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return self.http.post(self.url + path, data=fields, headers=given, timeout=60)

    def settle(self, number: int, take: str, **more: Any) -> requests.Response:
        """Open a conflict and decide at once."""
        page = self.get(f"/conflicts/{number}").text
        return self.decide(page, number, take, **more)

    def decide(self, page: str, number: int, take: str, **more: Any) -> requests.Response:
        """Decide by a page that was loaded before."""
        fields = {name: hidden(page, name) for name in ("form_token", "seen")}
        return self.send(f"/conflicts/{number}", {**fields, "take": take, **more})


def hidden(page: str, name: str) -> str:
    """The value of a page's first hidden field of that name."""
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', page)
    assert found, f"the page has no field {name}"
    return html.unescape(found[1])


def plain(page: str) -> str:
    """The text of a page's main part without tags, on one line."""
    body = page[page.index("<main") :].partition("</main>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


@contextmanager
def serving(
    config: Mapping[str, Any],
    password: str | None = None,
    tell: Callable[[str], Any] = str,
    public_urls: Sequence[str] = (),
) -> Iterator[Served]:
    """Serve the CRM of these settings on a free port; `tell` gets what the command would print."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    access = Access(served_origins(LOOPBACK, port, https=False, public_urls=public_urls), password, port)
    with Crm(Settings.from_config(dict(config))) as crm:
        crm.make_indexes(tell)
        server = uvicorn.Server(
            uvicorn.Config(create_app(crm, access), http=DeadlineProtocol, log_level="warning", lifespan="off")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield Served(f"http://127.0.0.1:{port}", access)
        finally:
            server.should_exit = True
            thread.join(20)
            listening.close()
