"""A small amoCRM whose answers a test bends: wrong dates, bodies that are not lists, pages without end, slow bytes.

The simulator answers as the service does; what here answers need not be possible.
"""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tap_amocrm.errors import TapError
from tap_amocrm.tap import TapAmoCRM

CONTACTS = "/api/v4/contacts"
Query = dict[str, str]


class Request(BaseHTTPRequestHandler):
    """One request; `answer` and `raw` are what a bend answers with."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    api: BentApi

    def do_GET(self) -> None:
        """Let the bend answer, or the account."""
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        self.api.seen.append(Seen(url.path, query, dict(self.headers), time.monotonic()))
        if self.api.bend is None or not self.api.bend(self, url.path, query):
            self.answer(*self.api.page(url.path, query))

    def answer(self, status: int, body: Any = None, **headers: str) -> bool:
        """An answer with a JSON body, or bytes as they are; True."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        path = urlsplit(self.path).path
        head = {"Content-Type": "application/hal+json", "Content-Length": str(len(data))}
        date = self.api.date(path)
        head |= {} if date is None else {"Date": formatdate(date, usegmt=True)}
        head |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in head.items()), "", ""]
        return self.raw("\r\n".join(lines).encode("latin-1") + data)

    def raw(self, data: bytes) -> bool:
        """Bytes as they are; True."""
        try:
            self.wfile.write(data)
        except OSError:
            self.close_connection = True
        return True

    def log_message(self, *args: Any) -> None:
        """Nothing is logged."""


@dataclass(frozen=True)
class Seen:
    """A request that has come; `at` is of the monotonic clock."""

    path: str
    query: Query
    headers: dict[str, str]
    at: float


class BentApi:
    """An account with some contacts and companies, served until `close`.

    `ahead` are the seconds by which its clock is before this machine's; `date` says what an answer's Date header
    carries, None for no header.
    """

    def __init__(self, contacts: int = 30) -> None:
        self.ahead, self.filters = 0.0, True
        self.bend: Callable[[Request, str, Query], bool] | None = None
        self.date: Callable[[str], float | None] = lambda path: self.now()
        self.seen: list[Seen] = []
        begun = int(self.now())
        self.lists = {
            "contacts": [self.record(i, begun - 5000 + i) for i in range(1, contacts + 1)],
            "companies": [self.record(900 + i, begun - 5000 + i) for i in range(3)],
            "users": [{"id": 1, "name": "Anna", "rights": {"is_active": True}}],
        }
        handler = type("Handler", (Request,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def now(self) -> float:
        """The service's time."""
        return time.time() + self.ahead

    @staticmethod
    def record(number: int, at: int) -> dict[str, Any]:
        """A contact or company."""
        return {
            "id": number, "name": f"n{number}", "responsible_user_id": 1, "created_by": 1, "updated_by": 1,
            "created_at": at, "updated_at": at, "account_id": 77, "custom_fields_values": None,
            "_embedded": {"tags": [], "companies": []},
        }  # fmt: skip

    def change(self, number: int, name: str = "changed") -> None:
        """Change a contact now."""
        self.lists["contacts"][number - 1] |= {"name": name, "updated_at": int(self.now())}

    def page(self, path: str, query: Query) -> tuple[int, Any]:
        """What the account answers."""
        if path == "/api/v4/account":
            zone = {"datetime_settings": {"timezone": "Europe/Moscow"}}
            flags = {"is_api_filter_enabled": self.filters, "customers_mode": "disabled"}
            return 200, {"id": 77, "subdomain": "bent", **flags, "_embedded": zone}
        name = path.removeprefix("/api/v4/")
        records = self.lists.get(name, [])
        if self.filters:
            low = int(query.get("filter[updated_at][from]", 0))
            high = int(query.get("filter[updated_at][to]", 1 << 40))
            records = [r for r in records if low <= (r.get("updated_at") or 0) <= high]
        for by in ("id", "updated_at"):
            if order := query.get(f"order[{by}]"):
                records = sorted(records, key=lambda r: (r[by] or 0, r["id"]), reverse=order == "desc")
        size, number = int(query.get("limit", 50)), int(query.get("page", 1))
        part = records[(number - 1) * size : number * size]
        if not part:
            return 204, None
        more = len(records) > number * size
        links = {"next": {"href": f"{self.url}{path}?page={number + 1}"}} if more else {}
        return 200, {"_page": number, "_links": links, "_embedded": {name.rsplit("/", 1)[-1]: part}}


@dataclass
class Read:
    """What a run of the tap gave."""

    records: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    state: dict[str, Any] | None = None
    error: TapError | None = None

    def names(self, stream: str = "contacts") -> dict[int, str]:
        """The names of a stream's records by id; the last versions of deleted ones have none."""
        return {r["id"]: r["name"] for r in self.records[stream] if not r.get("is_deleted")}

    def bookmark(self, stream: str = "contacts") -> str | None:
        """The stream's bookmark."""
        found = ((self.state or {}).get("bookmarks") or {}).get(stream) or {}
        return found.get("replication_key_value")


def read(api: BentApi, state: dict[str, Any] | None = None, **settings: Any) -> Read:
    """One run of the tap in this process; an error that it raises on purpose is kept."""
    config = {"api_url": api.url, "access_token": "s3cret-token", "requests_per_second": 1000, "page_size": 10}
    done, written, out = Read(), io.BytesIO(), sys.stdout
    sys.stdout = SimpleNamespace(buffer=written, flush=lambda: None, fileno=out.fileno)  # type: ignore[assignment]
    try:
        TapAmoCRM(config={**config, "definitions_lifetime": 0, **settings}, state=state or {}).sync_all()
    except TapError as error:
        done.error = error
    finally:
        sys.stdout = out
    for line in written.getvalue().split(b"\n"):
        message = json.loads(line) if line else {"type": ""}
        if message["type"] == "RECORD":
            done.records[message["stream"]].append(message["record"])
        elif message["type"] == "STATE":
            done.state = message["value"]
    return done
