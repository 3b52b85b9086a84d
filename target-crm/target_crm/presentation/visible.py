"""Text as a terminal shows it and obeys none of it."""

from __future__ import annotations

import logging
import re

# Control characters, and marks that turn the direction of the text around: a terminal obeys them. Line ends and tabs
# are left to the caller.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The text with every character that a terminal would obey as its escape (`\\x1b`); line ends and tabs stay."""
    return _OBEYED.sub(lambda m: m.group().encode("unicode_escape").decode(), text)


class VisibleText(logging.Filter):
    """Shows control characters of log messages as their escapes: messages name streams and values of amoCRM."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        text = record.getMessage()
        shown = visible(text)
        if shown != text:
            record.msg, record.args = shown, None
        return True
