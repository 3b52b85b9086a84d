"""SQL of the keys of matching, for plain values: those of which SQL makes what `normalise.match_keys` makes.

All other values (a phone in a spelling, two numbers in one field, letters of other alphabets) are odd, and are left to
Python. Loads write plain values, so these are nearly all that rows of records hold.
"""

from __future__ import annotations

from psycopg import sql

from target_crm.normalise.emails import PLAIN_ADDRESS
from target_crm.normalise.match_keys import DIGITS, EMAIL, INN, LONGEST_KEY, NUMBER, PHONE
from target_crm.sql.spec import S
from target_crm.sql.text import text_rules

_PLAIN = {
    PHONE: "^[+][0-9]+$",
    EMAIL: PLAIN_ADDRESS,
    INN: "^[0-9]+$",
    DIGITS: "^[0-9]+$",
}


def _ascii_lower(text: sql.Composable) -> sql.Composed:
    """A text with its ASCII letters in lower case, and all others as they are."""
    return S('pg_catalog.lower({} COLLATE pg_catalog."C")').format(text)


def plain_key(kind: str, value: sql.Composable, encoding: str) -> sql.Composable:
    """The key of a plain value."""
    text = S("{}::text").format(value)
    if kind in _PLAIN:
        return _ascii_lower(text)
    if kind == NUMBER:
        return S("pg_catalog.trim_scale({}::numeric)::text").format(text)
    return text_rules(encoding).lower_key(text)


def is_odd(kind: str, value: sql.Composable, encoding: str, parts: int = 1) -> sql.Composed:
    """Whether a value is not plain; `parts` is how many values make one key, which has a greatest length."""
    text = S("{}::text").format(value)
    if kind == NUMBER:
        # NaN, infinity and numbers with an exponent are read in Python.
        return S("({} !~ '^-?[0-9]+([.][0-9]+)?$')").format(text)
    if kind in _PLAIN:
        strange = S("{} !~ {}").format(_ascii_lower(text), sql.Literal(_PLAIN[kind]))
        if kind == EMAIL:
            # A domain in its ASCII form is the same as in its own letters.
            strange = S("({} OR {} ~ 'xn--')").format(strange, _ascii_lower(text))
    else:
        strange = text_rules(encoding).has_other_letters(text)
    return S("({} OR pg_catalog.length({}) > {})").format(strange, text, sql.Literal(LONGEST_KEY // parts - 1))
