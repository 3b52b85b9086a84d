"""Passwords as they are kept: salted scrypt hashes, with their cost beside them so that it can be raised later."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import unicodedata

LEAST_PASSWORD, LONGEST_PASSWORD = 10, 1000
# The cost that OWASP's password storage cheat sheet names for scrypt with 16 MiB: N = 2^14, r = 8, p = 5.
_N, _R, _P = 2**14, 8, 5
_SALT_BYTES = 16


def hashed(password: str) -> str:
    """A password as it is kept: `scrypt$N$r$p$salt$hash`, salt and hash in base64."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return "$".join(("scrypt", str(_N), str(_R), str(_P), _text(salt), _text(_digest(password, salt, _N, _R, _P))))


def is_password(given: str, kept: str | None) -> bool:
    """Whether a password is the one that is kept. It takes as long where nothing is kept (None), or nothing known."""
    try:
        name, n, r, p, salt, digest = (kept or "").split("$")
        if name != "scrypt":
            raise ValueError
        found = _digest(given, base64.b64decode(salt, validate=True), int(n), int(r), int(p))
        return hmac.compare_digest(found, base64.b64decode(digest, validate=True))
    except (ValueError, binascii.Error):
        _digest(given, bytes(_SALT_BYTES), _N, _R, _P)
        return False


def _digest(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    """The same letters count as the same password, however a keyboard composes them."""
    text = unicodedata.normalize("NFC", password[:LONGEST_PASSWORD])
    return hashlib.scrypt(text.encode("utf-8", "surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
