"""How people name a record of amoCRM: `amo:ID`, or `ACCOUNT/amo:ID` where several accounts have one of that number."""

from __future__ import annotations

import re

from target_crm.operations.session import UnknownError

# `amo:ACCOUNT:ID` is the way of version 0.1. A number of 19 digits and more is in no column.
_KEY = re.compile(r"(?:(?P<account>\d{1,18})/)?amo:(?:(?P<earlier>\d{1,18}):)?(?P<id>\d{1,18})", re.ASCII)


def record_key(text: str) -> tuple[int | None, int] | None:
    """Account, as far as it is named, and id; None where the text names no record."""
    found = _KEY.fullmatch(text)
    if found is None or (found["account"] and found["earlier"]):
        return None
    account = found["account"] or found["earlier"]
    return (int(account) if account else None), int(found["id"])


def require_record_key(text: str) -> tuple[int | None, int]:
    """Account, as far as it is named, and id.

    Raises:
        UnknownError: the text names no record.
    """
    found = record_key(text)
    if found is None:
        raise UnknownError.of("E_NOT_A_RECORD_KEY", record=text)
    return found
