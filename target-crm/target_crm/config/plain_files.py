"""Reads files that settings name: plain ones only, and none that would fill the memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class UnfitFileError(Exception):
    """The file can't be read; the message says why, as the end of a sentence."""


def read_plain_file(path: Path, most_bytes: int) -> bytes:
    """The content of a plain file; opening never waits for anybody, and nothing is read of what is something else.

    Raises:
        UnfitFileError: there is no such file, it is not a plain one, it can't be read, or it is larger than that.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnfitFileError(f"it can't be read: {reason}") from None
    try:
        kind = stat.S_IFMT(os.fstat(number).st_mode)
        if kind != stat.S_IFREG:
            raise UnfitFileError(f"it is {_KINDS.get(kind, 'something else')}, not a plain file")
        content = b""
        while len(content) <= most_bytes and (part := os.read(number, most_bytes + 1)):
            content += part
    except OSError as error:
        raise UnfitFileError(f"it can't be read: {error.strerror}") from None
    finally:
        os.close(number)
    if len(content) > most_bytes:
        raise UnfitFileError(f"it is larger than {most_bytes // 1_000_000} MB")
    return content
