"""Files that other users of this machine can neither read nor prepare: folders, whole writes, locks with a limit.

What is found is checked before it is used: its kind, its owner, its mode. Symbolic links in our own folder are not
followed. On Windows, where a profile's folders belong to their user, only kinds are checked.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tap_amocrm.errors import TapError

logger = logging.getLogger("tap-amocrm")
_POSIX = os.name == "posix"
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# A wait for a lock that is longer is named in the log.
_WORTH_A_LINE = 2.0


class ForeignFileError(OSError):
    """What was found is not ours, or not of the kind that is needed; `strerror` says what it is."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(0, problem, str(path))


class LockedError(TapError):
    """A lock was not released within its time limit."""


def shared_folder() -> Path:
    """The folder for what this user's processes share on this machine, made if need be: of mode 0700, and ours.

    It is in the user's cache folder, which is the same for a login and for cron; where that can't be used, in the
    runtime folder or below the folder for temporary files.

    Raises:
        OSError: none of them can be used.
    """
    problem: OSError | None = None
    for folder in _candidates():
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_folder(folder)
        except OSError as error:
            problem = problem or error
        else:
            return folder
    raise problem or OSError("no folder to use")


def _candidates() -> Iterator[Path]:
    user = os.getuid() if _POSIX else os.environ.get("USERNAME", "user")
    with suppress(RuntimeError):  # a user without a home
        if sys.platform == "win32":
            yield Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "tap-amocrm"
        elif sys.platform == "darwin":
            yield Path.home() / "Library/Caches/tap-amocrm"
        else:
            given = os.environ.get("XDG_CACHE_HOME", "")
            cache = Path(given) if given.startswith("/") else Path.home() / ".cache"
            if cache.is_absolute() and cache != Path("/.cache"):
                yield cache / "tap-amocrm"
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{user}")
    if _POSIX and runtime.is_dir():
        yield runtime / "tap-amocrm"
    yield Path(tempfile.gettempdir()) / f"tap-amocrm-{user}"


def check_folder(folder: Path) -> None:
    """Make a folder of mode 0700, or see that what is there is one of ours.

    Raises:
        ForeignFileError: a link, a file, or a folder of another user is in its place.
        OSError: it can't be made.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise ForeignFileError(folder, f"it is {kind_of(found.st_mode)}")
    if not _POSIX:
        return
    if found.st_uid != os.geteuid():
        raise ForeignFileError(folder, f"it belongs to user {found.st_uid}")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ForeignFileError(folder, "it can't be written to")


def kind_of(mode: int) -> str:
    """What a file mode says that a file is."""
    names = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
        stat.S_IFREG: "a file",
    }
    return names.get(stat.S_IFMT(mode), "of an unknown kind")


def check_file(path: Path) -> None:
    """See that a path can be written as a file of ours; neither changes nor opens what is there.

    Raises:
        ForeignFileError: there is something else than a regular file of this user, or its folder can't be written to.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        _check_place(path.parent)
        return
    except OSError as error:
        raise ForeignFileError(path, error.strerror or str(error)) from None
    if not stat.S_ISREG(found.st_mode):
        raise ForeignFileError(path, f"it is {kind_of(found.st_mode)}, not a file")
    if _POSIX and found.st_uid != os.geteuid():
        raise ForeignFileError(path, f"it belongs to user {found.st_uid}, not to the one that runs this")
    _check_place(path.parent)


def _check_place(folder: Path) -> None:
    """Whether a file can be made in a folder, which need not exist yet."""
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    if not folder.is_dir():
        raise ForeignFileError(folder, f"{folder} is not a folder")
    try:
        # Rights alone do not tell: the file system may be read-only, or full.
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(b"trial")
    except OSError as error:
        raise ForeignFileError(folder, f"{folder}: {error.strerror or error}") from None


def write_whole(path: Path, text: str, *, durable: bool = False) -> None:
    """Replace a file's content by text, whole or not at all; its mode is 0600.

    Args:
        path: The file. A link in its place is replaced, not followed.
        text: Written as UTF-8.
        durable: Whether it must be on the disk when this returns.

    Raises:
        OSError: it can't be written; the file is as it was.
    """
    # One name: what a killed process left behind is overwritten, so that no old content stays around.
    part = path.with_name(f".{path.name}.part")
    try:
        with suppress(FileNotFoundError):
            part.unlink()
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
        if durable and _POSIX:  # on Windows a folder can't be opened; the rename is journalled
            _sync_folder(path.parent)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class FileLock:
    """A lock that processes share, on a file of mode 0600 beside what it guards.

    Args:
        path: The lock file; made when first needed.
        limit: Seconds that `held` waits.
        hint: What to do when the time is over; the last sentence of the message.
    """

    def __init__(self, path: Path, limit: float, hint: str) -> None:
        import fasteners  # not every run of a command locks a file

        self.path, self._limit, self._hint = path, limit, hint
        self._lock = fasteners.InterProcessLock(str(path))

    @contextmanager
    def held(self, delay: float = 0.01, max_delay: float = 0.1) -> Iterator[None]:
        """Hold the lock; not for several threads at once.

        Raises:
            LockedError: another process holds it for longer than the limit.
            OSError: the file can't be opened, or is not ours.
        """
        self._prepare()
        if not self._acquire(delay, max_delay):
            msg = f"Another process has held the lock {self.path} for {self._limit:,.0f} s. {self._hint}"
            raise LockedError(msg, file=str(self.path))
        try:
            yield
        finally:
            self._lock.release()

    def _acquire(self, delay: float, max_delay: float) -> bool:
        try:
            return self._wait(delay, max_delay)
        except threading.ThreadError as error:  # so fasteners calls what is wrong with a file
            raise ForeignFileError(self.path, f"it can't be locked ({error})") from None

    def _wait(self, delay: float, max_delay: float) -> bool:
        first = min(_WORTH_A_LINE, self._limit)
        if self._lock.acquire(delay=delay, max_delay=max_delay, timeout=first):
            return True
        if self._limit > first:
            logger.warning("Waiting for another process, which holds the lock %s.", self.path)
            begun = time.monotonic()
            if self._lock.acquire(delay=delay, max_delay=max_delay, timeout=self._limit - first):
                logger.info("The lock %s is free after %.0f s more.", self.path, time.monotonic() - begun)
                return True
        return False

    def _prepare(self) -> None:
        """Make the file, so that nobody else can open and lock it; a file that is not ours is not opened."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600))
            found = self.path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise ForeignFileError(self.path, f"it is {kind_of(found.st_mode)}, not a file")
        if _POSIX and found.st_uid != os.geteuid():
            raise ForeignFileError(self.path, f"it belongs to user {found.st_uid}, not to the one that runs this")
        if _POSIX and found.st_mode & 0o077:
            self.path.chmod(0o600)


def read_private(path: Path) -> str:
    """A file's text; a link in its place is not followed.

    Raises:
        OSError: it can't be read.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | _NOFOLLOW), encoding="utf-8", errors="replace") as file:
        return file.read()
