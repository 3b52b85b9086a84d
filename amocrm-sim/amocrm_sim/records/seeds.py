"""Fixed numbers of an account, and random bits that are the same on every machine and in every run."""

from __future__ import annotations

from typing import Any

from amocrm_sim import words as w

Record = dict[str, Any]
ACCOUNT_ID = 31_415_926
# All made-up records were last changed before this second (2026-06-01 00:00 UTC).
EPOCH = 1_780_272_000
IMPORT_SECOND = EPOCH - 40 * 86_400
# Midnight in Moscow, where the account is: dates of custom fields are written so.
MIDNIGHT = EPOCH - 10_800
MASK = (1 << 64) - 1
FIRST_ID = {
    "companies": 10_000_001,
    "contacts": 20_000_001,
    "leads": 30_000_001,
    "tasks": 40_000_001,
    "companies/notes": 50_000_001,
    "contacts/notes": 60_000_001,
    "leads/notes": 70_000_001,
    "customers": 80_000_001,
    "customers/notes": 90_000_001,
}
ENTITIES = ("companies", "contacts", "leads")
CARDS = (*ENTITIES, "customers")
USERS = 12
FIRST_USER = 5_000_001
# Users who were deleted: their ids stay in records, no list shows them.
GHOST_USER = 4_999_999
FIRST_PIPELINE, FIRST_STATUS = 7_000_001, 8_000_001
FIRST_REASON, FIRST_GONE_REASON = 6_000_001, 6_000_501
FIRST_TAG = 3_000_001
FIRST_OWN_TASK_TYPE = 2_435_731
# The number of elements in the two catalogues, and where their ids begin.
CATALOGS = (4521, 4522)
ELEMENTS, FIRST_ELEMENT = 7, 525_439


def of_account(account_id: int, made: Any) -> Any:
    """What an account lists, each record of it and within it with the account's ID."""
    if isinstance(made, list):
        return [of_account(account_id, part) for part in made]
    if not isinstance(made, dict):
        return made
    return {k: account_id if k == "account_id" else of_account(account_id, v) for k, v in made.items()}


def mix(*parts: int) -> int:
    """64 well-mixed bits of a few numbers (splitmix64)."""
    z = 0x9E3779B97F4A7C15
    for part in parts:
        z = (z ^ part) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
    return z


def inn(bits: int) -> str:
    """A ten-digit ИНН with a right check digit."""
    digits = [int(d) for d in f"{77 * 10**7 + bits % 10**7:09d}"]
    weights = (2, 4, 10, 3, 5, 9, 4, 6, 8)
    return "".join(map(str, digits)) + str(sum(a * b for a, b in zip(digits, weights, strict=True)) % 11 % 10)


def phone(bits: int) -> str:
    """A phone as people type it."""
    if bits % 23 == 0:
        return w.ODD_PHONES[(bits >> 8) % len(w.ODD_PHONES)]
    n = f"9{(bits >> 12) % 10**9:09d}"
    return w.SPELLINGS[(bits >> 5) % len(w.SPELLINGS)].format(n[:3], n[3:6], n[6:8], n[8:])


def address(b: int) -> str:
    """A postal address."""
    return f"{w.CITIES[b % 6]}, {w.STREETS[(b >> 3) % 6]}, д. {b % 200 + 1}"


def tags(b: int) -> list[Record]:
    """None, one or two tags."""
    chosen = sorted({(b >> s) % len(w.TAGS) for s in (13, 17)[: b % 3]})
    return [{"id": FIRST_TAG + n, "name": w.TAGS[n], "color": w.TAG_COLORS[n]} for n in chosen]
