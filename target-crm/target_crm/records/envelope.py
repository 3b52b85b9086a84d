"""The first look at a record: its key, its time and the hash of its bytes; the rest of it is not decoded."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import msgspec

from target_crm.errors import CellError, RecordError
from target_crm.mapping.check import LiveTable
from target_crm.mapping.model import RecordKey
from target_crm.normalise import Context, as_instant
from target_crm.normalise.custom_fields import is_empty
from target_crm.normalise.numbers import as_boolean, source_number
from target_crm.records.record_filter import RecordFilter

_BIGINT = 1 << 63


class SeenRecord(msgspec.Struct, gc=False):
    """A record of which only key and time have been read. `hash` is that of its bytes and of the mapping."""

    seq: int
    account_id: int
    amo_id: int
    updated_at: datetime | None
    hash: int
    raw: bytes

    @property
    def key(self) -> tuple[int, int]:
        """What tells records of one stream apart."""
        return self.account_id, self.amo_id


class _Key(msgspec.Struct, gc=False):
    """What every record must say of itself."""

    id: int | str | None = None
    account_id: int | str | None = None
    updated_at: Any = None
    is_deleted: Any = None


class KeyReader:
    """Reads the keys of one stream's records.

    Args:
        live: The table that the records go to.
        context: Region and time zone.
        default_policy: Part of what a record's hash stands for: another mapping or policy merges all records again.
    """

    def __init__(self, live: LiveTable, context: Context, default_policy: str) -> None:
        self._key = live.mapping.record
        self._decode = msgspec.json.Decoder(_Key if not self._key.is_foreign else _foreign_key(self._key)).decode
        self._filter = RecordFilter(live.mapping.where) if live.mapping.where else None
        zones = sorted({column.zone for column in live.columns.values() if column.zone is not None})
        version = repr((replace(live.mapping, line=None), str(context.zone), context.region, default_policy, *zones))
        self._salt = hashlib.blake2b(version.encode(), digest_size=16).digest()

    def takes(self, raw: bytes) -> bool:
        """Whether the record is one that `where` of the mapping lets through.

        Raises:
            RecordError, msgspec.DecodeError: it is not a JSON object.
        """
        return self._filter is None or self._filter.takes(raw)

    def keys_of(self, raw: bytes) -> tuple[int | None, int | None]:
        """Account and id of a rejected record; None for those that it has not, or that are not readable."""
        if not self._key.is_foreign:
            return keys_in(raw)
        try:
            seen, _ = self._see_foreign(raw, 0)
        except (RecordError, msgspec.MsgspecError):
            return None, None
        return seen.key

    def _see_foreign(self, raw: bytes, seq: int) -> tuple[SeenRecord, bool]:
        """As `see`, of a record of another source."""
        key, names = self._decode(raw), self._key
        account = names.value if names.value is not None else whole_number(key.account_id, names.account)
        identity = source_number(key.id)
        if identity is None:
            if is_empty(key.id):
                raise RecordError("E_PROPERTY_MISSING", property=names.id)
            raise RecordError("E_KEY_NOT_A_NUMBER", property=names.id, value=key.id)
        moment, deleted = _moment(key.updated_at), _deletion(key.is_deleted)
        if deleted:
            moment = _moment(key.is_deleted) or moment
        digest = hashlib.blake2b(raw, digest_size=8, key=self._salt).digest()
        return SeenRecord(seq, account, identity, moment, int.from_bytes(digest, "big", signed=True), raw), deleted

    def see(self, raw: bytes, seq: int) -> tuple[SeenRecord, bool]:
        """Key and time of a record, and whether amoCRM says that it is deleted.

        Raises:
            RecordError: the record has no usable key, or is not a JSON object.
            msgspec.DecodeError: it is not JSON.
        """
        if self._key.is_foreign:
            return self._see_foreign(raw, seq)
        try:
            key = self._decode(raw)
        except msgspec.ValidationError:
            key = _odd_key(raw)
        account, identity, updated = key.account_id, key.id, key.updated_at
        if account.__class__ is not int or not 0 <= account < _BIGINT:
            account = whole_number(account, "account_id")
        if identity.__class__ is not int or not 0 <= identity < _BIGINT:
            identity = whole_number(identity, "id")
        try:
            moment = None if updated is None else instant(updated, "updated_at")
        except RecordError:
            # Of its cell, as any value: the warning comes with the others.
            moment = None
        digest = hashlib.blake2b(raw, digest_size=8, key=self._salt).digest()
        seen = SeenRecord(
            seq,
            account,
            identity,
            moment,
            int.from_bytes(digest, "big", signed=True),
            raw,
        )
        return seen, key.is_deleted is True


def _foreign_key(names: RecordKey) -> Any:
    """What a record of another source says of itself, under the names that it has there."""
    fields = {"id": names.id, "updated_at": names.updated_at, "is_deleted": names.deleted}
    if names.value is None:
        fields["account_id"] = names.account
    return msgspec.defstruct("ForeignKey", [(name, Any, None) for name in fields], rename=fields, gc=False)


def _moment(value: Any) -> datetime | None:
    """A time, in whatever way it is written; one without a time zone is in UTC. None for what is not one."""
    try:
        return None if isinstance(value, bool) or is_empty(value) else instant(value, "updated_at")
    except RecordError:
        return None


def _deletion(value: Any) -> bool:
    """Whether a property says that its record is deleted: a truth value, or the time of it."""
    if is_empty(value):
        return False
    try:
        return as_boolean(value)
    except CellError:
        return True


def instant(value: Any, name: str) -> datetime | None:
    """A record's own time as an instant in UTC.

    Raises:
        RecordError: it is not a time; names the property.
    """
    try:
        if value.__class__ is str and len(value) == 25 and value.endswith("+00:00"):
            return datetime.fromisoformat(value)
        return as_instant(value, timezone.utc)
    except ValueError:
        raise RecordError("E_TIME_NOT_READABLE", property=name, value=value) from None


def whole_number(value: Any, name: str) -> int:
    """A key as a number that fits into bigint; text of digits counts.

    Raises:
        RecordError: it is not one; names the property.
    """
    if value is None:
        raise RecordError("E_PROPERTY_MISSING", property=name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value.__class__ is not int:
        if not isinstance(value, str) or not re.fullmatch(r"\d{1,19}", value):
            raise RecordError("E_KEY_NOT_A_NUMBER", property=name, value=value)
        value = int(value)
    if not 0 <= value < _BIGINT:
        raise RecordError("E_KEY_OUT_OF_RANGE", property=name, value=value)
    return int(value)


def _odd_key(raw: bytes) -> _Key:
    """The key of a record whose key or time is of an unexpected type."""
    record = msgspec.json.decode(raw)
    if not isinstance(record, dict):
        raise RecordError("E_RECORD_NOT_OBJECT")
    return _Key(*(record.get(name) for name in _Key.__struct_fields__))


def keys_in(record: str | bytes | None) -> tuple[int | None, int | None]:
    """Account and id of a rejected record; None for those that it has not, or that are not readable."""
    try:
        found = json.loads(record or "")
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(found, dict):
        return None, None
    return as_key(found.get("account_id")), as_key(found.get("id"))


def as_key(value: Any) -> int | None:
    """A key as `whole_number` reads it; None for what is unusable."""
    try:
        return whole_number(value, "id")
    except RecordError:
        return None
