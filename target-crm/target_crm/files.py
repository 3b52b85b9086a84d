"""Files that hold a firm's data are for their owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Write a file that its owner alone may read (mode 0600), also where it was there before.

    Raises:
        OSError: the file can't be written.
    """
    number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as out:
        if stat.S_ISREG(os.fstat(number).st_mode):
            os.fchmod(number, 0o600)
        out.write(text)
