"""The chain of OAuth tokens on disk: written whole, under a lock, before any of it is used."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tap_amocrm.config.private_files import FileLock, check_file, write_whole
from tap_amocrm.errors import ConfigError

logger = logging.getLogger("tap-amocrm")
# Locks of processes do not keep threads of one process apart.
_THREADS = threading.RLock()
# Longer than any exchange takes with all its tries.
_LOCK_TIMEOUT = 600.0
# 9999-12-31, Unix seconds.
_LAST_TIME = 253_402_300_799
# Digests of settings' tokens that are remembered.
_REMEMBERED = 20


@dataclass(frozen=True)
class Chain:
    """What the file holds. Times are Unix seconds by this machine's clock; an empty chain has empty tokens."""

    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    renew_at: float = 0.0
    expires_at: float = 0.0
    # Whose tokens these are: the account's host name and the integration.
    host: str = ""
    client_id: str = ""
    # SHA-256 of the settings' tokens and codes that were tried already.
    spent: tuple[str, ...] = ()
    # SHA-256 of the token that was sent last, taken back with the answer: still there means that an answer was lost.
    attempt: str = ""

    @classmethod
    def from_document(cls, document: object) -> Chain:
        """A chain of a JSON document; fields that are not known are left aside.

        Raises:
            ValueError: it is not one; holds nothing of the document.
        """
        problem = "no chain of tokens"
        if not isinstance(document, dict):
            raise ValueError(problem)
        values: dict[str, Any] = {k: v for k, v in document.items() if k in cls.__dataclass_fields__}
        texts = [values.get(k, "") for k in ("access_token", "host", "client_id", "attempt")]
        times = [values.get(k, 0.0) for k in ("renew_at", "expires_at")]
        spent = values.get("spent", [])
        if not all(isinstance(t, str) for t in texts) or not all(isinstance(t, (int, float)) for t in times):
            raise ValueError(problem)
        if not isinstance(spent, list) or not all(isinstance(s, str) for s in spent):
            raise ValueError(problem)
        # It may be empty: so it is after a first exchange that was cut off.
        if not isinstance(values.get("refresh_token"), str):
            raise ValueError(problem)
        # Anything else than a time (NaN, for example) counts as expired: new tokens are requested at once.
        values["renew_at"], values["expires_at"] = (t if 0 <= t <= _LAST_TIME else 0.0 for t in times)
        return cls(**{**values, "spent": tuple(spent)})

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self) | {"spent": list(self.spent[-_REMEMBERED:])}


class TokenStore:
    """A JSON file of mode 0600. A kill at any moment leaves the old content or the new, never a part."""

    def __init__(self, path: Path) -> None:
        # A link is followed: the file it names is replaced, not the link.
        self.path = Path(os.path.realpath(path.expanduser()))
        hint = "End it, then run again."
        self._lock = FileLock(self.path.with_name(self.path.name + ".lock"), _LOCK_TIMEOUT, hint)

    def check(self) -> None:
        """See that this can be the file, before anything is sent or written, a lock file included.

        Raises:
            ConfigError: it is a device, a FIFO, a folder, another user's, can't be written, or has other contents.
        """
        try:
            check_file(self.path)
        except OSError as error:
            raise self._unwritable(error) from None
        self.read()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that threads and processes share; who waited reads what the one before has stored.

        Raises:
            ConfigError: the folder can't be written to.
            LockedError: another process holds the lock for ten minutes.
        """
        with _THREADS, ExitStack() as stack:
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                stack.enter_context(self._lock.held())
            except OSError as error:
                raise self._unwritable(error) from None
            yield

    def read(self) -> Chain:
        """What is stored; an empty chain when there is no file yet.

        Raises:
            ConfigError: the file can't be read or holds no chain.
        """
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return Chain()
        except OSError as error:
            msg = f"Setting token_file: {self.path} can't be read: {error.strerror}."
            raise ConfigError(msg, setting="token_file", problem="unreadable") from None
        with suppress(ValueError, RecursionError):
            chain = Chain.from_document(json.loads(text))
            # Not before the content is known: the file may be another program's.
            self._keep_private()
            return chain
        # Raised out here: the decoder's own error carries the file's text.
        msg = (
            f"Setting token_file: {self.path} holds no tokens and was left as it is. If it is a damaged token file, "
            "remove it and run tap-amocrm-login; otherwise, name another file."
        )
        raise ConfigError(msg, setting="token_file", problem="other_content")

    def write(self, chain: Chain) -> None:
        """Store a chain; it is on the disk when this returns. Only under the lock.

        Raises:
            ConfigError: it can't be written; the file is as it was.
        """
        try:
            write_whole(self.path, json.dumps(chain.document()), durable=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def _keep_private(self) -> None:
        if os.name != "nt" and self.path.stat().st_mode & 0o077:
            logger.warning("Setting token_file: others could read %s; its mode is 0600 now.", self.path)
            with suppress(OSError):
                self.path.chmod(0o600)

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"Setting token_file: {self.path} can't be written: {error.strerror or error}. Refresh tokens can be used "
            f"only once and must be stored. Name a file in a writable folder.",
            setting="token_file",
            problem="unwritable",
        )
