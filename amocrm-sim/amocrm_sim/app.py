"""The server: routes of the API, of OAuth, and of the simulator's own controls."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import formatdate
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from amocrm_sim import lists
from amocrm_sim.arrivals import arrival
from amocrm_sim.drive import Drive
from amocrm_sim.gate import BAN_PAGE, Faults, Latency, RateLimit, RequestLog, Tokens, parse_faults
from amocrm_sim.options import Options
from amocrm_sim.store import Store, encode
from amocrm_sim.webhooks import Webhooks

LONGEST_URL = 8192
HAL, PROBLEM = "application/hal+json", "application/problem+json"


class Dropped(Response):
    """No answer at all: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reset the connection (SO_LINGER of zero) and wait until the server has seen it."""
        transport = scope[_TRANSPORT]
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


_TRANSPORT = "amocrm_sim.transport"


def _with_transport(app: ASGIApp) -> ASGIApp:
    """The application, which finds its connection's transport in the scope; uvicorn's `send` is bound to it."""

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        cycle = getattr(send, "__self__", None)
        scope[_TRANSPORT] = getattr(cycle, "transport", None)
        await app(scope, receive, send)

    return outermost


class Simulator:
    """One account over HTTP. `app` is its ASGI application."""

    def __init__(self, store: Store, options: Options) -> None:
        self.store, self.options = store, options
        self.log = RequestLog()
        self.limit = RateLimit(options.rps)
        self.faults = Faults(parse_faults(options.faults))
        self.latency = Latency(options.latency)
        self.tokens = Tokens(
            options.token, options.client_id, options.client_secret, options.code, options.access_token_lifetime
        )
        self.webhooks = Webhooks(store.account.id, plain=store.plain)
        store.on_change = self.webhooks.changed
        self.store_lock = threading.RLock()
        self.drive = Drive(store.now, options.files)
        self.answers = ThreadPoolExecutor(1, "amocrm-sim-answers")
        self.scheduled: dict[int, list[dict[str, Any]]] = {}
        self.expire_at: set[int] = set()
        self.odd_dates: dict[int, float] = {}
        routes = [
            Route("/oauth2/access_token", self.access_token, methods=["POST"]),
            Route("/oauth", self.authorise),
            Route("/_sim/{name:path}", self.control, methods=["GET", "POST"]),
            Route("/{path:path}", self.api, methods=["GET", "POST", "PATCH", "DELETE"]),
        ]
        self.app = _with_transport(Starlette(routes=routes))

    # -- the API ---------------------------------------------------------------------------------------------------

    async def api(self, request: Request) -> Response:
        """Any API request: noted, limited, authorised, answered, perhaps spoilt."""
        content = b"" if request.method == "GET" else await request.body()
        return await self.guarded(request, partial(self.answer, content=content))

    async def guarded(self, request: Request, answer: Callable[[Request, str], Response]) -> Response:
        """A request of the API or the drive, answered by `answer` if nothing is in its way."""
        query = request.url.query
        entry = self.log.arrived(request.method, request.url.path, query, arrival(request.scope.get(_TRANSPORT)))
        started = time.monotonic()
        number = len(self.log.entries)
        for change in self.scheduled.pop(number, ()):
            with self.store_lock:
                self.controlled(change["action"], change["body"])
        if number in self.expire_at:
            self.tokens.expire()
        response = self.refusal(request, query, entry["at"])
        fault = self.faults.next() if response is None else None
        if response is None and self.limit.rps:
            # Where arrivals are counted, none may wait unseen while another answer is being made.
            response = await asyncio.get_running_loop().run_in_executor(self.answers, answer, request, query)
        elif response is None:
            response = answer(request, query)
        delay = self.latency.draw() + (1.5 if fault == "slow" else 0)
        if delay:
            await asyncio.sleep(delay)
        response = spoil(response, fault)
        response.headers.setdefault("Date", self.date(number))
        entry["status"] = 0 if isinstance(response, Dropped) else response.status_code
        entry["seconds"] = time.monotonic() - started
        return response

    def refusal(self, request: Request, query: str, arrived: float) -> Response | None:
        """What stops a request before its endpoint: ban, limit (by its time of arrival), length, token."""
        admitted = self.limit.admits(arrived)
        if self.limit.banned:
            return Response(BAN_PAGE, 403, media_type="text/html")
        if not admitted:
            headers = {"Retry-After": "1"} if self.limit.refusals % 2 else {}
            return Response(encode(problem(429, "Too Many Requests")), 429, headers, PROBLEM)
        if len(request.url.path) + len(query) > LONGEST_URL:
            return Response(
                "<html><head><title>414 Request-URI Too Large</title></head></html>", 414, media_type="text/html"
            )
        if not self.tokens.accepts(request.headers.get("authorization", "")):
            return Response(encode({**problem(401, "Unauthorized"), "hint": "110"}), 401, media_type=PROBLEM)
        return None

    def answer(self, request: Request, query: str, content: bytes = b"") -> Response:
        """The healthy answer of an endpoint."""
        base = str(request.base_url).rstrip("/")
        pairs = tuple(parse_qsl(query, keep_blank_values=True))
        if request.url.path == "/api/v4/webhooks" and request.method in ("POST", "DELETE"):
            status, body = self.change_webhooks(request.method, content)
        else:
            with self.store_lock:
                status, body = lists.respond(self, request.method, request.url.path, pairs, base)
        if body is None:
            return Response(b"", status)
        content = body if isinstance(body, bytes) else encode(body)
        return Response(content, status, media_type=HAL if status < 400 else PROBLEM)

    def change_webhooks(self, method: str, content: bytes) -> tuple[int, Any]:
        """Subscribe or unsubscribe; administrators alone may."""
        if not self.options.admin or "webhooks" in self.options.refuse:
            return 403, problem(403, "Forbidden", "no rights for this method")
        try:
            return self.webhooks.respond(method, json.loads(content))
        except ValueError:
            return 400, problem(400, "Bad Request", "the body is not JSON")

    def date(self, number: int) -> str:
        """The Date header of an answer: the server's clock, wrong by what was asked for this one."""
        moment = self.store.now() + self.odd_dates.pop(number, 0)
        return formatdate(moment, usegmt=True)

    # -- OAuth -----------------------------------------------------------------------------------------------------

    async def access_token(self, request: Request) -> Response:
        """Exchange a code or a refresh token."""
        entry = self.log.arrived("POST", request.url.path, "", arrival(None))
        if self.limit.banned:
            return Response(BAN_PAGE, 403, media_type="text/html")
        try:
            body = json.loads(await request.body())
        except ValueError:
            body = {}
        status, answer = self.tokens.exchange(body if isinstance(body, dict) else {})
        entry["status"] = status
        return Response(encode(answer), status, media_type="application/json" if status == 200 else PROBLEM)

    async def authorise(self, request: Request) -> Response:
        """The page on which a person allows the integration: it allows at once and redirects."""
        values = request.query_params
        self.tokens.codes.add(self.options.code)
        given = {
            "code": self.options.code,
            "referer": request.url.netloc,
            "client_id": values.get("client_id", ""),
            "state": values.get("state", ""),
        }
        target = values.get("redirect_uri") or "http://127.0.0.1/"
        return RedirectResponse(f"{target}?{urlencode(given)}", 302)

    # -- controls --------------------------------------------------------------------------------------------------

    async def control(self, request: Request) -> Response:
        """The simulator's own endpoints; not part of any account."""
        name = request.path_params["name"]
        body = json.loads(await request.body() or b"{}") if request.method == "POST" else {}
        if name == "dump":
            kinds = request.query_params.get("kind")
            return StreamingResponse(
                lists.dump(self.store, kinds.split(",") if kinds else None), media_type="application/x-ndjson"
            )
        try:
            with self.store_lock:
                result = self.controlled(name, body)
        except (KeyError, TypeError, ValueError) as error:
            return Response(
                encode({"error": f"{name}: {type(error).__name__}: {error}"}), 400, media_type="application/json"
            )
        return Response(encode(result), 200, media_type="application/json")

    def controlled(self, name: str, body: dict[str, Any]) -> Any:
        """Do what a control endpoint says.

        Raises:
            KeyError: there is no such endpoint, kind or record.
        """
        if name in ("create", "update", "delete", "restore", "merge", "link"):
            return self.store.change(name, body)
        if name == "drive":  # {"do": "upload", "uuid": ..., ...}, or nothing
            done = self.drive.change(body.pop("do"), **body) if body else None
            drive = self.drive
            seen = {"leaked": drive.leaked, "bytes_sent": drive.bytes_sent, "starts": drive.starts}
            return {"done": done, "url": self.options.drive_url, **seen}
        if name == "schedule":  # {"request": n (from now), "action": ..., "body": ...}
            at = len(self.log.entries) + int(body["request"])
            self.scheduled.setdefault(at, []).append({"action": body["action"], "body": body["body"]})
            return {"at_request": at}
        if name == "faults":  # {"rates": "500=0.1,..."} or {"script": {"3": "502"}} counted from now
            self.faults.rates = parse_faults(body.get("rates", ""))
            self.faults.script |= {self.faults.counter + int(n): kind for n, kind in body.get("script", {}).items()}
            return {"rates": self.faults.rates, "seen": dict(self.faults.seen)}
        if name == "expire_tokens":  # now, or at the given requests from now
            if "requests" in body:
                self.expire_at |= {len(self.log.entries) + int(n) for n in body["requests"]}
            else:
                self.tokens.expire()
            return {"issued": self.tokens.issued}
        if name == "requests":
            return self.log.entries
        if name == "reset_requests":
            self.log.entries.clear()
            self.scheduled.clear()
            return {}
        if name == "stats":
            return self.log.stats() | {
                "refusals": self.limit.refusals,
                "banned": self.limit.banned,
                "faults": dict(self.faults.seen),
            }
        if name == "clock":  # {"offset": seconds}, {"dates": {"3": seconds}}: Date of the third answer from now alone
            self.store.clock_offset = float(body.get("offset", self.store.clock_offset))
            done = len(self.log.entries)
            self.odd_dates |= {done + int(n): float(seconds) for n, seconds in body.get("dates", {}).items()}
            return {"now": self.store.now()}
        if name == "webhooks":  # how badly calls are made, see amocrm_sim.webhooks.Unkind
            return self.webhooks.set_unkind(body)
        if name == "unban":
            self.limit = RateLimit(self.options.rps)
            return {}
        if name == "options":
            return self.set_options(body)
        if name == "counts":
            return Counter({kind: len(k.ids) for kind, k in self.store.kinds.items()})
        raise KeyError(name)

    def set_options(self, body: dict[str, Any]) -> dict[str, Any]:
        """Switch options while the server runs."""
        account = {
            k: v
            for k, v in body.items()
            if k in ("filter_package", "company_filter", "id_filter_without_package", "hidden_user")
        }
        self.options.account = replace(self.options.account, **account)
        for key, value in body.items():
            if key in account:
                continue
            if key == "latency":
                self.latency = Latency(str(value))
            elif key == "rps":
                self.limit = RateLimit(float(value))
            elif not hasattr(self.options, key):
                raise KeyError(key)
            setattr(self.options, key, tuple(value) if key == "refuse" else value)
        return {"ok": True}


class Accounts:
    """Several accounts in one process, each and its drive on a separate port: an ASGI application that asks the port."""

    def __init__(self, by_port: dict[int, Simulator], drives: dict[int, ASGIApp]) -> None:
        self.by_port = by_port
        self.drives = {port: _with_transport(drive) for port, drive in drives.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the account, or its drive, whose port it came in at."""
        port = scope["server"][1]
        app = self.drives.get(port) or self.by_port[port].app
        await app(scope, receive, send)


def problem(status: int, title: str, detail: str = "") -> dict[str, Any]:
    """A problem body."""
    return {"title": title, "type": f"https://httpstatus.es/{status}", "status": status, "detail": detail}


def spoil(response: Response, fault: str | None) -> Response:
    """The answer as a fault leaves it."""
    if fault in (None, "slow"):
        return response
    if fault in ("500", "502", "504"):
        return Response(f"<html><h1>{fault}</h1></html>", int(fault), media_type="text/html")
    if fault == "429":
        return Response(encode(problem(429, "Too Many Requests")), 429, {"Retry-After": "1"}, PROBLEM)
    if fault == "204":
        return Response(b"", 204)
    if fault == "400":
        error = {
            "code": "NotSupportedChoice",
            "path": "filter.updated_at",
            "detail": "The value is not a valid choice.",
        }
        body = problem(400, "Bad Request", "Request validation failed")
        body["validation-errors"] = [{"request_id": "0", "errors": [error]}]
        return Response(encode(body), 400, media_type=PROBLEM)
    if fault == "402":
        return Response(encode(problem(402, "Payment Required", "The account is not paid")), 402, media_type=PROBLEM)
    if fault == "403":
        return Response(BAN_PAGE, 403, media_type="text/html")
    if fault == "html200":
        return Response("<!DOCTYPE html><html><body>Технические работы</body></html>", 200, media_type="text/html")
    if fault == "reset" or not response.body:
        return Dropped()
    content = bytes(response.body)
    if fault == "gzip":
        packed = gzip.compress(content)
        return Response(packed[:10] + b"\xff" * 4 + packed[14:], 200, {"Content-Encoding": "gzip"}, HAL)
    return Response(content[: len(content) // 2], 200, media_type=HAL)
