"""Where files go: a folder, or any other place that fsspec knows."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tap_amocrm.config.private_files import shared_folder
from tap_amocrm.errors import PlaceError

_EXTRAS = {"s3": "s3", "s3a": "s3"}


class Place:
    """A place for files.

    Args:
        url: A folder, or an address such as `s3://bucket/amocrm`.

    Raises:
        PlaceError: it can't be used; says what is missing.
    """

    def __init__(self, url: str) -> None:
        scheme = url.partition("://")[0] if "://" in url else "file"
        try:
            from fsspec.core import url_to_fs  # type: ignore[import-untyped]
        except ImportError:
            msg = "Downloading requires additional packages: pip install 'tap-amocrm[files]'."
            raise PlaceError(msg, place=url) from None
        try:
            self._fs, root = url_to_fs(url)
        except ImportError as error:
            extra = _EXTRAS.get(scheme)
            how = f"pip install 'tap-amocrm[{extra}]'" if extra else str(error)
            msg = f"{scheme}:// requires additional packages: {how}."
            raise PlaceError(msg, place=_shown(url)) from None
        except (OSError, ValueError) as error:
            msg = f"{_shown(url)} can't be used: {error}."
            raise PlaceError(msg, place=_shown(url)) from None
        self.url, self.shown, self._root = url, _shown(url), str(root).rstrip("/")
        self._is_local = scheme == "file" or url.startswith(("file:", "local:"))

    @property
    def parts(self) -> Path:
        """The folder on this machine for what has come of unfinished files."""
        if self._is_local:
            folder = Path(self._root) / ".unfinished"
        else:
            folder = shared_folder() / "downloads" / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        _make_private(folder)
        return folder

    def size(self, path: str) -> int | None:
        """The size of a file of the place; None where there is none.

        Raises:
            OSError: the place can't be read.
        """
        with suppress(FileNotFoundError, NotADirectoryError), _as_os_errors():
            found: dict[str, Any] = self._fs.info(f"{self._root}/{path}")
            return int(found["size"]) if found.get("type") == "file" else None
        return None

    def read(self, path: str) -> bytes | None:
        """A file of the place; None where there is none.

        Raises:
            OSError: the place can't be read.
        """
        with suppress(FileNotFoundError, NotADirectoryError), _as_os_errors():
            content: bytes = self._fs.cat_file(f"{self._root}/{path}")
            return content
        return None

    def take(self, part: Path, path: str) -> None:
        """Move a whole file from this machine into the place; it is there at once or not at all.

        Raises:
            OSError: it can't be written.
        """
        there = f"{self._root}/{path}"
        if self._is_local:
            _make_private(Path(there).parent)
            part.chmod(0o600)
            shutil.move(part, there)
            return
        with _as_os_errors():
            self._fs.makedirs(there.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(part), there)
        part.unlink()

    def write(self, path: str, content: bytes) -> None:
        """Write a small file.

        Raises:
            OSError: it can't be written.
        """
        part = self.parts / f"{path}.{os.getpid()}"
        part.write_bytes(content)
        self.take(part, path)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Packages of remote places have errors of their own: no credentials, no such host."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(" ".join(f"{type(error).__name__}: {error}".split())) from None


def _make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, for this user alone."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


def _shown(url: str) -> str:
    """An address without what may be a password in it."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else url
