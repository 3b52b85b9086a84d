"""Where the bookmark of an account is kept between runs: a file in a folder, or the CRM's own database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol


class Bookmarks(Protocol):
    """One account's bookmark."""

    def read(self) -> str | None:
        """The last STATE, as JSON; None before the first run.

        Raises:
            PairError: it is there and can't be read.
        """

    def keep(self, line: str) -> None:
        """Take over a STATE that target-crm let go: all before it is committed."""


class FolderBookmarks:
    """`NAME.json` in a folder that outlives the run; on several machines a shared one."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"{name}.json"

    def read(self) -> str | None:
        """The file's content."""
        return self._file.read_text("utf-8") if self._file.exists() else None

    def keep(self, line: str) -> None:
        """Replace the file in one step: a crash leaves the old bookmark or the new one, never half of it."""
        part = self._file.with_suffix(".part")
        part.write_text(line, "utf-8")
        part.replace(self._file)


class GivenBookmark:
    """A bookmark that was read already; target-crm keeps the next ones itself, with the rows that it commits."""

    def __init__(self, state: str | None) -> None:
        self._state = state if state and json.loads(state) else None

    def read(self) -> str | None:
        """What the database holds."""
        return self._state

    def keep(self, line: str) -> None:
        """Nothing: it is in the database."""
