"""An account made of given records, of whatever shape, served over HTTP like the API v4.

The simulator keeps records in order; here they may be anything: what filters and orders need is read leniently.
"""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tap_amocrm.tap import TapAmoCRM

Record = dict[str, Any]


def read_payloads(folder: Path) -> dict[str, list[Any]]:
    """Lists of records by path, from the files of a folder."""
    return {file.stem.replace("__", "/"): json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("*.json"))}


def _number(record: Any, name: str) -> int:
    try:
        number = int(record.get(name) or 0)
        return number // 1000 if name.endswith("_at") and number > 10**11 else number
    except (AttributeError, TypeError, ValueError, OverflowError):
        return 0


class PayloadAccount:
    """Serves `lists`; they may be exchanged between two runs. `asked` holds the paths with their queries."""

    def __init__(self, lists: Mapping[str, list[Any]]) -> None:
        self.lists: Mapping[str, list[Any]] = lists
        self.asked: list[str] = []
        account = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                account.asked.append(self.path)
                status, body = account.answer(self.path)
                data = b"" if body is None else json.dumps(body).encode()
                head = (f"HTTP/1.1 {status} X", "Content-Type: application/hal+json", f"Content-Length: {len(data)}")
                head = (*head, f"Date: {formatdate(usegmt=True)}")
                self.wfile.write("\r\n".join((*head, "", "")).encode() + data)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, target: str) -> tuple[int, Any]:
        """Status and body of a GET."""
        url = urlsplit(target)
        name = url.path.removeprefix("/api/v4/")
        pairs = parse_qsl(url.query, keep_blank_values=True)
        if name == "account":
            return 200, self.lists["account"][0]
        parent, _, identity = name.rpartition("/")
        if parent in self.lists and identity.isdigit():
            found = [r for r in self.lists[parent] if _number(r, "id") == int(identity)]
            return (200, found[0]) if found else (204, None)
        records = [r for r in self.lists.get(name, []) if self._matches(r, name, pairs)]
        given = dict(pairs)
        for key, direction in pairs:
            if key.startswith("order["):
                records.sort(key=lambda r: _number(r, key[6:-1]), reverse=direction == "desc")
        page, limit = int(given.get("page", 1)), int(given.get("limit", 50))
        chosen = records[(page - 1) * limit : page * limit]
        if not chosen:
            return 204, None
        body: Record = {"_embedded": {name.rsplit("/", 1)[-1]: chosen}, "_links": {}}
        if page * limit < len(records):
            query = urlencode([*((k, v) for k, v in pairs if k != "page"), ("page", page + 1)])
            body["_links"]["next"] = {"href": f"{self.url}{url.path}?{query}"}
        return 200, body

    @staticmethod
    def _matches(record: Any, name: str, pairs: list[tuple[str, str]]) -> bool:
        wanted: dict[str, set[str]] = {}
        for key, value in pairs:
            if key.startswith("filter[") and key.endswith("[from]"):
                if _number(record, key[7:-7]) < int(value):
                    return False
            elif key.startswith("filter[") and key.endswith("[to]"):
                if _number(record, key[7:-5]) > int(value):
                    return False
            elif key.startswith("filter[") and "company" not in key and "custom_fields" not in key:
                wanted.setdefault(key[7:].split("]")[0], set()).add(value)
        return all(str(record.get(field)) in values for field, values in wanted.items() if isinstance(record, dict))


@contextmanager
def payload_account(lists: Mapping[str, list[Any]]) -> Iterator[PayloadAccount]:
    """An account that serves these records while the block runs."""
    account = PayloadAccount(lists)
    try:
        yield account
    finally:
        account.close()


def read_account(
    url: str,
    state: Record | None = None,
    *,
    everything: bool = True,
    without: str | None = None,
    **settings: Any,
) -> list[Record]:
    """The messages of one run of the tap, in this process.

    Args:
        url: The account's address.
        state: The state to start from.
        everything: Whether optional streams are selected, too.
        without: A property that is deselected in all streams.
        settings: Further settings of the tap.
    """
    config = {"api_url": url, "access_token": "token", "requests_per_second": 1000, "share_throttle": False, **settings}
    catalog: Any = None
    if everything or without:
        catalog = TapAmoCRM(config=dict(config)).catalog_dict
        for stream in catalog["streams"]:
            for entry in stream["metadata"]:
                if not entry["breadcrumb"]:
                    entry["metadata"]["selected"] = everything or entry["metadata"].get("selected", True)
                elif entry["breadcrumb"][-1] == without:
                    entry["metadata"]["selected"] = False
    written, out = io.BytesIO(), sys.stdout
    sys.stdout = io.TextIOWrapper(written, write_through=True)
    try:
        TapAmoCRM(config=config, state=state, catalog=catalog).sync_all()
        sys.stdout.flush()
    finally:
        sys.stdout.detach()
        sys.stdout = out
    return [json.loads(line) for line in written.getvalue().splitlines()]
