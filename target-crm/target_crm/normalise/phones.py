"""Phones as people type them, to E.164; what is not a phone number is never passed off as one."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import phonenumbers

from target_crm.normalise.remarks import remark
from target_crm.normalise.text import visible

# Russian numbers in any spelling without letters: ten digits behind +7, 7, 8 or nothing. They are nearly all there
# is in a Russian account, and the library takes 60 microseconds for each.
_RUSSIAN_MOBILE = re.compile(r"^(?:\+?7|8)?[\s\-]*\(?9\d{2}\)?[\s\-]*\d{3}[\s\-]*\d{2}[\s\-]*\d{2}$")
_RUSSIAN = re.compile(r"^(?:\+?7|8)?[\s\-.]*\(?\d{3}\)?[\s\-.]*\d{3}[\s\-.]*\d{2}[\s\-.]*\d{2}$")
# Where the numbering plan of Russian mobiles has gaps (libphonenumber's metadata); the library decides there.
_GAPS = "9300"
_NOT_DIGITS = re.compile(r"\D+")
# Dashes that look like a hyphen; blanks of every width are `\s` already.
_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
_EXTENSION = re.compile(r"(?:доб(?:авочный)?|вн(?:утр)?|ext|x)\.?\s*[:№#]?\s*(\d{1,6})", re.IGNORECASE)
_CANDIDATE = re.compile(r"\+?\(?\d[\d\s\-().]{5,}\d")


class Phone(NamedTuple):
    """`value` is E.164 or None; `comment` is the rest (extension, remark, the text that is not a number)."""

    value: str | None
    comment: str | None


@lru_cache(maxsize=16_384)
def parse_phone(text: str, region: str = "RU") -> Phone:
    """Take a number apart.

    Returns:
        E.164 and the rest of the text. Text that holds no valid number comes back whole as comment.
    """
    stripped = visible(text)
    if region == "RU" and _RUSSIAN_MOBILE.match(stripped):
        national = _NOT_DIGITS.sub("", stripped)[-10:]
        if not national.startswith(_GAPS):
            return Phone("+7" + national, None)
    rest, comment = _DASHES.sub("-", stripped), []
    extension = _EXTENSION.search(rest)
    if extension and sum(c.isdigit() for c in rest[: extension.start()]) >= 5:
        comment.append(f"доб. {extension.group(1)}")
        rest = (rest[: extension.start()] + " " + rest[extension.end() :]).strip()
    found = _find(rest, region)
    if found is None:
        return Phone(None, stripped or None)
    number, start, end = found
    other = remark(rest[:start] + " " + rest[end:])
    return Phone(number, ", ".join([*comment, *([other] if other else [])]) or None)


def _find(text: str, region: str) -> tuple[str, int, int] | None:
    """The first valid number in a text as E.164, and where it is."""
    for candidate in _CANDIDATE.finditer(text):
        number = _valid(candidate.group(), region)
        if number:
            return number, candidate.start(), candidate.end()
    # Digits of something else before it ("after 18:00 8916..."): the library knows where numbers may begin.
    for match in phonenumbers.PhoneNumberMatcher(text, region):
        return phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164), match.start, match.end
    return None


def all_phones(text: str, region: str = "RU") -> list[str]:
    """Every valid number in a text as E.164, each once; extensions and remarks are left out."""
    stripped = visible(text)
    if region == "RU" and _RUSSIAN_MOBILE.match(stripped):
        return [value] if (value := parse_phone(stripped, region).value) else []
    found: dict[str, None] = {}
    for line in re.split(r"[,;/|\n]+", _EXTENSION.sub(" , ", _DASHES.sub("-", stripped))):
        rest = line
        while (number := _find(rest, region)) is not None:
            found[number[0]] = None
            rest = rest[number[2] :]
    return list(found)


def _is_russian(national: str) -> bool:
    """Whether ten digits are a number of Russia's plan: for mobiles known here, for others by the area code."""
    if national[0] == "9":
        return not national.startswith(_GAPS)
    return national[0] in "348" and _is_area(national[:3])


@lru_cache(maxsize=1000)
def _is_area(code: str) -> bool:
    """Whether the code is in use; the seven digits behind it do not matter (libphonenumber's metadata)."""
    return phonenumbers.is_valid_number(phonenumbers.parse(f"+7{code}2345678"[:12], "RU"))


def _valid(text: str, region: str) -> str | None:
    """E.164 of a valid number; Russian numbers written with 8 or 7 in front of ten digits are understood."""
    digits = _NOT_DIGITS.sub("", text)
    if region == "RU" and _RUSSIAN.match(text):
        national = digits[-10:]
        if _is_russian(national):
            return "+7" + national
    tries = [text]
    if not text.lstrip().startswith("+"):
        if region == "RU" and len(digits) == 11 and digits[0] in "78":
            tries.insert(0, "+7" + digits[1:])
        if digits.startswith("00"):
            tries.append("+" + digits[2:])
        if len(digits) > 10:
            tries.append("+" + digits)
    for attempt in tries:
        try:
            number = phonenumbers.parse(attempt, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return None
