"""Deletions and restores in amoCRM, as the stream `deleted_records` or a deleted record in a list tells of them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, NamedTuple

import msgspec

from target_crm.errors import RecordError
from target_crm.records.envelope import SeenRecord, instant, whole_number


class Tombstone(NamedTuple):
    """A deletion or restore in amoCRM: of which stream and key, when, and the line to stage."""

    stream: str
    key: tuple[int, int]
    when: datetime
    line: bytes

    @property
    def is_deletion(self) -> bool:
        """Whether it tells of a deletion alone."""
        return msgspec.json.decode(self.line)["restored_at"] is None


def tombstone(record: dict[str, Any], seq: int) -> Tombstone:
    """A record of `deleted_records`.

    Raises:
        RecordError: it names no entity or no time.
    """
    kind = record.get("entity_type")
    if not isinstance(kind, str):
        raise RecordError("E_PROPERTY_MISSING", property="entity_type")
    account, entity = (whole_number(record.get(name), name) for name in ("account_id", "entity_id"))
    deleted, restored = (instant(record.get(name), name) for name in ("deleted_at", "restored_at"))
    if deleted is None and restored is None:
        raise RecordError("E_TIME_MISSING")
    merged = record.get("merged_into")
    if merged is not None:
        merged = whole_number(merged, "merged_into")
    when = restored or deleted
    assert when is not None
    return Tombstone(kind, (account, entity), when, _line(seq, (account, entity), deleted, merged, restored))


def deletion(stream: str, seen: SeenRecord) -> Tombstone:
    """A record that amoCRM lists as deleted: nearly all its fields are null, so it is a mark and never a merge."""
    when = seen.updated_at or datetime.now(timezone.utc)
    return Tombstone(stream, seen.key, when, _line(seen.seq, seen.key, when, None, None))


def _line(
    seq: int, key: tuple[int, int], deleted: datetime | None, merged_into: int | None, restored: datetime | None
) -> bytes:
    """What is staged, and kept where a tombstone has to wait."""
    return msgspec.json.encode(
        {
            "seq": seq,
            "account_id": key[0],
            "amo_id": key[1],
            "deleted_at": deleted,
            "merged_into": merged_into,
            "restored_at": restored,
        }
    )


def tombstone_of_line(stream: str, key: tuple[int, int], line: bytes) -> Tombstone:
    """A tombstone of a line that was kept."""
    kept = msgspec.json.decode(line)
    when = datetime.fromisoformat((kept.get("restored_at") or kept["deleted_at"]).replace("Z", "+00:00"))
    return Tombstone(stream, key, when, line)
