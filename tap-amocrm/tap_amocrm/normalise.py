"""From a record of the API to a Singer record: own times as RFC 3339, keys filled in, all else as it came."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

Record = dict[str, Any]
TIMES = frozenset(
    {
        "created_at",
        "updated_at",
        "closed_at",
        "closest_task_at",
        "complete_till",
        "deleted_at",
        "next_date",
        "restored_at",
    }
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def rfc3339(value: Any) -> str | None:
    """Unix seconds (also as text) as `2026-01-31T10:00:00+00:00`; None for 0, nothing, and what is no time."""
    if value in (None, "", 0, "0", False):
        return None
    if isinstance(value, str) and not value.lstrip("-").isdigit():
        return value
    try:
        return (_EPOCH + timedelta(seconds=int(value))).isoformat()
    except (OverflowError, TypeError, ValueError):
        return None


def normalise(record: Record, account_id: int, **added: Any) -> Record:
    """The Singer record. `added` fills in what only the request knows (`entity_type` of a note)."""
    result = dict(record)
    for name in TIMES & result.keys():
        result[name] = rfc3339(result[name])
    result.setdefault("account_id", account_id)
    if result["account_id"] is None:
        result["account_id"] = account_id
    result.update(added)
    return result


def with_company(record: Record) -> Record:
    """Adds `company_id` of a contact or lead: the one company that it may have."""
    embedded = record.get("_embedded")
    companies = embedded.get("companies") if isinstance(embedded, dict) else None
    first = companies[0] if isinstance(companies, list) and companies else None
    record["company_id"] = first.get("id") if isinstance(first, dict) else None
    return record


def task_result(record: Record) -> Record:
    """An empty result comes as `[]`; it becomes null."""
    if record.get("result") == []:
        record["result"] = None
    return record
