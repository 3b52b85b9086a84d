"""Letters that the database's encoding has no place for: UTF8 has one for all, WIN1251 or LATIN1 have not."""

from __future__ import annotations

import codecs
import re
from typing import Any

_OWN_NAMES = {"SQL_ASCII": None, "UTF8": None, "KOI8R": "koi8_r", "KOI8U": "koi8_u", "MULE_INTERNAL": None}


class Letters:
    """What a database of that encoding can hold.

    Args:
        encoding: As `server_encoding` names it.
    """

    def __init__(self, encoding: str | None) -> None:
        self.encoding = encoding or "UTF8"
        self._codec = _codec(self.encoding)

    @property
    def are_limited(self) -> bool:
        """Whether there are letters that it can't hold."""
        return self._codec is not None

    def fit(self, value: Any) -> bool:
        """Whether a value's text can be held: a text's, or that of a list's items."""
        if self._codec is None or value is None:
            return True
        if isinstance(value, (list, tuple)):
            return all(self.fit(item) for item in value)
        try:
            str(value).encode(self._codec)
        except UnicodeEncodeError:
            return False
        return True

    def clean(self, text: str) -> str:
        """The text with a question mark instead of what can't be held."""
        return text if self._codec is None else text.encode(self._codec, "replace").decode(self._codec)

    def clean_bytes(self, raw: bytes) -> bytes:
        """The same of UTF-8."""
        return raw if self._codec is None else self.clean(raw.decode("utf-8", "replace")).encode()


def _codec(encoding: str) -> str | None:
    """Python's name of one of PostgreSQL's encodings; None where it holds every letter, or Python has no such codec."""
    if encoding in _OWN_NAMES:
        return _OWN_NAMES[encoding]
    name = re.sub(r"^WIN(\d+)$", r"cp\1", encoding)
    try:
        return codecs.lookup(name.lower()).name
    except LookupError:
        return None
