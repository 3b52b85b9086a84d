"""A real PgBouncer before a test's server, in the pool mode that is asked for."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class PgBouncer:
    """Listens on a free port of the loopback; `url` leads through it. Skips the test where it is not installed."""

    def __init__(self, url: str, mode: str, **options: object) -> None:
        if PROGRAM is None:
            pytest.skip("pgbouncer is not installed")
        parts = conninfo_to_dict(url)
        host, user = str(parts.get("host") or "127.0.0.1"), str(parts.get("user") or "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._folder = Path(tempfile.mkdtemp(prefix="pgb"))
        # PgBouncer does not run as root: it runs as whoever can pass to the server's socket.
        owner = Path(host).stat().st_uid if host.startswith("/") else 65534
        os.chown(self._folder, owner, -1) if os.geteuid() == 0 else None
        settings = {"pool_mode": mode, "default_pool_size": 3, **options}
        (self._folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={host} port={parts.get('port') or 5432} user={user}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nunix_socket_dir =\n"
            + "".join(f"{name} = {value}\n" for name, value in settings.items())
        )
        self._folder.chmod(0o755)
        as_owner = {"user": owner, "extra_groups": []} if os.geteuid() == 0 and owner else {}
        self._process = subprocess.Popen(
            [PROGRAM, "-q", str(self._folder / "pgbouncer.ini")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **as_owner,  # type: ignore[arg-type]
        )
        name = quote(str(parts.get("dbname") or "postgres"), safe="")
        self.url = f"postgresql://{user}:@/{name}?host=127.0.0.1&port={port}"
        deadline = time.monotonic() + 10
        while True:
            try:
                psycopg.connect(self.url).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.__exit__()
                    raise
                time.sleep(0.05)

    def __enter__(self) -> PgBouncer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
