"""Numbers as amoCRM sends them: JSON numbers, `83.0` for a whole one, and text as people type it. No digit is lost."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import Any

from target_crm.errors import CellError
from target_crm.normalise.text import WHITE_SPACE, same_key, visible

# Thousands apart by blanks, comma or point before the fraction. `1_000` and `1.234.567` are not read: who knows?
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?: \d{3})+|\d+)(?:[.,]\d*)?(?:[eE][+-]?\d{1,3})?|[+-]?[.,]\d+", re.ASCII)
_LONGEST = 400
_BIGINT = 1 << 63
# A whole number as it is written: `007` is a text.
_WHOLE = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)
_BLANKS = {ord(character): " " for character in WHITE_SPACE} | {0x2212: "-"}
_BOOLEANS = {
    "1": True, "true": True, "да": True, "yes": True, "y": True, "on": True,
    "0": False, "false": False, "нет": False, "no": False, "n": False, "off": False,
}  # fmt: skip


def plain_number(value: Any) -> str | None:
    """The value as a plain decimal (`1 234,50` is `1234.50`); None for what is not one. Truth values are not."""
    if value.__class__ is int:
        return str(value)
    if isinstance(value, (bool, list, dict)):
        return None
    text = visible(str(value).translate(_BLANKS))
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    text = text.replace(" ", "").replace(",", ".")
    return text.rstrip(".") if "e" not in text.lower() else text


def as_integer(value: Any) -> int:
    """A whole number; `83.0` is one.

    Raises:
        CellError: it is not a number, or has a fraction.
    """
    if value.__class__ is int:
        return int(value)
    text = plain_number(value)
    if text is None:
        raise CellError("W_NOT_A_WHOLE_NUMBER", value=value)
    number = Decimal(text)
    # Not to_integral_value(): it rounds to the context's precision.
    numerator, denominator = number.as_integer_ratio()
    if denominator != 1:
        raise CellError("W_NOT_A_WHOLE_NUMBER", value=value)
    return numerator


def as_number(value: Any) -> str:
    """A number as text, with all its digits.

    Raises:
        CellError: it is not a number.
    """
    text = plain_number(value)
    if text is None:
        raise CellError("W_NOT_A_NUMBER", value=value)
    return text


def as_boolean(value: Any) -> bool:
    """A yes or a no, also as 1 and 0, in words, and in Russian.

    Raises:
        CellError: it is neither.
    """
    if isinstance(value, bool):
        return value
    text = visible(str(value)).lower()
    known = _BOOLEANS.get(re.sub(r"\.0+$", "", text))
    if known is None:
        raise CellError("W_NOT_A_BOOLEAN", value=value)
    return known


def source_number(value: Any) -> int | None:
    """The number that stands for a record's id: a whole number for itself, any other text for its hash.

    None for what is not an id. Two texts share one of the 2^63 hashes once in some 10^9 texts.
    """
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value.__class__ is int:
        return int(value) if 0 <= value < _BIGINT else None
    text = same_key(value) if isinstance(value, str) else ""
    if not text:
        return None
    if _WHOLE.fullmatch(text):
        return int(text)
    # PostgreSQL has the same function, by which links that wait find their records (`sql.text.source_number`).
    digest = hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big") & (_BIGINT - 1)


def number_text(value: Any) -> str:
    """A JSON number as people write it: whole ones without a fraction (`83.0` is 83)."""
    text = str(value)
    return re.sub(r"\.0+$", "", text)
