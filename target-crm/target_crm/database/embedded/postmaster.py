"""The server process of a data_dir: whether it runs, where its socket is, and how it is stopped."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

_SECONDS_TO_STOP = (30.0, 10.0)
# Given to each server that is started here, so that it is known from those of other programs.
CLUSTER_NAME = "target-crm"


@dataclass(frozen=True)
class Postmaster:
    """What postmaster.pid says, and the process where it is really the server of that directory."""

    pid: int
    socket_dir: str
    is_ready: bool
    process: psutil.Process | None


def read_postmaster(directory: Path) -> Postmaster | None:
    """What postmaster.pid says; None where there is no such file, or an unreadable one.

    The number in it may belong to another process by now: after a crash, a reboot, or in another container.
    """
    try:
        lines = (directory / "postmaster.pid").read_text("utf-8", "replace").splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return None
    lines += [""] * (8 - len(lines))
    return Postmaster(pid, lines[4].strip(), lines[7].strip() in ("ready", "standby"), _server(pid, directory))


def _server(pid: int, directory: Path) -> psutil.Process | None:
    """The process of that number, if it is a PostgreSQL that works in that directory."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or "postgres" not in process.name():
            return None
        return process if _works_in(process, directory) else None
    except (psutil.Error, OSError):
        return None


def _works_in(process: psutil.Process, directory: Path) -> bool:
    try:
        return directory.samefile(process.cwd())
    except psutil.AccessDenied:
        # Root of a container may not look: then its command line must name the directory, and its user own it.
        command = process.cmdline()
        named = any(pair == ("-D", str(directory)) for pair in pairwise(command))
        return named and process.uids().effective == (directory / "PG_VERSION").stat().st_uid


def _is_ours(process: psutil.Process) -> bool:
    """Whether a server was started here. Its command line tells: the options in postmaster.opts are still those of the
    server before while another one is starting."""
    try:
        return f"cluster_name={CLUSTER_NAME}" in process.cmdline()
    except (psutil.Error, OSError):
        return False


def stop_server(directory: Path) -> bool:
    """Stop the directory's server: open transactions are rolled back; whether it is gone.

    Nothing but a PostgreSQL of that very directory that was started here is ever sent a signal; one that another
    program started there is left running, and counts as gone.
    """
    found = read_postmaster(directory)
    if found is None or found.process is None or not _is_ours(found.process):
        return True
    for number, seconds in zip((signal.SIGINT, signal.SIGQUIT), _SECONDS_TO_STOP, strict=True):
        try:
            found.process.send_signal(number)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if not _lives(found.process):
                    _forget_socket(directory, found.socket_dir)
                    return True
                time.sleep(0.01)
        except psutil.NoSuchProcess:
            _forget_socket(directory, found.socket_dir)
            return True
        except psutil.Error:
            return False
    return False


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        # A server that this process started stays a zombie until it is waited for.
        with suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _forget_socket(directory: Path, socket_dir: str) -> None:
    """Remove the private folder of the socket where data_dir's path was not suitable for it."""
    with suppress(OSError):
        if socket_dir and not directory.samefile(socket_dir):
            Path(socket_dir).rmdir()
