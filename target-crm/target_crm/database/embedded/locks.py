"""Locks on files in data_dir: who uses the server, who starts or stops it, who watches it.

They belong to open files, so the kernel gives them back when their process ends, however it ends. No list of process
numbers has to be kept, and none can be out of date.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# One holder for each process that uses the server; whoever gets it alone knows that nobody does.
HOLD = ".target-crm.hold"
# Held while the server is started or stopped.
START = ".target-crm.start"
# Held by the process that stops a server whose holders were killed.
GUARD = ".target-crm.guard"
_POLL_SECONDS = 0.02


class FileLock:
    """An open file of data_dir that can be locked.

    Raises:
        OSError: the file can't be opened, or is a link.
    """

    def __init__(self, directory: Path, name: str) -> None:
        path = directory / name
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if os.geteuid() == 0:
            # The cluster's own user may come next.
            owner = directory.stat()
            os.fchown(self._file, owner.st_uid, owner.st_gid)

    def take(self, *, shared: bool = False) -> bool:
        """Take the lock, or exchange the one that is held; whether it was to be had at once."""
        assert self._file is not None
        try:
            fcntl.flock(self._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give the lock back; the file stays open."""
        assert self._file is not None
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the lock back, and close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


@contextmanager
def exclusive(directory: Path, name: str, seconds: float) -> Iterator[bool]:
    """Within it the lock is held; False: it was not free within that time."""
    lock = FileLock(directory, name)
    try:
        deadline = time.monotonic() + seconds
        while not (taken := lock.take()) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        yield taken
    finally:
        lock.close()
