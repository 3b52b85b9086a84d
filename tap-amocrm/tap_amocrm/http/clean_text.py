"""Text that every consumer accepts: without NUL and without lone surrogates.

JSON may hold both, and amoCRM sends both. PostgreSQL, UTF-8 encoders and hash functions refuse them.
"""

from __future__ import annotations

import re
from typing import Any

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """A lone surrogate becomes U+FFFD; NUL is left out."""
    return _LONE_SURROGATE.sub("\ufffd", text).replace("\x00", "")


def clean(document: Any) -> Any:
    """Clean all text of a JSON document, including names of properties, in place if possible."""
    holder = [document]
    waiting: list[Any] = [holder]  # not recursive: a document may be nested deeper than Python's stack
    while waiting:
        container = waiting.pop()
        if isinstance(container, dict):
            for key in [key for key in container if key != clean_text(key)]:
                container[clean_text(key)] = container.pop(key)
        for place, value in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(value, str):
                container[place] = clean_text(value)
            elif isinstance(value, (dict, list)):
                waiting.append(value)
    return holder[0]


def may_be_unclean(body: bytes) -> bool:
    """Whether a JSON body that decodes strictly may hold a NUL; a lone surrogate it can't hold."""
    return b"\\u0000" in body
