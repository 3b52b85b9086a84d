"""Types and groups of properties that several declarations share."""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

INTEGER, TEXT, BOOLEAN, NUMBER = th.IntegerType, th.StringType, th.BooleanType, th.NumberType
TIME = th.DateTimeType
ANYTHING = th.CustomType({"type": ["object", "array", "string", "number", "boolean", "null"]})
# The service also writes these as empty text, false, a list or an object with indexes as keys.
OBJECT = FIELDS = ANYTHING
# Identifiers of other systems: text or a number, as they were given.
FOREIGN = th.CustomType({"type": ["string", "integer", "null"]})

KEYS: dict[str, Any] = {"id": INTEGER, "account_id": INTEGER}
TEXT_KEYS: dict[str, Any] = {"id": TEXT, "account_id": INTEGER}
MADE: dict[str, Any] = {"created_by": INTEGER, "updated_by": INTEGER, "created_at": TIME, "updated_at": TIME}
OWNED: dict[str, Any] = {"responsible_user_id": INTEGER, "group_id": INTEGER}
# What the last version of a deleted record says beside its key and `updated_at` (setting mark_deleted).
DELETED: dict[str, Any] = {"is_deleted": BOOLEAN, "_sdc_deleted_at": TIME}
LINKS: dict[str, Any] = {"_links": OBJECT}
EMBEDDED: dict[str, Any] = {"_embedded": OBJECT, **LINKS}
ENTITY: dict[str, Any] = {
    **KEYS,
    "name": TEXT,
    **OWNED,
    **MADE,
    "closest_task_at": TIME,
    **DELETED,
    "custom_fields_values": FIELDS,
    **EMBEDDED,
}
