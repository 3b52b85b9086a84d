"""What counts as blank, and as the same text: one definition for Python here and for SQL in `sql.text`.

White space is Unicode's, with the controls that `str.strip` takes for it and the characters that merely look empty.
Invisible characters (zero-width ones, byte order marks, direction marks) come with what people copy from messengers and
web pages; they say nothing. Composed and decomposed letters (NFC, NFD) are one letter.
"""

from __future__ import annotations

import unicodedata

# Written out: Python's tables and PostgreSQL's are of different Unicode versions.
WHITE_SPACE = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u2800\u3000\u3164\uffa0"
)
INVISIBLE = (
    "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064"
    "\u2066\u2067\u2068\u2069\u206a\u206b\u206c\u206d\u206e\u206f\ufeff"
)
# A text that begins with none of these is not blank.
BLANKS = frozenset(WHITE_SPACE + INVISIBLE)
_BLANKS = WHITE_SPACE + INVISIBLE
_REMOVED = dict.fromkeys(map(ord, INVISIBLE))


def is_blank(text: str) -> bool:
    """Whether a person sees nothing of the text."""
    return not text or (text[0] in BLANKS and not text.strip(_BLANKS))


def visible(text: str) -> str:
    """The text without invisible characters, and without white space around it."""
    if text.isascii():
        return text.strip(WHITE_SPACE)
    return text.translate(_REMOVED).strip(WHITE_SPACE)


def same_key(text: str) -> str:
    """What two texts have in common that a person can't tell apart; the empty text for a blank one."""
    shown = visible(text)
    return shown if shown.isascii() else unicodedata.normalize("NFC", shown)
