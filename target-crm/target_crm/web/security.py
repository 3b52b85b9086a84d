"""Who may see the page: hosts, origins, the token or the password, sessions, forged forms, what a browser may do.

Nothing is stored: a session is a signed cookie, the key lives as long as the process.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from target_crm.web.addresses import local_path

SESSION_SECONDS = 12 * 3600
MOST_BODY_BYTES = 1_000_000
_ATTEMPTS, _ATTEMPT_SECONDS = 5, 60.0
_FORM = "application/x-www-form-urlencoded"
# Pages without a session; /metrics has its own token.
_OPEN_PATHS = ("/enter", "/static/", "/language/", "/metrics")
# How long the address that somebody asked for is remembered while they enter.
_WANTED_SECONDS = 600
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Login(NamedTuple):
    """A session: its own number, and of a user with a password the name and what stands for that
    password (`Access.stamp_of`)."""

    id: str
    user: str = ""
    stamp: str = ""


@dataclass
class Access:
    """Who may come in. `origins` maps each value of Host that is served to the scheme by which browsers come.

    Without a password the token of the printed address lets in; with one, or where the page is served to other machines
    (`remote`), it does not. People with passwords of their own come in either way.
    """

    origins: Mapping[str, str]
    password: str | None = field(default=None, repr=False)
    port: int = 0
    remote: bool = False
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def __post_init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._salt = secrets.token_bytes(16)
        self._password = None if self.password is None else self._hash(self.password)
        self.password = None
        self._attempts: deque[float] = deque()
        self._lock = threading.Lock()
        self._left: set[str] = set()
        # Cookies do not know ports: two pages on one machine must not end each other's sessions.
        self.cookie = f"target-crm-review-{self.port}"
        self.wanted_cookie = f"target-crm-wanted-{self.port}"

    @property
    def wants_password(self) -> bool:
        """Whether passwords let in, and not the token."""
        return self._password is not None or self.remote

    def _hash(self, password: str) -> bytes:
        return hashlib.scrypt(password.encode(), salt=self._salt, n=2**14, r=8, p=1)

    def is_token(self, given: str) -> bool:
        """Whether this is the token; never where a password is required. Counts as an attempt first (`may_try`)."""
        return self.judge(not self.wants_password and hmac.compare_digest(given.encode(), self.token.encode()))

    def is_password(self, given: str) -> bool:
        """Whether this is the password that all share. Counts as an attempt first (`may_try`); then see `judge`."""
        return self._password is not None and hmac.compare_digest(self._hash(given), self._password)

    def judge(self, right: bool) -> bool:
        """Whether an answer was right; such a one does not count against the limit."""
        if right:
            with self._lock:
                if self._attempts:
                    self._attempts.pop()
        return right

    def may_try(self) -> bool:
        """Take one of the few attempts of a minute; False when none is left.

        An attempt counts before its answer is known: many guesses at the same moment share the same few attempts.
        """
        with self._lock:
            while self._attempts and self._attempts[0] < time.monotonic() - _ATTEMPT_SECONDS:
                self._attempts.popleft()
            if len(self._attempts) >= _ATTEMPTS:
                return False
            self._attempts.append(time.monotonic())
            return True

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def is_secure(self, headers: Headers) -> bool:
        """Whether the browser came by HTTPS, as the address that it asked for says."""
        return self.origins.get(headers.get("host", "").lower()) == "https"

    def remember_wanted(self, response: Response, headers: Headers, address: str) -> None:
        """Remember the address that a browser without a session asked for."""
        response.set_cookie(
            self.wanted_cookie,
            quote(address, safe="/"),
            max_age=_WANTED_SECONDS,
            httponly=True,
            samesite="lax",
            secure=self.is_secure(headers),
        )

    def stamp_of(self, kept: str) -> str:
        """What stands for a person's password in their session: another one has another stamp."""
        return self._sign(f"password {kept}")[:16]

    def let_in(self, response: Response, headers: Headers, user: str = "", kept: str = "") -> None:
        """Give the browser a session; of a user with a password, with name and hash of that."""
        if self.wanted_cookie in headers.get("cookie", ""):
            response.delete_cookie(self.wanted_cookie)
        name = secrets.token_urlsafe(18)
        if user:
            name += f"~{base64.urlsafe_b64encode(user.encode()).decode().rstrip('=')}~{self.stamp_of(kept)}"
        head = f"{name}.{int(time.time()) + SESSION_SECONDS}"
        response.set_cookie(
            self.cookie,
            f"{head}.{self._sign(head)}",
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=self.is_secure(headers),
        )

    def leave(self, session: str) -> None:
        """End a session before its time."""
        self._left.add(session)

    def session_of(self, headers: Headers) -> Login | None:
        """The session of a request, None without a valid cookie."""
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return None
        name, _, rest = (found.value if found else "").partition(".")
        until, _, signature = rest.partition(".")
        if not hmac.compare_digest(self._sign(f"{name}.{until}").encode(), signature.encode()):
            return None
        login = _login(name)
        return login if float(until) > time.time() and login.id not in self._left else None

    def form_token(self, session: str) -> str:
        """What a form of this session must carry."""
        return self._sign(f"form {session}")

    def is_own_form(self, session: str, given: str) -> bool:
        """Whether a form was made for this session."""
        return hmac.compare_digest(self.form_token(session).encode(), given.encode())


def _login(name: str) -> Login:
    number, _, rest = name.partition("~")
    user, _, stamp = rest.partition("~")
    try:
        return Login(number, base64.urlsafe_b64decode(user + "=" * (-len(user) % 4)).decode(), stamp)
    except (binascii.Error, ValueError):  # signed, so it is ours; of another version of the page
        return Login(number)


class Guard:
    """Stands before the application: refuses what is not for it, and says what a browser may do with the answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if not scope["path"].startswith("/static/"):
                    headers["Cache-Control"] = "no-store"
                    headers["Vary"] = "Cookie, HX-Request"
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host not in self.access.origins:
            return PlainTextResponse(
                "The review page is not served under this address. Start serve with --public-url and the address that "
                "the browser shows (a tunnel or a proxy with TLS), or with --allowed-host NAME.\n",
                status_code=421,
            )
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("Method not allowed.\n", status_code=405)
        if scope["method"] == "POST" and (problem := self._not_ours(headers, host)):
            return problem
        session = self.access.session_of(headers)
        scope.setdefault("state", {})["session"] = session
        path = scope["path"]
        if session is None and not any(path == p or (p.endswith("/") and path.startswith(p)) for p in _OPEN_PATHS):
            if scope["method"] != "POST":
                response = RedirectResponse("/enter", status_code=303)
                if path != "/" and headers.get("sec-fetch-dest", "document") == "document":
                    query = scope["query_string"].decode("latin-1")
                    self.access.remember_wanted(response, headers, local_path(path + (f"?{query}" if query else "")))
                return response
            return PlainTextResponse("The session has ended; enter again.\n", status_code=401)
        return None

    def _not_ours(self, headers: Headers, host: str) -> Response | None:
        """A POST must come from a page of this very origin, as a form that is not too long."""
        origin = headers.get("origin", "").lower()
        if (
            origin != f"{self.access.origins[host]}://{host}"
            or headers.get("sec-fetch-site", "same-origin") != "same-origin"
        ):
            return PlainTextResponse(
                "The form comes from another address. Behind a proxy with TLS, start serve with --public-url https://NAME.\n",
                status_code=403,
            )
        if headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return PlainTextResponse("Only forms are taken.\n", status_code=415)
        length = headers.get("content-length", "")
        if not length.isdigit() or int(length) > MOST_BODY_BYTES:
            return PlainTextResponse("The form is too long.\n", status_code=413)
        return None
