"""From a record of the API to a Singer record: own times as RFC 3339, keys filled in, all else as received."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta, timezone
from typing import Any

from tap_amocrm.shapes import Record, embedded, whole

TIMES = frozenset(
    {
        "created_at",
        "updated_at",
        "closed_at",
        "closest_task_at",
        "complete_till",
        "deleted_at",
        "missed_at",
        "next_date",
        "restored_at",
    }
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_YEAR_ONE = int((datetime(1, 1, 1, tzinfo=timezone.utc) - _EPOCH).total_seconds())
# As seconds the year 5138; as milliseconds March 1973.
_SURELY_MILLISECONDS = 10**11


def rfc3339(value: Any) -> Any:
    """Unix seconds or milliseconds (also as text) as `2026-01-31T10:00:00+00:00`.

    None for nothing: null, an empty text, 0, false, and PHP's empty date, which is before the year 1. Anything that is
    not a number, or is beyond the year 9999, is returned as it is.
    """
    if value in (None, "", 0, "0", False):
        return None
    number = value if isinstance(value, float) else whole(value)
    if number is None:
        return value
    if number < _YEAR_ONE:
        return None
    if abs(number) >= _SURELY_MILLISECONDS:
        number /= 1000
    try:
        return (_EPOCH + timedelta(seconds=number)).isoformat()
    except (OverflowError, ValueError):
        return value


def normalise(record: Record, account_id: int, **added: Any) -> Record:
    """The Singer record. `added` fills in what only the request knows (`entity_type` of a note)."""
    result = dict(record)
    for name in TIMES & result.keys():
        result[name] = rfc3339(result[name])
    # Every record of an answer is of this account, whatever it says.
    result["account_id"] = whole(result.get("account_id")) or account_id
    result.update(added)
    return result


def company_id_of(record: Record) -> int | None:
    """The company of a contact or lead as the API sends it."""
    return next((whole(company.get("id")) for company in embedded(record, "companies")), None)


def names_any(record: Record, companies: Collection[int]) -> bool:
    """Whether a contact or lead names one of the companies: some have several, and are listed with each."""
    return any(whole(company.get("id")) in companies for company in embedded(record, "companies"))
