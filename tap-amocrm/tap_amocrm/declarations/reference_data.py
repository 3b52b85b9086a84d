"""Users, pipelines, definitions: short lists that other streams' records refer to."""

from __future__ import annotations

from tap_amocrm.declarations.declaration import Declaration, Listing, Reading
from tap_amocrm.declarations.properties import (
    BOOLEAN,
    EMBEDDED,
    FOREIGN,
    INTEGER,
    KEYS,
    LINKS,
    OBJECT,
    TEXT,
    TIME,
)

# What has custom fields and tags; customers only where the account's plan has them.
_KINDS = ("companies", "contacts", "leads", "customers")

# Only administrators may list users.
USERS = Declaration(
    "users",
    Reading.WHOLE,
    listings=(Listing("users", params=(("with", "role,group,uuid,amojo_id,user_rank,phone_number"),)),),
    remembered=True,
    named_by=("responsible_user_id", "created_by", "updated_by"),
    properties={
        **KEYS,
        "name": TEXT,
        "email": TEXT,
        "lang": TEXT,
        "rights": OBJECT,
        "uuid": TEXT,
        "amojo_id": TEXT,
        "user_rank": TEXT,
        "phone_number": TEXT,
        **EMBEDDED,
    },
)
PIPELINES = Declaration(
    "pipelines",
    Reading.WHOLE,
    listings=(Listing("leads/pipelines"),),
    properties={
        **KEYS,
        "name": TEXT,
        "sort": INTEGER,
        "is_main": BOOLEAN,
        "is_unsorted_on": BOOLEAN,
        "is_archive": BOOLEAN,
        **EMBEDDED,
    },
)
LOSS_REASONS = Declaration(
    "loss_reasons",
    Reading.WHOLE,
    listings=(Listing("leads/loss_reasons"),),
    properties={**KEYS, "name": TEXT, "sort": INTEGER, "created_at": TIME, "updated_at": TIME, **LINKS},
)
TASK_TYPES = Declaration(
    "task_types",
    Reading.ACCOUNT,
    properties={**KEYS, "name": TEXT, "code": TEXT, "color": TEXT, "icon_id": INTEGER},
)
CUSTOM_FIELDS = Declaration(
    "custom_fields",
    Reading.WHOLE,
    listings=tuple(Listing(f"{kind}/custom_fields", entity_type=kind) for kind in _KINDS),
    remembered=True,
    named_by=("custom_fields_values",),
    urgent=False,
    properties={
        **KEYS,
        "entity_type": TEXT,
        "name": TEXT,
        "type": TEXT,
        "code": TEXT,
        "sort": INTEGER,
        "group_id": FOREIGN,
        **dict.fromkeys(("is_api_only", "is_computed", "is_predefined", "is_deletable"), BOOLEAN),
        **dict.fromkeys(("enums", "nested", "required_statuses", "hidden_statuses", "chained_lists"), OBJECT),
        **dict.fromkeys(("is_visible", "is_required", "is_multiple"), BOOLEAN),
        **dict.fromkeys(("settings", "triggers"), OBJECT),
        **dict.fromkeys(("remind", "currency", "tracking_callback"), TEXT),
        "search_in": FOREIGN,
        "catalog_id": INTEGER,
        **LINKS,
    },
)
TAGS = Declaration(
    "tags",
    Reading.WHOLE,
    listings=tuple(Listing(f"{kind}/tags", entity_type=kind) for kind in _KINDS),
    remembered=True,
    urgent=False,
    properties={**KEYS, "entity_type": TEXT, "name": TEXT, "color": TEXT, **LINKS},
)
