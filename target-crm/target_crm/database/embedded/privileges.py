"""As whom PostgreSQL's programs run: never as root, and with an entry in the user database, which initdb asks for."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from target_crm.errors import DatabaseError

ACCOUNT = "embedded_postgres"
_CLONE_NEWUSER = 0x10000000
_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 47, 2
_CAPABILITIES_VERSION = 0x20080522
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: the way through folders that are open to root alone.
_WAY = (1, 2)


@dataclass(frozen=True)
class Runner:
    """Starts programs as the user of a data_dir. `uid` is None where that is the user who runs us."""

    uid: int | None = None
    gid: int = 0
    keeps_way: bool = False

    def own(self, path: Path) -> None:
        """Give a folder to that user."""
        if self.uid is not None:
            os.chown(path, self.uid, self.gid)

    def prepare(self, *, wants_name: bool = False) -> Callable[[], None] | None:
        """What a child process does before it becomes the program.

        Raises:
            DatabaseError: the user has no entry in the user database, and none can be lent.
        """
        if self.uid is not None:
            libc = ctypes.CDLL(None, use_errno=True)
            return lambda: self._become(libc)
        if wants_name and not _has_name(os.geteuid()):
            return _lend_name()
        return None

    def _become(self, libc: ctypes.CDLL) -> None:
        assert self.uid is not None
        os.setgroups([])
        if self.keeps_way:
            libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
        os.setgid(self.gid)
        os.setuid(self.uid)
        if self.keeps_way:
            _raise_way(libc)


def runner_for(directory: Path, binaries: Path, *, has_cluster: bool) -> Runner:
    """Who runs the server of a directory: its owner, who for root is a separate user.

    No folder above the directory is opened for that user: where the way is closed to all but root, the server keeps
    root's right to pass, and no other.

    Raises:
        DatabaseError: the directory is another user's, or no other user than root can be had.
    """
    owner = directory.stat()
    if os.geteuid() != 0:
        if owner.st_uid != os.geteuid():
            msg = (
                f"Setting data_dir: {directory} belongs to user {_name_of(owner.st_uid)}, and this is user "
                f"{_name_of(os.geteuid())}: run it as that user, or choose another folder."
            )
            raise DatabaseError(msg)
        return Runner()
    if has_cluster:
        owner = (directory / "PG_VERSION").stat()
    if owner.st_uid == 0 and has_cluster:
        msg = (
            f"Setting data_dir: the database in {directory} belongs to root, as which PostgreSQL does not run: give "
            f"it to another user (chown -R {ACCOUNT} {directory})."
        )
        raise DatabaseError(msg)
    uid, gid = (owner.st_uid, owner.st_gid) if owner.st_uid else _account()
    closed = not all(_is_open(path, uid, gid) for path in (directory.parent, *_programs(binaries)))
    if closed and not sys.platform.startswith("linux"):
        msg = (
            f"As root the embedded PostgreSQL runs as user {_name_of(uid)}, who can't reach {directory}: choose a "
            "data_dir that every user can access."
        )
        raise DatabaseError(msg)
    return Runner(uid, gid, closed)


def _programs(binaries: Path) -> Iterable[Path]:
    share = binaries.parent / "share"
    return (binaries / "postgres", binaries / "initdb", binaries.parent / "lib", share if share.exists() else binaries)


def _is_open(path: Path, uid: int, gid: int) -> bool:
    """Whether a user can pass to a path and into it."""
    for step in (path, *path.parents):
        found = step.stat()
        shift = 6 if found.st_uid == uid else 3 if found.st_gid == gid else 0
        wanted = 0o5 if step == path else 0o1
        if (found.st_mode >> shift) & wanted != wanted:
            return False
    return True


def _account() -> tuple[int, int]:
    """The user for root's clusters, who is made if need be."""
    for attempt in range(2):
        try:
            found = pwd.getpwnam(ACCOUNT)
        except KeyError:
            if attempt == 0:
                _make_account()
            continue
        return found.pw_uid, found.pw_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        msg = (
            f"PostgreSQL does not run as root, and the user {ACCOUNT} can't be made here: run as another user, or set "
            "database_url."
        )
        raise DatabaseError(msg) from None
    return nobody.pw_uid, nobody.pw_gid


def _make_account() -> None:
    shell = shutil.which("nologin") or "/bin/false"
    for command in (
        ["useradd", "--system", "--user-group", "--no-create-home", "--shell", shell, ACCOUNT],
        ["adduser", "-S", "-D", "-H", ACCOUNT],
    ):
        program = shutil.which(command[0])
        if program and subprocess.run([program, *command[1:]], capture_output=True, check=False).returncode == 0:  # noqa: S603
            return


def _raise_way(libc: ctypes.CDLL) -> None:
    """Keep the right to pass through closed folders for the program that comes next."""
    bits = sum(1 << number for number in _WAY)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    held = (ctypes.c_uint32 * 6)()
    libc.capget(header, held)
    kept = held[1] & bits
    data = (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0)
    libc.capset(header, data)
    for number in _WAY:
        if kept >> number & 1:
            libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0)


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _name_of(uid: int) -> str:
    return pwd.getpwuid(uid).pw_name if _has_name(uid) else str(uid)


def _lend_name() -> Callable[[], None]:
    """In a user namespace the user is called by the number of one who has a name; files stay the user's own."""
    uid, gid = os.geteuid(), os.getegid()
    shown = next((entry for entry in pwd.getpwall() if entry.pw_uid), None)
    if shown is None or not sys.platform.startswith("linux") or not _may_lend():
        msg = (
            f"User {uid} has no entry in /etc/passwd, which PostgreSQL asks for when a database is made, and this "
            "system lends none: add an entry, make data_dir once as a user who has one, or set database_url."
        )
        raise DatabaseError(msg)
    libc = ctypes.CDLL(None, use_errno=True)

    def enter() -> None:
        if libc.unshare(_CLONE_NEWUSER):
            raise OSError(ctypes.get_errno(), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{shown.pw_uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{shown.pw_gid} {gid} 1")

    return enter


def _may_lend() -> bool:
    """Whether this system lets its users make namespaces; tried by a process that ends at once."""
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if child == 0:
        os._exit(1 if libc.unshare(_CLONE_NEWUSER) else 0)
    return os.waitpid(child, 0)[1] == 0
