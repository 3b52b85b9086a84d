"""A Kubernetes API that only pretends: what a client asks of batch/v1 Jobs, each of which runs here as a process."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_JOBS = re.compile(r"^/apis/batch/v1/namespaces/(?P<namespace>[^/]+)/jobs(?:/(?P<name>[^/]+)/status)?$")


class KubernetesApi:
    """Runs the one container of each Job in `cwd`, with these variables and those of its spec; `jobs` are the specs."""

    def __init__(self, environment: dict[str, str], folder: Path, cwd: Path) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self._environment, self._folder, self._cwd = environment, folder, cwd
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(201, api._start(self._place()["namespace"], body))

            def do_GET(self) -> None:
                found = api._status(self._place()["name"])
                self._answer(404 if found is None else 200, found or {"kind": "Status", "code": 404})

            def _place(self) -> dict[str, str]:
                place = _JOBS.match(self.path.partition("?")[0])
                assert place is not None, self.path
                return place.groupdict()

            def _answer(self, code: int, document: dict[str, Any]) -> None:
                text = json.dumps(document).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> KubernetesApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for child in self._running.values():
            child.kill()
            child.wait()

    @property
    def kubeconfig(self) -> Path:
        """A file by which clients find it."""
        file = self._folder / "kubeconfig.json"
        named = {"server": f"http://127.0.0.1:{self._server.server_address[1]}"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
            "clusters": [{"name": "here", "cluster": named}],
            "users": [{"name": "here", "user": {}}],
        }
        file.write_text(json.dumps(document))
        return file

    def _start(self, namespace: str, job: dict[str, Any]) -> dict[str, Any]:
        name, (container,) = job["metadata"]["name"], job["spec"]["template"]["spec"]["containers"]
        self.jobs[name] = {**job, "namespace": namespace}
        given = {one["name"]: one["value"] for one in container.get("env") or () if "value" in one}
        with (self._folder / f"{name}.log").open("w") as log:
            self._running[name] = subprocess.Popen(
                [*(container.get("command") or ()), *(container.get("args") or ())],
                env={**self._environment, **given},
                cwd=self._cwd,
                stdout=log,
                stderr=log,
            )
        return job

    def _status(self, name: str) -> dict[str, Any] | None:
        if name not in self.jobs:
            return None
        code = self._running[name].poll()
        status = {"active": 1} if code is None else {"failed": 1} if code else {"succeeded": 1}
        return {**{key: self.jobs[name][key] for key in ("metadata", "spec")}, "status": status}
