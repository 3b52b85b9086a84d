"""By what two values count as the same when records are compared with existing rows.

One definition for both sides, and the one of the merge: phones by their E.164 numbers, addresses in lower case, an ИНН
by its digits, text as a person sees it, without regard to case.
"""

from __future__ import annotations

import hashlib
import re
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from target_crm.normalise.emails import all_emails
from target_crm.normalise.phones import all_phones
from target_crm.normalise.text import same_key

PHONE, EMAIL, INN, DIGITS, NUMBER, TEXT = "phone", "email", "inn", "digits", "number", "text"
# Kinds of which a record or a row may hold several at once.
SEVERAL = frozenset((PHONE, EMAIL))
# Keys go into an index, which takes no long ones.
LONGEST_KEY = 200
# Every digit counts.
_EXACT = Context(prec=400)
_INN = re.compile(r"(?<!\d)(?:\d{12}|\d{10})(?!\d)")
_NOT_DIGITS = re.compile(r"\D+")


def match_keys(kind: str, value: Any, region: str = "RU") -> list[str]:
    """The keys of one value; none for a value that says nothing.

    Args:
        kind: One of the kinds above.
        value: A value as a record gives it or a column holds it.
        region: The country of phones without a country code.
    """
    if value is None:
        return []
    text = value if isinstance(value, str) else str(value)
    if kind == PHONE:
        return all_phones(text, region)
    if kind == EMAIL:
        return all_emails(text)
    if kind == INN:
        return list(dict.fromkeys(_INN.findall(text))) or _inn_with_gaps(text)
    if kind == DIGITS:
        digits = _NOT_DIGITS.sub("", text)
        return [_short(digits)] if digits else []
    if kind == NUMBER:
        return _number(text)
    shown = same_key(text).lower()
    return [_short(shown)] if shown else []


def joined(parts: list[str]) -> str:
    """One key of several that must all agree."""
    return _short("\x1f".join(parts))


def _inn_with_gaps(text: str) -> list[str]:
    digits = _NOT_DIGITS.sub("", text)
    return [digits] if len(digits) in (10, 12) else []


def _number(text: str) -> list[str]:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return []
    return [_short(format(_EXACT.add(number.normalize(_EXACT), 0), "f"))] if number.is_finite() else []


def _short(key: str) -> str:
    if len(key) <= LONGEST_KEY:
        return key
    return f"#{hashlib.blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
