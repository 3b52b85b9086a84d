"""Names under which files can be kept anywhere: what came from outside decides neither folder nor neighbours."""

from __future__ import annotations

import re
import unicodedata

# In bytes: most file systems take 255, and a suffix of ours must fit.
_LONGEST = 150
_LONGEST_SUFFIX = 20
# What Windows keeps for devices, with any suffix.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(\.|$)", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')


def safe_name(name: str, default: str = "file") -> str:
    """A file's name without folders, control characters, what some systems forbid or reserve, and cut to a length.

    The suffix is kept. Never empty, `.` or `..`, and never begins with a dot.
    """
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    # Marks that change the direction of writing can hide a suffix.
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cs", "Co", "Zl", "Zp"))
    text = _FORBIDDEN.sub("_", text).strip(" .")
    if _RESERVED.match(text):
        text = f"_{text}"
    return _cut(text) or default


def safe_part(text: str) -> str:
    """An identifier of the service as one part of a path."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:100] or "_"


def _cut(text: str) -> str:
    if len(text.encode()) <= _LONGEST:
        return text
    stem, dot, suffix = text.rpartition(".")
    if not stem or len(suffix.encode()) > _LONGEST_SUFFIX:
        stem, dot, suffix = text, "", ""
    room = _LONGEST - len(f"{dot}{suffix}".encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(" .") + dot + suffix
