"""The drive's own host: its list of files, their versions, and downloads that go wrong as downloads do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from amocrm_sim import query as q
from amocrm_sim.drive import Drive, File, Version, as_shown
from amocrm_sim.gate import BAN_PAGE
from amocrm_sim.records import Record
from amocrm_sim.store import encode

if TYPE_CHECKING:
    from amocrm_sim.app import Simulator

_CHUNK = 8192
_SECONDS_BETWEEN_CHUNKS = 0.1
_PROBLEM = "application/problem+json"


class DriveHost:
    """An ASGI application: the drive of one account. Its requests count among the account's."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        if request.url.path.startswith("/storage/"):
            response = self.storage(request)
        else:
            response = await self.simulator.guarded(request, self.answer)
        await response(scope, receive, send)

    def answer(self, request: Request, query: str) -> Response:
        """The healthy answer of an endpoint, or a download."""
        drive, path = self.simulator.drive, request.url.path
        if request.method != "GET":
            return _problem(405, "Method Not Allowed")
        base = str(request.base_url).rstrip("/")
        if path.rstrip("/") == "/v1.0/files":
            return self._list(drive, base, tuple(parse_qsl(query, keep_blank_values=True)))
        found = re.fullmatch(r"/v1\.0/files/([\w.-]+?)(/versions)?/?", path)
        if found:
            file = drive.files.get(found[1])
            if file is None:
                return _problem(404, "Not Found")
            return self._versions(file, base) if found[2] else _json(self._shown(file, base))
        found = re.fullmatch(r"/download/(\d+)/([\w.-]+)(?:/([\w.-]+))?", path)
        file = drive.files.get(found[2]) if found else None
        if found is None or file is None:
            return _problem(404, "Not Found")
        version = file.find(found[3]) if found[3] else file.version
        if version is None:
            return _problem(404, "Not Found")
        if file.number % 3 == 0:
            # The storage has a separate host, and an address that is its own permission.
            storage = base.replace("//127.0.0.1", "//localhost")
            return RedirectResponse(f"{storage}/storage/{file.uuid}/{version.uuid}", 302)
        return self.download(file, version, request.headers.get("range"))

    def _shown(self, file: File, base: str, version: Version | None = None) -> Record:
        return as_shown(file, base, self.simulator.store.account.id, version)

    def _list(self, drive: Drive, base: str, pairs: q.Pairs) -> Response:
        wanted = {uuid for value in q.params(pairs, "filter[uuid]") for uuid in value.split(",")}
        deleted = dict(pairs).get("filter[deleted]") in ("1", "true")
        files = [f for f in drive.listed(deleted=deleted) if not wanted or f.uuid in wanted]
        page, limit = q.page_and_limit(pairs, most=100)
        chosen = files[(page - 1) * limit : page * limit]
        if not chosen:
            return Response(b"", 204)
        links = {"self": {"href": f"{base}/v1.0/files"}}
        if page * limit < len(files):
            kept = [(k, v) for k, v in pairs if k != "page"]
            links["next"] = {"href": f"{base}/v1.0/files?{urlencode([*kept, ('page', str(page + 1))])}"}
        body = {"_count": len(files), "_links": links, "_embedded": {"files": [self._shown(f, base) for f in chosen]}}
        return _json(body)

    def _versions(self, file: File, base: str) -> Response:
        shown = [self._shown(file, base, version) for version in file.versions]
        return _json({"_embedded": {"files": shown}})

    def storage(self, request: Request) -> Response:
        """A download from the storage, which takes no token."""
        drive = self.simulator.drive
        if "authorization" in request.headers:
            drive.leaked += 1
            return _problem(400, "Only one auth mechanism allowed")
        _, _, uuid, version_uuid = request.url.path.split("/")[:4]
        file = drive.files.get(uuid)
        version = file.find(version_uuid) if file else None
        if file is None or version is None:
            return _problem(404, "Not Found")
        return self.download(file, version, request.headers.get("range"))

    def download(self, file: File, version: Version, wanted: str | None) -> Response:
        """The bytes of a version, or how they go wrong."""
        how = self.simulator.drive.spoilt(file.uuid)
        if how in ("500", "404"):
            return _problem(int(how), "Error")
        if how == "html":
            return Response(BAN_PAGE, 200, media_type="text/html")
        content = version.content(file.uuid)
        if how == "longer":
            content += b"more"
        found = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        start = int(found[1]) if found and how != "no_range" else 0
        self.simulator.drive.starts.append(start)
        if start and start >= len(content):
            return Response(b"", 416, {"Content-Range": f"bytes */{len(content)}"})
        headers = {"ETag": f'"{version.uuid}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        status = 206 if start else 200
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        rest = content[start:]
        if how == "short":
            # All of what was announced, and less than the file holds.
            rest = rest[: len(rest) // 2]
        return Download(self.simulator.drive, rest, status, headers, how)


class Download(Response):
    """Bytes in pieces; `cut` ends in the middle, `slow` takes its time."""

    def __init__(self, drive: Drive, content: bytes, status: int, headers: dict[str, str], how: str) -> None:
        super().__init__(content, status, headers)
        self._drive, self._how = drive, how

    async def _pieces(self) -> AsyncIterator[bytes]:
        content = bytes(self.body)
        end = len(content) // 2 if self._how == "cut" else len(content)
        for start in range(0, end, _CHUNK):
            if self._how == "slow":
                await asyncio.sleep(_SECONDS_BETWEEN_CHUNKS)
            piece = content[start : min(start + _CHUNK, end)]
            self._drive.bytes_sent += len(piece)
            yield piece

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces; a cut download ends with its connection."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for piece in self._pieces():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if self._how == "cut":
            cycle = getattr(send, "__self__", None)
            transport = getattr(cycle, "transport", None)
            if transport is not None:
                transport.close()
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _json(body: Any) -> Response:
    return Response(encode(body), 200, media_type="application/hal+json")


def _problem(status: int, title: str) -> Response:
    return Response(encode({"title": title, "status": status}), status, media_type=_PROBLEM)
