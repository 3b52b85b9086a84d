"""What is left of a text when the number or the address in it has been taken out."""

from __future__ import annotations

import re

_EMPTY_BRACKETS = re.compile(r"\(\s*\)|\[\s*\]|<\s*>")
_EDGES = " ,;:/|-–—\t\r\n\u00a0"


def remark(text: str) -> str | None:
    """The text without what held the missing part: empty brackets, loose separators, brackets around it all."""
    rest = re.sub(r"\s+", " ", _EMPTY_BRACKETS.sub(" ", text)).strip(_EDGES)
    for opening, closing in ("()", "[]", "<>", '""', "''"):
        inner = rest[1:-1]
        if len(rest) > 1 and rest[0] == opening and rest[-1] == closing and opening not in inner:
            rest = inner.strip(_EDGES)
    return rest or None
