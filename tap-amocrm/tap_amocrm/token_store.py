"""The chain of OAuth tokens on disk: written whole, under a lock, before any of it is used."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fasteners

from tap_amocrm.errors import ConfigError


class TokenStore:
    """A JSON file of mode 0600. A kill at any moment leaves the old content or the new, never a part."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that processes share; the second waits and then reads what the first has stored."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with fasteners.InterProcessLock(str(self.path) + ".lock"):
            yield

    def read(self) -> dict[str, Any]:
        """What is stored; empty when there is no file yet.

        Raises:
            ConfigError: the file can't be read or holds no token.
        """
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return {}
        except OSError as error:
            msg = f"Setting token_file: {self.path} can't be read: {error.strerror}."
            raise ConfigError(msg) from None
        try:
            stored = json.loads(text)
        except ValueError:
            stored = None
        if not isinstance(stored, dict) or not stored.get("refresh_token"):
            msg = f"Setting token_file: {self.path} holds no tokens; remove it and authorise again."
            raise ConfigError(msg)
        return stored

    def write(self, tokens: dict[str, Any]) -> None:
        """Store tokens; they are on the disk when this returns."""
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o600)
                json.dump(tokens, file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
