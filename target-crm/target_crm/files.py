"""Files that hold a firm's data are for their owner alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


def write_private(file: Path, text: str) -> None:
    """Write a file that its owner alone may read (mode 0600), also where it was there before.

    Raises:
        OSError: the file can't be written.
    """
    number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with _opened(number) as out:
        if stat.S_ISREG(os.fstat(number).st_mode):
            os.fchmod(number, 0o600)
        out.write(text)


@contextmanager
def replaced_private(file: Path) -> Iterator[IO[str]]:
    """A file of mode 0600 that replaces another one when all of it is written; its folder is made where it is missing.

    Raises:
        OSError: it can't be written; a file that was there is as before.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    with suppress(FileNotFoundError):
        part.unlink()
    try:
        with _opened(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)) as out:
            yield out
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _opened(number: int) -> IO[str]:
    """A file's number as a file of text; halves of surrogate pairs are written as escapes."""
    return os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace")
