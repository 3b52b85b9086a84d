"""JSON schemas of the streams, from the vendor's pages; a property that they do not name is kept, too."""

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

_KEYS = {"id": INTEGER, "account_id": INTEGER}
_MADE = {"created_by": INTEGER, "updated_by": INTEGER, "created_at": TIME, "updated_at": TIME}
_OWNED = {"responsible_user_id": INTEGER, "group_id": INTEGER}
_ENTITY = {
    **_KEYS,
    "name": TEXT,
    **_OWNED,
    **_MADE,
    "closest_task_at": TIME,
    "is_deleted": BOOLEAN,
    "custom_fields_values": FIELDS,
    "_embedded": OBJECT,
    "_links": OBJECT,
}
_PROPERTIES: dict[str, dict[str, Any]] = {
    "companies": _ENTITY,
    "contacts": {**_ENTITY, "first_name": TEXT, "last_name": TEXT, "is_unsorted": BOOLEAN, "company_id": INTEGER},
    "leads": {
        **_ENTITY,
        "price": NUMBER,
        "price_with_minor_units": NUMBER,
        "status_id": INTEGER,
        "pipeline_id": INTEGER,
        "loss_reason_id": INTEGER,
        "source_id": INTEGER,
        "closed_at": TIME,
        "score": NUMBER,
        "labor_cost": NUMBER,
        "is_price_modified_by_robot": BOOLEAN,
        "is_price_computed": BOOLEAN,
        "visitor_uid": TEXT,
        "company_id": INTEGER,
    },
    "tasks": {
        **_KEYS,
        **_MADE,
        **_OWNED,
        "entity_id": INTEGER,
        "entity_type": TEXT,
        "is_completed": BOOLEAN,
        "task_type_id": INTEGER,
        "text": TEXT,
        "duration": NUMBER,
        "complete_till": TIME,
        "result": ANYTHING,
        "_links": OBJECT,
    },
    "notes": {
        **_KEYS,
        **_MADE,
        **_OWNED,
        "entity_id": INTEGER,
        "entity_type": TEXT,
        "note_type": th.CustomType({"type": ["string", "integer", "null"]}),
        "params": ANYTHING,
        "is_pinned": BOOLEAN,
        "_links": OBJECT,
    },
    "users": {
        **_KEYS,
        "name": TEXT,
        "email": TEXT,
        "lang": TEXT,
        "rights": OBJECT,
        "uuid": TEXT,
        "amojo_id": TEXT,
        "user_rank": TEXT,
        "phone_number": TEXT,
        "_embedded": OBJECT,
        "_links": OBJECT,
    },
    "pipelines": {
        **_KEYS,
        "name": TEXT,
        "sort": INTEGER,
        "is_main": BOOLEAN,
        "is_unsorted_on": BOOLEAN,
        "is_archive": BOOLEAN,
        "_embedded": OBJECT,
        "_links": OBJECT,
    },
    "loss_reasons": {**_KEYS, "name": TEXT, "sort": INTEGER, "created_at": TIME, "updated_at": TIME, "_links": OBJECT},
    "task_types": {**_KEYS, "name": TEXT, "code": TEXT, "color": TEXT, "icon_id": INTEGER},
    "tags": {**_KEYS, "entity_type": TEXT, "name": TEXT, "color": TEXT, "_links": OBJECT},
    "custom_fields": {
        **_KEYS,
        "entity_type": TEXT,
        "name": TEXT,
        "type": TEXT,
        "code": TEXT,
        "sort": INTEGER,
        "group_id": ANYTHING,
        **dict.fromkeys(("is_api_only", "is_computed", "is_predefined", "is_deletable"), BOOLEAN),
        **dict.fromkeys(("enums", "nested", "required_statuses", "hidden_statuses", "chained_lists"), OBJECT),
        **dict.fromkeys(("is_visible", "is_required", "is_multiple"), BOOLEAN),
        **dict.fromkeys(("settings", "triggers"), OBJECT),
        **dict.fromkeys(("remind", "currency", "tracking_callback"), TEXT),
        "search_in": FOREIGN,
        "catalog_id": INTEGER,
        "_links": OBJECT,
    },
    "customers": {
        **_ENTITY,
        "next_price": NUMBER,
        "next_date": TIME,
        "ltv": NUMBER,
        "purchases_count": INTEGER,
        "average_check": NUMBER,
        "status_id": INTEGER,
        "periodicity": INTEGER,
    },
    "catalogs": {
        **_KEYS,
        **_MADE,
        "name": TEXT,
        "type": TEXT,
        "sort": INTEGER,
        **dict.fromkeys(("can_add_elements", "can_show_in_cards", "can_link_multiple", "can_be_deleted"), BOOLEAN),
        "sdk_widget_code": FOREIGN,
        "_links": OBJECT,
    },
    "catalog_elements": {
        **_KEYS,
        **_MADE,
        "catalog_id": INTEGER,
        "name": TEXT,
        "is_deleted": BOOLEAN,
        "custom_fields_values": FIELDS,
        "_embedded": OBJECT,
        "_links": OBJECT,
    },
    "sources": {
        **_KEYS,
        "name": TEXT,
        "external_id": FOREIGN,
        "pipeline_id": INTEGER,
        "default": BOOLEAN,
        "origin_code": TEXT,
        "services": OBJECT,
        "_links": OBJECT,
    },
    "roles": {**_KEYS, "name": TEXT, "rights": OBJECT, "_embedded": OBJECT, "_links": OBJECT},
    "webhooks": {
        **_KEYS,
        **_MADE,
        "destination": TEXT,
        "sort": INTEGER,
        "disabled": BOOLEAN,
        "settings": OBJECT,
        "_links": OBJECT,
    },
    "talks": {
        **_KEYS,
        **_MADE,
        "talk_id": INTEGER,
        "rate": INTEGER,
        "contact_id": INTEGER,
        "chat_id": TEXT,
        "entity_id": INTEGER,
        "entity_type": TEXT,
        "status": TEXT,
        "source_id": INTEGER,
        "missed_at": TIME,
        "is_in_work": BOOLEAN,
        "is_read": BOOLEAN,
        "origin": TEXT,
        "_embedded": OBJECT,
        "_links": OBJECT,
    },
    "unsorted": {
        "id": TEXT,
        "account_id": INTEGER,
        "uid": TEXT,
        "source_uid": TEXT,
        "source_name": TEXT,
        "category": TEXT,
        "pipeline_id": INTEGER,
        "created_at": TIME,
        "metadata": OBJECT,
        "_embedded": OBJECT,
        "_links": OBJECT,
    },
    "events": {
        "id": TEXT,
        "account_id": INTEGER,
        "type": TEXT,
        "entity_id": INTEGER,
        "entity_type": TEXT,
        "created_by": INTEGER,
        "created_at": TIME,
        "value_after": OBJECT,
        "value_before": OBJECT,
        "_embedded": OBJECT,
        "_links": OBJECT,
    },
    "deleted_records": {
        "id": TEXT,
        "account_id": INTEGER,
        "entity_type": TEXT,
        "entity_id": INTEGER,
        "deleted_at": TIME,
        "merged_into": INTEGER,
        "restored_at": TIME,
    },
}


def schema_of(stream: str) -> dict[str, Any]:
    """The stream's schema; its keys are required, everything else may be null."""
    properties = [
        th.Property(name, kind, required=name in ("id", "account_id")) for name, kind in _PROPERTIES[stream].items()
    ]
    return th.PropertiesList(*properties).to_dict()
