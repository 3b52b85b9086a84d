"""Who may see the page: hosts, origins, the token or the password, sessions, forged forms, what a browser may do.

Nothing is stored: a session is a signed cookie, the key lives as long as the process.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SESSION_SECONDS = 12 * 3600
MOST_BODY_BYTES = 1_000_000
_FAILURES, _FAILURE_SECONDS = 5, 60.0
_FORM = "application/x-www-form-urlencoded"
_OPEN_PATHS = ("/enter", "/static/")
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


@dataclass
class Access:
    """Who may come in. `names` are the values of Host that are served, with their port.

    Without a password the token of the printed address lets in; with one, nothing but the password does.
    """

    names: frozenset[str]
    password: str | None = field(default=None, repr=False)
    https: bool = False
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def __post_init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._salt = secrets.token_bytes(16)
        self._password = None if self.password is None else self._hash(self.password)
        self.password = None
        self._failures: deque[float] = deque()
        self._left: set[str] = set()
        port = next(iter(sorted(self.names)), "").rpartition(":")[2]
        # Cookies do not know ports: two pages on one machine must not throw each other's sessions out.
        self.cookie = f"target-crm-review-{port}"

    @property
    def wants_password(self) -> bool:
        """Whether a password lets in, and not the token."""
        return self._password is not None

    def _hash(self, password: str) -> bytes:
        return hashlib.scrypt(password.encode(), salt=self._salt, n=2**14, r=8, p=1)

    def is_token(self, given: str) -> bool:
        """Whether this is the token; never, where a password is wanted."""
        return not self.wants_password and hmac.compare_digest(given.encode(), self.token.encode())

    def is_password(self, given: str) -> bool:
        """Whether this is the password."""
        return self._password is not None and hmac.compare_digest(self._hash(given), self._password)

    def is_tired(self) -> bool:
        """Whether there were too many wrong attempts in the last minute."""
        while self._failures and self._failures[0] < time.monotonic() - _FAILURE_SECONDS:
            self._failures.popleft()
        return len(self._failures) >= _FAILURES

    def failed(self) -> None:
        """A wrong attempt."""
        self._failures.append(time.monotonic())

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def let_in(self, response: Response) -> None:
        """Give the browser a session."""
        head = f"{secrets.token_urlsafe(18)}.{int(time.time()) + SESSION_SECONDS}"
        response.set_cookie(
            self.cookie,
            f"{head}.{self._sign(head)}",
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=self.https,
        )

    def leave(self, session: str) -> None:
        """End a session before its time."""
        self._left.add(session)

    def session_of(self, headers: Headers) -> str | None:
        """The session of a request, None without a valid cookie."""
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return None
        name, _, rest = (found.value if found else "").partition(".")
        until, _, signature = rest.partition(".")
        if not hmac.compare_digest(self._sign(f"{name}.{until}").encode(), signature.encode()):
            return None
        return name if float(until) > time.time() and name not in self._left else None

    def form_token(self, session: str) -> str:
        """What a form of this session must carry."""
        return self._sign(f"form {session}")

    def is_own_form(self, session: str, given: str) -> bool:
        """Whether a form was made for this session."""
        return hmac.compare_digest(self.form_token(session).encode(), given.encode())


def served_names(hosts: Iterable[str], port: int, https: bool) -> frozenset[str]:
    """The values of Host for these names: with the port, and without it where it is the scheme's own."""
    names = set()
    for host in hosts:
        shown = f"[{host}]" if ":" in host else host.lower()
        names.add(f"{shown}:{port}")
        if port == (443 if https else 80):
            names.add(shown)
    return frozenset(names)


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
        if host not in self.access.names:
            return PlainTextResponse(
                "This page is not served under this name. --allowed-host NAME adds one.\n", status_code=421
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
                return RedirectResponse("/enter", status_code=303)
            return PlainTextResponse("The session has ended; enter again.\n", status_code=401)
        return None

    def _not_ours(self, headers: Headers, host: str) -> Response | None:
        """A POST must come from a page of this very origin, as a form that is not too long."""
        try:
            origin = urlsplit(headers.get("origin", ""))
            given = origin.netloc.lower()
        except ValueError:
            given = ""
        if given != host or headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return PlainTextResponse("The form comes from elsewhere.\n", status_code=403)
        if headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return PlainTextResponse("Only forms are taken.\n", status_code=415)
        length = headers.get("content-length", "")
        if not length.isdigit() or int(length) > MOST_BODY_BYTES:
            return PlainTextResponse("The form is too long.\n", status_code=413)
        return None
