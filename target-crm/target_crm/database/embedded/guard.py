"""Stops an embedded server whose users were all killed; runs beside it as a separate process.

python -m target_crm.database.embedded.guard DIRECTORY
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from target_crm.database.embedded.locks import GUARD, HOLD, START, FileLock
from target_crm.database.embedded.postmaster import stop_server

_POLL_SECONDS = 0.5
_POLLS_TO_END = 4


def watch(directory: Path) -> None:
    """Wait until nobody uses the server, stop it, and end; at once if there is another guard."""
    # Opened once: where the folder is removed meanwhile, nothing must be made in its place.
    mine, start, hold = (FileLock(directory, name) for name in (GUARD, START, HOLD))
    idle = 0
    if not mine.take():
        return
    while True:
        if start.take():
            # A server whose starter was killed just now has not written down its number yet: it is looked for again.
            idle = idle + 1 if _is_unused(directory, hold) else 0
            if idle >= _POLLS_TO_END:
                # Given back before START: whoever comes next sees that no guard is there.
                mine.close()
                return
            start.release()
        time.sleep(_POLL_SECONDS)


def _is_unused(directory: Path, hold: FileLock) -> bool:
    """Whether nobody uses the server; it is stopped then."""
    if not hold.take():
        return False
    try:
        return stop_server(directory)
    finally:
        hold.release()


def main() -> None:
    """Watch the directory that the command line names."""
    try:
        watch(Path(sys.argv[1]))
    except OSError:
        # The directory is gone, and the server with it.
        return


if __name__ == "__main__":
    main()
