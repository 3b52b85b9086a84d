"""E-mail addresses: lower case, checked by form (no DNS)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from email_validator import EmailNotValidError, validate_email

from target_crm.normalise.remarks import remark
from target_crm.normalise.text import visible

# Plain addresses need no library; it takes 50 microseconds for each.
PLAIN_ADDRESS = (
    r"^[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@"
    r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*\.[a-z]{2,24}$"
)
_PLAIN = re.compile(PLAIN_ADDRESS)
_RESERVED = (".test", ".local", ".localhost", ".invalid", ".example")
_WITHIN = re.compile(r"[^\s<>,;:()\[\]\"']+@[^\s<>,;:()\[\]\"']+")


def all_emails(text: str) -> list[str]:
    """Every address in a text in lower case, each once."""
    found: dict[str, None] = {}
    for place in _WITHIN.finditer(visible(text)):
        if (address := parse_email(place.group()).value) is not None:
            found[address] = None
    return list(found)


class Email(NamedTuple):
    """`value` is the address in lower case or None; `comment` is what else stood there."""

    value: str | None
    comment: str | None


@lru_cache(maxsize=16_384)
def parse_email(text: str) -> Email:
    """Find the address in a text. A text that holds none comes back whole as comment."""
    stripped = visible(text)
    lowered = stripped.lower()
    if len(lowered) <= 254 and _PLAIN.match(lowered) and not lowered.endswith(_RESERVED):
        return Email(lowered, None)
    found = _WITHIN.search(stripped)
    if found is None:
        return Email(None, stripped or None)
    try:
        address = validate_email(found.group().rstrip("."), check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return Email(None, stripped)
    return Email(address.normalized.lower(), remark(stripped[: found.start()] + " " + stripped[found.end() :]))
